"""Samples in their batch's memory that others hold: a process forked from the worker, a label beside them, a list of the user's."""

from __future__ import annotations

import contextlib
import os
import sys
import weakref

import numpy as np
import pytest
import torch
from placed_samples import SIDE, Photos, as_worker, form, in_place, lies_in, made, needs_blocks, stock
from torch.utils.data import DataLoader as StockLoader
from torch.utils.data import default_collate

from fastload import DataLoader
from fastload.batches.batch_in_place import made_in_place

pytestmark = needs_blocks

PLAIN = lambda index: (made("train", index), index)  # noqa: E731
NBYTES = 3 * SIDE * SIDE * 4


@pytest.fixture
def worker(monkeypatch):
    """The blocks of this process, which is as a worker."""
    return as_worker(monkeypatch)


def forked(work) -> int:
    """A child that does this, and nothing else of this process; its exit status, 0 where ``work()`` is true or None."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os._exit(0 if work() in (True, None) else 1)
        os._exit(2)
    return child


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def write(sample: torch.Tensor) -> None:
    sample.numpy()[...] = -1  # no threads of torch's, which a child does not have


def test_what_a_child_writes_to_a_sample_is_not_in_the_batch(worker):
    earlier = []

    def make(index):
        sample = made("train", index)
        earlier.append(sample)
        if index == 2:
            assert ended(forked(lambda: [write(one) for one in earlier] and None)) == 0
        if index == 3:
            earlier.clear()
        return sample, index

    expected = stock(PLAIN, [0, 1, 2, 3])[0]
    for _ in range(2):
        assert form(in_place(make, [0, 1, 2, 3])) == expected
    assert lies_in(worker, in_place(PLAIN, [0, 1, 2, 3])[0])


def test_a_child_keeps_the_samples_that_it_was_forked_with(worker):
    told, tells = os.pipe()
    children = []

    def make(index):
        sample = made("train", index)
        if index == 1:
            before = sample.numpy().copy()
            children.append(forked(lambda: os.read(told, 1) and np.array_equal(sample.numpy(), before)))
        write(sample)
        return sample, index

    batch = in_place(make, [0, 1, 2])
    assert bool((batch[0] == -1).all())
    for _ in range(8):
        in_place(PLAIN, [0, 1, 2])
    os.write(tells, b"!")
    assert ended(children[0]) == 0
    os.close(told), os.close(tells)


def test_a_sample_that_was_kept_before_a_fork(worker):
    kept = []

    def make(index):
        kept.extend([made("train", index)] if index == 1 else [])
        return (kept[-1] if index == 1 else made("train", index)), index

    in_place(make, [0, 1, 2])
    before = kept[0].clone()
    assert ended(forked(lambda: write(kept[0]))) == 0
    assert torch.equal(kept[0], before)


class Forks(Photos):
    """A child of the worker makes batches of its own while the worker makes others."""

    def __getitem__(self, index):
        sample = made("train", index)
        child = None
        if index % 4 == 1:
            child = forked(lambda: [write(one) for one in (sample, *self.batches_of_its_own())] and None)
        second = made("train", index)
        assert child is None or ended(child) == 0
        return sample, second, index

    def batches_of_its_own(self):
        return [default_collate([made("train", 0), made("train", 1)]) for _ in range(6)]


def test_a_child_of_a_worker_has_no_blocks():
    options = {"batch_size": 4, "num_workers": 1, "multiprocessing_context": "fork"}
    batches = []
    for Loader in (DataLoader, StockLoader):
        torch.manual_seed(3)
        batches.append([form(batch) for batch in Loader(Forks("", None), **options)])
    assert batches[0] == batches[1]


class Label(int):
    """Writes to what it holds when it dies, as it may."""

    def __del__(self):
        for held in vars(self).values():
            sample = held() if isinstance(held, weakref.ref) else held
            sample = torch.from_dlpack(sample) if type(sample).__name__ == "PyCapsule" else sample
            sample = sample._saved_other if hasattr(sample, "_saved_other") else sample
            if isinstance(sample, torch.UntypedStorage):
                sample.fill_(7)
            elif sample is not None:
                for part in sample if isinstance(sample, list) else [sample]:
                    part[:1] = -1


def labelled(index, hold):
    sample, label = made("train", index), Label(index)
    label.held = hold(sample)
    return sample, label


def in_a_list(index):
    parts, label = [made("train", index)], Label(index)
    label.held = parts
    return parts, label


LABELS = {
    "the tensor": lambda i: labelled(i, lambda sample: sample),
    "the tensor, in a dictionary": lambda i: dict(zip(("image", "label"), labelled(i, lambda x: x), strict=True)),
    "a view": lambda i: labelled(i, lambda sample: sample[1]),
    "what is detached": lambda i: labelled(i, lambda sample: sample.detach()),
    "an array": lambda i: labelled(i, lambda sample: sample.numpy()),
    "the storage": lambda i: labelled(i, lambda sample: sample.untyped_storage()),
    "a weak reference": lambda i: labelled(i, weakref.ref),
    "the list that it lies in": in_a_list,
}
if hasattr(torch.Tensor, "_use_count"):
    LABELS["an exported one"] = lambda i: labelled(i, torch.utils.dlpack.to_dlpack)
    LABELS["a graph"] = lambda i: labelled(i, lambda sample: (torch.ones(1, requires_grad=True) * sample).grad_fn)


@pytest.mark.parametrize("name", LABELS)
def test_a_label_that_writes_to_its_sample_when_it_dies(name, worker):
    expected = stock(LABELS[name], [0, 1, 2])[0]
    assert form(in_place(LABELS[name], [0, 1, 2])) == expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are given back on Linux")
def test_one_sample_that_is_kept_keeps_its_own_memory_alone(worker):
    kept, values = [], []

    def make(index):
        sample = made("train", index)
        if index == 7 or (index == 3 and len(kept) % 2):
            kept.append(sample)
            values.append(sample.clone())
        return sample, index

    for _ in range(3):
        in_place(make, range(12))
    blocks = [worker._blocks[slot].descriptor for slot in worker._storages]
    used = lambda: sum(os.fstat(descriptor).st_blocks * 512 for descriptor in blocks)  # noqa: E731
    page = os.sysconf("SC_PAGESIZE")
    assert len(blocks) == 3
    assert used() <= len(kept) * (NBYTES + 2 * page)
    assert all(map(torch.equal, kept, values))
    kept.pop(1), values.pop(1)  # beside another in its block
    assert used() <= len(kept) * (NBYTES + 2 * page)
    assert all(map(torch.equal, kept, values))
    expected = stock(PLAIN, range(12))[0]
    kept.clear()
    assert form(in_place(PLAIN, range(12))) == expected
    assert all(slot in worker._storages for slot in range(3))


def test_what_is_kept_of_a_batch_that_failed_keeps_its_own_memory_alone(worker):
    kept = []

    def make(index):
        if index == 9:
            raise ValueError("no")
        sample = made("train", index)
        kept.extend([sample] if index == 4 else [])
        return sample, index

    with pytest.raises(ValueError, match="no"):
        made_in_place(make, range(12))
    descriptor = worker._blocks[0].descriptor
    assert os.fstat(descriptor).st_blocks * 512 <= NBYTES + 2 * os.sysconf("SC_PAGESIZE")
