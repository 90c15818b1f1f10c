"""Samples that are written straight into their batch: what a program can see of them and of it is what torch would show."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from placed_samples import Photos, as_worker, form, images, in_place, lies_in, made, needs_blocks, stock
from torch.utils.data import DataLoader as StockLoader
from torch.utils.data import Subset, default_collate

import fastload
from fastload import DataLoader
from fastload.batches import batch_in_place
from fastload.batches.batch_in_place import made_in_place

pytestmark = needs_blocks

FORMS = {
    "a pair": lambda i: (made("train", i), i),
    "alone": lambda i: made("train", i),
    "a dictionary": lambda i: {"image": made("train", i), "name": str(i), "number": i},
    "a list in a tuple": lambda i: ([made("train", i), i / 2], {"more": made("small", i)}),
    "two views": lambda i: ([made("train", i), made("train", i)], i),
    "several sizes": lambda i: [made("train", i), made("small", i), made("small", i)],
    "only the second that was made": lambda i: (made("train", i), made("train", i))[1],
    "changed in place": lambda i: (made("halved", i), i),
}
# What is made of each sample, and lies elsewhere; in the first sample or in all.
ELSEWHERE = {
    "another tensor": lambda i: (made("rolled", i), i),
    "a clone": lambda i: (made("train", i).clone(), i),
    "a part": lambda i: (made("train", i)[:, 1:], i),
    "turned": lambda i: (made("train", i).transpose(1, 2), i),
    "that needs gradients": lambda i: (made("train", i).requires_grad_(), i),
    "with the channels last in memory": lambda i: (made("typed", i), i),
    "an array": lambda i: (made("train", i).numpy(), i),
    "at times": lambda i: (made("train", i).clone() if i % 2 else made("train", i), i),
}


@pytest.fixture
def worker(monkeypatch):
    """The blocks of this process, which is as a worker."""
    return as_worker(monkeypatch)


@pytest.mark.parametrize("name", FORMS)
def test_a_batch_is_what_default_collate_makes(name, worker):
    for indices in ([0, 1, 2, 3], [4, 5], [3]):
        batch = in_place(FORMS[name], indices)
        assert (form(batch), torch.get_rng_state().tolist()) == stock(FORMS[name], indices)
        assert images(batch) and all(lies_in(worker, image) for image in images(batch))
        assert len({image.data_ptr() for image in images(batch)}) == len(images(batch))


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_lies_elsewhere_is_copied(name, worker):
    for _ in range(2 + batch_in_place._MOST_COPIED):
        batch = in_place(ELSEWHERE[name], [0, 1, 2])
        if isinstance(batch, list) and not isinstance(batch[0], torch.Tensor):
            batch = default_collate(batch)
        assert form(batch) == stock(ELSEWHERE[name], [0, 1, 2])[0]
        assert not any(lies_in(worker, image) for image in images(batch))
    assert type(in_place(ELSEWHERE[name], [0, 1], collated=False)) is list  # no more is tried


HOLDS = {
    "the tensor": lambda sample: sample,
    "a view": lambda sample: sample[0, 1:],
    "an array": lambda sample: sample.numpy(),
    "the storage": lambda sample: sample.untyped_storage(),
    "what it is detached from": lambda sample: sample.detach(),
    "an exported one": lambda sample: torch.utils.dlpack.to_dlpack(sample),
    "a graph": lambda sample: (torch.ones(1, requires_grad=True) * sample).sum().grad_fn,
    "a pair": lambda sample: (sample, 1),
}


@pytest.mark.parametrize("name", HOLDS)
def test_a_sample_that_somebody_holds_keeps_its_memory(name, worker):
    kept, values = [], []

    def make(index):
        sample = made("train", index)
        if index == 1:
            kept.append(HOLDS[name](sample))
            values.append((sample.data_ptr(), sample.clone()))
        return sample, index

    expected = stock(lambda i: (made("train", i), i), [0, 1, 2])[0]
    batch = in_place(make, [0, 1, 2])
    assert form(batch) == expected and not lies_in(worker, batch[0])
    batch[0].fill_(-1)
    address, before = values[0]
    memory = np.ctypeslib.as_array((np.ctypeslib.ctypes.c_float * before.numel()).from_address(address))
    assert np.array_equal(memory, before.numpy().reshape(-1))
    for _ in range(8):  # nor is it written to by batches that come later
        in_place(FORMS["a pair"], [0, 1, 2])
    assert np.array_equal(memory, before.numpy().reshape(-1))


def test_what_is_written_when_a_sample_dies_is_not_in_the_batch(worker):
    def make(index):
        sample = made("train", index)
        other = sample.detach()
        weakref.finalize(other, sample.zero_)
        return other, index

    expected = stock(lambda i: (made("train", i), i), [0, 1, 2])[0]
    batch = in_place(make, [0, 1, 2])
    del make
    gc.collect()
    assert form(batch) == expected


def test_sparse_tensors_are_refused_as_torch_does(worker):
    items = made_in_place(lambda index: (made("train", index), torch.eye(2).to_sparse()), [0, 1])
    with pytest.raises(RuntimeError, match="sparse tensors are not currently supported"):
        items.collated()


def test_a_sample_of_another_place_is_not_taken_for_this_one(worker):
    kept = [made("train", 0)]

    def one_behind(index):
        kept.append(made("train", index))
        return kept.pop(0)

    torch.manual_seed(5)
    kept[:] = [made("train", 0)]
    items = made_in_place(one_behind, [1, 2, 3])
    batch = items.collated()
    torch.manual_seed(5)
    assert torch.equal(batch, torch.stack([made("train", i) for i in range(4)][:3]))


def test_the_same_sample_twice(worker):
    first = []

    def make(index):
        first.append(made("train", index))
        return first[0]

    torch.manual_seed(5)
    batch = made_in_place(make, [0, 1, 2]).collated()
    assert torch.equal(batch[0], batch[2]) and torch.equal(batch[0], first[0])
    batch.fill_(-1)
    assert not torch.equal(batch[0], first[0])


def test_errors_are_default_collates(worker):
    def differing(index):
        return made("train" if index else "small", index), index

    for make in (differing, lambda i: (made("train", i), object()), lambda i: [made("train", i)] * (1 + i)):
        with pytest.raises((RuntimeError, TypeError)) as mine:
            in_place(make, [0, 1])
        with pytest.raises((RuntimeError, TypeError)) as theirs:
            stock(make, [0, 1])
        assert type(mine.value) is type(theirs.value)
        assert str(mine.value) == str(theirs.value)


def test_a_default_collate_that_knows_more(worker, monkeypatch):
    known = {**torch.utils.data._utils.collate.default_collate_fn_map, torch.Tensor: lambda batch, **_: len(batch)}
    monkeypatch.setattr("torch.utils.data._utils.collate.default_collate_fn_map", known)
    monkeypatch.setattr(batch_in_place, "default_collate_fn_map", known)
    assert in_place(FORMS["a pair"], [0, 1])[0] == 2


class Batched(Photos):
    def __getitems__(self, indices):
        return [self.make(index) for index in indices]


@pytest.mark.parametrize("kind", [Photos, Batched, lambda *given: Subset(Photos(*given), range(11))])
@pytest.mark.parametrize("name", [*FORMS, "another tensor", "at times", "with the channels last in memory"])
@pytest.mark.parametrize("Loader", [DataLoader, fastload.StatefulDataLoader])
def test_loaders(name, kind, Loader):
    dataset = kind(name, FORMS.get(name) or ELSEWHERE[name])
    options = {"batch_size": 4, "num_workers": 2, "multiprocessing_context": "fork", "shuffle": True}
    mine, theirs = Loader(dataset, persistent_workers=True, **options), StockLoader(dataset, **options)
    for epoch in range(2):
        torch.manual_seed(epoch)
        made_here = [form(batch) for batch in mine]
        if epoch == 0:
            torch.manual_seed(epoch)
            assert made_here == [form(batch) for batch in theirs]
    mine._iterator = None


def test_the_worker_sees_its_own_data_set():
    class Looks(Photos):
        def __getitem__(self, index):
            info = torch.utils.data.get_worker_info()
            return made("train", index), type(info.dataset) is Looks and info.dataset is self

    loader = DataLoader(Looks("", None), batch_size=4, num_workers=1, multiprocessing_context="fork")
    assert all(bool(seen.all()) for _, seen in loader)
    assert loader.stats()["mode"] == "stock"
