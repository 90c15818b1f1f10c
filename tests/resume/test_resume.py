"""StatefulDataLoader: a resumed epoch gives what the interrupted one had still to give, bit for bit."""

from __future__ import annotations

import copy
import itertools
import json
import random

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from torch.utils.data import BatchSampler, Dataset, IterableDataset, RandomSampler, Sampler, Subset, get_worker_info
from torch.utils.data.distributed import DistributedSampler
from torchvision.datasets import ImageFolder

import fastload
from cases import cases
from images import write_folder
from recipes import InPython

NATIVE = v1.Compose([v1.RandomResizedCrop(24), v1.RandomHorizontalFlip(), v1.ToTensor()])
WITH_TAIL = v1.Compose([*NATIVE.transforms, InPython()])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=4, images=9, largest=60)


class Noise(Dataset):
    """Draws from all three generators that a worker has."""

    def __len__(self):
        return 36

    def __getitem__(self, index):
        return index, torch.rand(3), random.random(), np.random.rand()


class Stream(IterableDataset):
    """Every worker has a part of it, and keeps no state."""

    def __iter__(self):
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for number in range(first, 36, step):
            yield number + torch.rand(2)


class StreamWithState(Stream):
    """Keeps its own state, and would notice being run from the start."""

    def __init__(self):
        self.given = 0
        self.restarts = 0

    def __iter__(self):
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        first, self.given = first + self.given * step, self.given
        for number in range(first, 36, step):
            self.given += 1
            yield number + torch.rand(2)
        self.given = 0

    def state_dict(self):
        return {"given": self.given}

    def load_state_dict(self, state):
        self.given = state["given"]


def datasets(root):
    folder = ImageFolder(root, NATIVE)
    return {
        "native": folder,
        "subset": Subset(folder, list(range(0, 36, 2))),
        "tail": ImageFolder(root, WITH_TAIL),
        "noise": Noise(),
        "stream": Stream(),
        "stream-with-state": StreamWithState(),
    }


def same(some, others):
    if isinstance(some, torch.Tensor):
        return torch.equal(some, others)
    if isinstance(some, (list, tuple)):
        return len(some) == len(others) and all(map(same, some, others))
    return some == others


def seed_all(seed):
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def through_json(state):
    return json.loads(json.dumps(state))


def trial(choose, dataset, *, epochs_before, stop_at, **options):
    """One run that is interrupted and goes on, and another that goes on from its state in a process of other seeds."""
    seed_all(choose.randrange(1000))
    own = options.pop("own_generator")
    loader = fastload.StatefulDataLoader(
        dataset, generator=torch.Generator().manual_seed(5) if own else None, **options
    )
    for _ in range(epochs_before):
        list(loader)
    iterator = iter(loader)
    for _ in range(stop_at):
        next(iterator)
    state = through_json(loader.state_dict())
    rest = list(iterator)
    seed_all(99)
    resumed = fastload.StatefulDataLoader(
        copy.deepcopy(dataset), generator=torch.Generator() if own else None, **options
    )
    resumed.load_state_dict(state)
    assert through_json(resumed.state_dict()) == state
    assert same(list(resumed), rest), (options, epochs_before, stop_at)
    if own and options["num_workers"] > 0:
        assert same(next(iter(resumed)), next(iter(loader)))  # the epoch after it


@pytest.mark.parametrize("kind", ["native", "subset", "tail", "noise", "stream", "stream-with-state"])
def test_the_rest_of_an_epoch_is_bit_identical(root, kind):
    """In the long form 100 random trials in all, native ones the most."""
    choose = random.Random(kind)
    for _ in range(cases(*{"native": (10, 50), "subset": (4, 14)}.get(kind, (2, 9)))):
        dataset = datasets(root)[kind]
        num_workers = choose.choice([0, 1, 2, 3] if kind in ("native", "subset") else [0, 1, 2])
        batch_size = choose.choice([1, 3, 5])
        streams = "stream" in kind
        count = 36 if streams else len(dataset)
        trial(
            choose,
            dataset,
            epochs_before=choose.choice([0, 0, 1, 2]),
            stop_at=choose.randrange(0 if num_workers else 1, count // batch_size),
            batch_size=batch_size,
            shuffle=None if streams else choose.random() < 0.8,
            num_workers=num_workers,
            persistent_workers=num_workers > 0 and choose.random() < 0.5,
            rng=choose.choice(["stock", "index"]) if kind in ("native", "subset", "tail") else "stock",
            own_generator=choose.random() < 0.5,
        )


@pytest.mark.parametrize("num_workers", [0, 2])
def test_at_the_end_of_an_epoch_the_next_is_a_whole_one(root, num_workers):
    def loader():
        return fastload.StatefulDataLoader(
            ImageFolder(root, NATIVE),
            batch_size=5,
            shuffle=True,
            num_workers=num_workers,
            generator=torch.Generator().manual_seed(3),
            persistent_workers=num_workers > 0,
        )

    torch.manual_seed(1)
    first = loader()
    list(first)
    state = through_json(first.state_dict())
    assert state["_iterator_finished"] and state["_num_yielded"] == 8
    generators = torch.get_rng_state()
    following = list(first)
    second = loader()
    second.load_state_dict(state)
    torch.set_rng_state(generators)  # without workers, images draw from it
    assert len(following) == 8 and same(list(second), following)


def test_before_an_epoch(root):
    loader = fastload.StatefulDataLoader(ImageFolder(root, NATIVE), batch_size=5, num_workers=2)
    before = torch.get_rng_state()
    state = through_json(loader.state_dict())
    assert torch.equal(torch.get_rng_state(), before)
    assert (state["_num_yielded"], state["_iterator_finished"]) == (0, False)
    again = fastload.StatefulDataLoader(ImageFolder(root, NATIVE), batch_size=5, num_workers=2)
    again.load_state_dict(state)
    assert len(list(again)) == 8 == len(list(again))


def test_an_empty_state_is_a_whole_epoch(root):
    loader = fastload.StatefulDataLoader(ImageFolder(root, NATIVE), batch_size=5)
    next(iter(loader))
    loader.load_state_dict({})
    assert len(list(loader)) == 8


def test_only_what_the_consumer_got_counts(root):
    """However much was read ahead."""
    loader = fastload.StatefulDataLoader(ImageFolder(root, NATIVE), batch_size=2, num_workers=3, prefetch_factor=4)
    iterator = iter(loader)
    for number in range(4):
        assert loader.state_dict()["_num_yielded"] == number
        next(iterator)


def test_a_batch_that_failed_is_not_given_again(root, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    for transform in (NATIVE, WITH_TAIL):
        dataset = ImageFolder(root, transform)
        dataset.samples = [*dataset.samples[:4], (str(bad), 0), *dataset.samples[5:]]
        torch.manual_seed(0)
        loader = fastload.StatefulDataLoader(dataset, batch_size=2, num_workers=2)
        iterator = iter(loader)
        next(iterator), next(iterator)
        with pytest.raises(fastload.DecodeError):
            next(iterator)
        state = through_json(loader.state_dict())
        assert (state["_num_yielded"], state["_sampler_iter_yielded"]) == (2, 3)
        again = fastload.StatefulDataLoader(dataset, batch_size=2, num_workers=2)
        again.load_state_dict(state)
        assert same(list(again), list(iterator))


class OwnState(Sampler):
    """A sampler that draws when its iteration begins and keeps its own place."""

    def __init__(self, length):
        self.length = length
        self.place = 0
        self.order = None

    def __iter__(self):
        if self.order is None:
            self.order = random.sample(range(self.length), self.length)
        while self.place < self.length:
            self.place += 1
            yield self.order[self.place - 1]
        self.place, self.order = 0, None

    def __len__(self):
        return self.length

    def state_dict(self):
        return {"place": self.place, "order": self.order and list(self.order)}

    def load_state_dict(self, state):
        self.place, self.order = state["place"], state["order"]


class Eager(Sampler):
    """Draws from Python's generator in ``__iter__`` itself."""

    def __iter__(self):
        order = list(range(36))
        random.shuffle(order)
        return iter(order)

    def __len__(self):
        return 36


class EagerBatches(Sampler):
    """The same, of batches that differ in size."""

    def __iter__(self):
        order = np.random.permutation(36).tolist()
        return iter([order[:7], order[7:9], order[9:20], order[20:]])

    def __len__(self):
        return 4


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    "options",
    [
        lambda: {"sampler": OwnState(36), "batch_size": 5},
        lambda: {"sampler": Eager(), "batch_size": 5},
        lambda: {"batch_sampler": EagerBatches()},
        lambda: {"batch_sampler": BatchSampler(RandomSampler(range(36), replacement=True), 5, True)},
        lambda: {"sampler": RandomSampler(range(36), generator=torch.Generator().manual_seed(1)), "batch_size": 5},
        lambda: {"sampler": Eager(), "batch_size": None},
    ],
    ids=["own-state", "eager", "eager-batches", "replacement", "own-generator", "single"],
)
def test_samplers(root, options, num_workers):
    seed_all(0)
    loader = fastload.StatefulDataLoader(ImageFolder(root, NATIVE), num_workers=num_workers, **options())
    iterator = iter(loader)
    for _ in range(2):
        next(iterator)
    state = through_json(loader.state_dict())
    rest = list(iterator)
    seed_all(1)
    again = fastload.StatefulDataLoader(ImageFolder(root, NATIVE), num_workers=num_workers, **options())
    again.load_state_dict(state)
    assert len(rest) > 1 and same(list(again), rest)


@pytest.mark.parametrize("workers", [(0, 2), (3, 1), (2, 0)])
@pytest.mark.parametrize("transform", [NATIVE, WITH_TAIL], ids=["native", "tail"])
def test_with_counter_based_randomness_the_number_of_workers_may_change(root, transform, workers):
    def loader(num_workers, batch_size=4, **options):
        return fastload.StatefulDataLoader(
            ImageFolder(root, transform),
            batch_size=batch_size,
            shuffle=True,
            num_workers=num_workers,
            rng="index",
            generator=torch.Generator().manual_seed(7),
            **options,
        )

    before, after = workers
    first = loader(before)
    iterator = iter(first)
    given = [next(iterator) for _ in range(3)]
    state = through_json(first.state_dict())
    rest = list(iterator)
    second = loader(after, threads=2)
    second.load_state_dict(state)
    assert same(list(second), rest)
    third = loader(after, batch_size=6)
    third.load_state_dict(state)
    images = torch.cat([images for images, _ in given + list(third)])
    assert same(images, torch.cat([images for images, _ in given + rest])) and len(images) == 36


@pytest.mark.parametrize("drop_last", [False, True])
def test_the_number_of_ranks_may_change_again_and_again(root, drop_last):
    """All ranks in this process: 36 samples, 2 ranks take 12 of them, then 3 take 12, then 3 take 6, then 5 the rest."""
    dataset = ImageFolder(root, NATIVE)
    dataset.samples = [(path, index) for index, (path, _) in enumerate(dataset.samples)]
    state, seen = {}, []
    for ranks, batches, batch_size in [(2, 2, 3), (3, 2, 2), (3, 1, 2), (5, None, 2)]:
        states = []
        for rank in range(ranks):
            sampler = DistributedSampler(dataset, ranks, rank, seed=8, drop_last=drop_last)
            sampler.set_epoch(3)
            loader = fastload.StatefulDataLoader(
                dataset, batch_size, sampler=sampler, num_workers=rank % 2, rng="index"
            )
            loader.load_state_dict(state)
            iterator = iter(loader)
            for _, targets in itertools.islice(iterator, batches):
                seen += targets.tolist()
            states.append(through_json(loader.state_dict()))
            if batches is None:
                assert len(list(loader)) == -(-(36 // ranks if drop_last else -(-36 // ranks)) // batch_size)
        state = states[-1]
        assert state["samples"] == states[0]["samples"]
    assert len(seen) == (35 if drop_last else 40)  # 6 are left for 5 ranks
    assert len(set(seen)) == (35 if drop_last else 36)


def test_states_of_another_kind_are_refused(root):
    def loader(**options):
        return fastload.StatefulDataLoader(ImageFolder(root, NATIVE), batch_size=4, **options)

    first = loader(num_workers=2)
    next(iter(first))
    state = first.state_dict()
    with pytest.raises(AssertionError, match=r"num_workers=2.*here it is 3.*rng='index'"):
        loader(num_workers=3).load_state_dict(state)
    with pytest.raises(ValueError, match="rng='stock'"):
        loader(num_workers=2, rng="index").load_state_dict(state)
    with pytest.raises(ValueError, match="no state of fastload"):
        loader().load_state_dict({"_num_yielded": 3})


@pytest.mark.parametrize("rng", ["stock", "index"])
def test_generators_of_the_process_are_left_alone_where_batches_do_not_need_them(root, rng):
    options = {"batch_size": 4, "shuffle": True, "num_workers": 2, "rng": rng}
    first = fastload.StatefulDataLoader(ImageFolder(root, NATIVE), **options)
    next(iter(first))
    second = fastload.StatefulDataLoader(ImageFolder(root, NATIVE), **options)
    second.load_state_dict(first.state_dict())
    seed_all(4)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    list(second)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert same(before, after)


def test_the_state_is_small_whatever_the_size_of_the_data_set(root):
    sizes = []
    for copies in (1, 500):
        dataset = ImageFolder(root, NATIVE)
        dataset.samples = dataset.samples * copies
        loader = fastload.StatefulDataLoader(dataset, batch_size=4, shuffle=True, num_workers=4)
        next(iter(loader))
        sizes.append(len(json.dumps(loader.state_dict())))
    assert max(sizes) < 100_000 and abs(sizes[0] - sizes[1]) < 100
