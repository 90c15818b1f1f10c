"""The DataLoader contract: what workers find, and what they fetch. Each on torch's loader and on fastload's."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision.transforms.v2 as v2
from torch.utils.data import IterableDataset, StackDataset, Subset, get_worker_info
from torchvision import tv_tensors
from torchvision.datasets import ImageFolder

from contract import (
    SIZE,
    Numbers,
    Stream,
    build,
    build_with_code,
    in_batches,
    indices,
    made_by_workers,
    same,
    with_code,
)

FIVES = in_batches(range(SIZE), 5)


# What workers find


def report(_):
    """Where this runs, and with which generators."""
    info = get_worker_info()
    return {
        "worker": info.id if info else -1,
        "workers": info.num_workers if info else 0,
        "seed": info.seed if info else -1,
        "torch": torch.initial_seed(),
        "python": random.random(),
        "numpy": np.random.random(),
        "threads": torch.get_num_threads(),
        "thread": Path("/proc/self/comm").read_text(),
    }


def test_generators_and_names_of_workers(Loader, dataset):
    """Batch k is made by worker k % n, whose three generators are seeded from the base seed and its number."""
    with_code(dataset, report)
    iterator = iter(build_with_code(Loader, dataset, batch_size=2, num_workers=2))
    seed = iterator._base_seed
    python = [random.Random(seed + worker) for worker in range(2)]
    words = [
        np.random.SeedSequence([worker, seed & 0xFFFFFFFF, seed >> 32, 0]).generate_state(4) for worker in range(2)
    ]
    numpy = [np.random.RandomState(words[worker]) for worker in range(2)]
    batches = list(iterator)
    assert indices(batches) == in_batches(range(SIZE), 2)
    for number, (found, _) in enumerate(batches):
        worker = number % 2
        assert found["worker"].tolist() == [worker] * 2 and found["workers"].tolist() == [2] * 2
        assert found["seed"].tolist() == found["torch"].tolist() == [seed + worker] * 2
        assert found["python"].tolist() == [python[worker].random() for _ in range(2)]
        assert found["numpy"].tolist() == [numpy[worker].random() for _ in range(2)]
        assert found["threads"].tolist() == [1] * 2 and found["thread"] == ["pt_data_worker\n"] * 2


def test_without_workers_there_is_no_worker(Loader, dataset):
    with_code(dataset, report)
    random.seed(3)
    torch.manual_seed(3)
    first, _ = next(iter(build_with_code(Loader, dataset, batch_size=2)))
    expected = random.Random(3)
    assert first["worker"].tolist() == [-1, -1] and first["python"].tolist() == [expected.random() for _ in range(2)]
    assert first["threads"].tolist() == [torch.get_num_threads()] * 2


@pytest.mark.parametrize("num_workers", [1, 2])
def test_each_worker_has_its_stream_of_chance(Loader, dataset, num_workers):
    """Without any user code: where there are no processes, the streams are theirs all the same."""
    iterator = iter(build(Loader, dataset, batch_size=2, num_workers=num_workers))
    expected = made_by_workers(dataset, [in_batches(range(SIZE), 2)], iterator._base_seed, num_workers)
    assert get_worker_info() is None
    assert same(list(iterator), expected)
    assert get_worker_info() is None


def about_the_worker(_):
    info = get_worker_info()
    try:
        info.id = 5
    except RuntimeError as error:
        refused = str(error)
    expected = f"WorkerInfo(id={info.id}, num_workers={info.num_workers}, seed={info.seed}, dataset={info.dataset})"
    return {
        "refused": refused,
        "text": str(repr(info) == expected),
        "kind": type(info.dataset).__name__,
        "global": str(torch.utils.data._utils.worker._worker_info is info),
    }


def test_worker_info(Loader, dataset):
    kind = type(dataset).__name__
    with_code(dataset, about_the_worker)
    for found, _ in build_with_code(Loader, dataset, batch_size=SIZE, num_workers=1):
        assert set(found["refused"]) == {"Cannot assign attributes to WorkerInfo objects"}
        assert set(found["text"]) == set(found["global"]) == {"True"} and set(found["kind"]) == {kind}
    assert get_worker_info() is torch.utils.data._utils.worker._worker_info is None


seen_at_start = []


def looks_around(worker_id):
    seen_at_start.append({"given": worker_id, **report(None)})


def what_was_seen(_):
    return {"calls": len(seen_at_start), **seen_at_start[0]}


class SeenByStream(IterableDataset):
    def __iter__(self):
        return iter([what_was_seen(None)])


def test_worker_init_fn_runs_in_seeded_workers(Loader, dataset):
    """Once in each worker, before the first sample and before an iterable data set is begun; never in the parent."""
    with_code(dataset, what_was_seen)
    for data in (dataset, SeenByStream()):
        loader = build_with_code(Loader, data, batch_size=1, num_workers=2, worker_init_fn=looks_around)
        iterator = iter(loader)
        for worker in range(2):
            batch = next(iterator)
            found = batch if data is not dataset else batch[0]
            assert found["calls"].item() == 1 and found["given"].item() == found["worker"].item() == worker
            assert found["torch"].item() == found["seed"].item() == iterator._base_seed + worker
            assert found["python"].item() == random.Random(iterator._base_seed + worker).random()
        list(iterator)
    assert seen_at_start == []


def seeds_itself(worker_id):
    torch.manual_seed(100 + worker_id)


def test_worker_init_fn_may_seed(Loader, dataset):
    """And may be set when the loader is there already."""
    loader = build(Loader, dataset, batch_size=2, num_workers=2)
    loader.worker_init_fn = seeds_itself
    assert same(list(loader), made_by_workers(dataset, [in_batches(range(SIZE), 2)], 100, 2))


def changes_its_data_set(worker_id):
    own = get_worker_info().dataset
    own.samples = own.samples[::-1]


def test_worker_init_fn_may_change_the_workers_data_set(Loader, dataset):
    before = list(dataset.samples)
    loader = build_with_code(Loader, dataset, batch_size=5, num_workers=1, worker_init_fn=changes_its_data_set)
    assert indices(loader) == in_batches(reversed(range(SIZE)), 5)
    assert dataset.samples == before


def test_worker_init_fn_is_for_workers_only(Loader, dataset):
    """Without workers nobody calls it."""
    assert indices(build(Loader, dataset, batch_size=5, worker_init_fn=looks_around)) == FIVES
    assert seen_at_start == []


# Fetching


class Batched(Numbers):
    """Is asked for whole batches."""

    def __init__(self, answer=list):
        super().__init__()
        self.asked = []
        self.answer = answer

    def __getitems__(self, indices):
        self.asked.append(indices)
        return self.answer([self[index] for index in indices])


class NotBatched(Batched):
    __getitems__ = None


def first_column(samples):
    return torch.stack([value for value, _ in samples])


def test_batches_of_samples_are_asked_for_at_once(Loader):
    batches = [[3, 1], (2, 2), torch.tensor([4, 5])]
    dataset = Batched()
    assert indices(Loader(dataset, batch_sampler=batches)) == [[3, 1], [2, 2], [4, 5]]
    assert all(asked is given for asked, given in zip(dataset.asked, batches, strict=True))
    dataset = NotBatched()
    assert indices(Loader(dataset, batch_sampler=batches)) == [[3, 1], [2, 2], [4, 5]] and dataset.asked == []
    for wrapped in (Subset(Batched(), range(SIZE)), StackDataset(Batched())):
        list(Loader(wrapped, batch_size=5))
        inner = wrapped.dataset if isinstance(wrapped, Subset) else wrapped.datasets[0]
        assert inner.asked == FIVES


def test_whole_batches_are_for_a_collate_fn_that_knows(Loader):
    with pytest.raises(TypeError, match=r"stack\(\): argument 'tensors' .*must be tuple of Tensors, not Tensor"):
        list(Loader(Batched(first_column), batch_size=5))
    batches = list(Loader(Batched(first_column), batch_size=5, collate_fn=lambda batch: batch))
    assert [batch.shape for batch in batches] == [(5, 3), (5, 3), (2, 3)]


class HalfASubset(Subset):
    def __getitem__(self, index):
        return super().__getitem__(index)


def test_subsets_override_both_or_none(Loader, dataset):
    with pytest.raises(NotImplementedError):
        Loader(HalfASubset(dataset, [1, 2]))
    assert indices(Loader(Subset(dataset, [4, 2, 0]), batch_size=2)) == [[4, 2], [0]]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_indices_of_any_kind(Loader, dataset, num_workers):
    batches = [(0, 3), [np.int64(1), True], torch.tensor([2, 4]), range(5, 7), [-1]]
    loader = build(Loader, dataset, batch_sampler=batches, num_workers=num_workers)
    assert indices(loader) == [[0, 3], [1, 1], [2, 4], [5, 6], [SIZE - 1]]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_without_batches(Loader, dataset, num_workers):
    torch.manual_seed(2)
    iterator = iter(build_with_code(Loader, dataset, batch_size=None, num_workers=num_workers))
    samples = list(iterator)
    torch.manual_seed(2)
    torch.empty((), dtype=torch.int64).random_()
    if num_workers:
        torch.manual_seed(iterator._base_seed)
    for number, sample in enumerate(samples):
        value, target = dataset[number]
        assert type(sample) is list and type(sample[1]) is int and sample[1] == target and torch.equal(sample[0], value)


def test_default_convert(Loader, folder):
    numbers = list(Loader(range(3), batch_size=None))
    assert numbers == [0, 1, 2] and all(type(number) is int for number in numbers)
    images = ImageFolder(str(folder), v2.Compose([v2.Resize((8, 8)), v2.ToImage()]))
    image, _ = next(iter(build_with_code(Loader, images, batch_size=None)))
    assert type(image) is tv_tensors.Image
    (both,) = Loader([(np.ones(2), "text")], batch_size=None)
    assert type(both) is list and torch.equal(both[0], torch.ones(2, dtype=torch.float64)) and both[1] == "text"


@pytest.mark.parametrize("num_workers", [0, 1])
def test_collate_fn_is_given_the_samples(Loader, dataset, num_workers):
    torch.manual_seed(2)
    iterator = iter(build_with_code(Loader, dataset, batch_size=5, num_workers=num_workers, collate_fn=list))
    batches = list(iterator)
    torch.manual_seed(2)
    torch.empty((), dtype=torch.int64).random_()
    if num_workers:
        torch.manual_seed(iterator._base_seed)
    assert [len(batch) for batch in batches] == [5, 5, 2]
    for number, sample in enumerate(sample for batch in batches for sample in batch):
        value, target = dataset[number]
        assert (
            type(sample) is tuple and type(sample[1]) is int and sample[1] == target and torch.equal(sample[0], value)
        )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"batch_size": 4}, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
        ({"batch_size": 4, "drop_last": True}, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ({"batch_size": None}, list(range(10))),
        ({"batch_size": 8, "num_workers": 2}, [[0, 1, 2, 3, 4, 5, 6, 7]] * 2 + [[8, 9]] * 2),
        ({"batch_size": 8, "num_workers": 2, "drop_last": True}, [[0, 1, 2, 3, 4, 5, 6, 7]] * 2),
    ],
    ids=str,
)
def test_iterable_data_sets(Loader, options, expected):
    batches = list(Loader(Stream(10), **options))
    assert [batch if options["batch_size"] is None else batch.tolist() for batch in batches] == expected


@pytest.mark.parametrize(("drop_last", "last"), [(False, [[10, 11]]), (True, [])])
def test_the_last_batch(Loader, dataset, drop_last, last):
    assert indices(build(Loader, dataset, batch_size=5, drop_last=drop_last)) == FIVES[:2] + last
