"""Memory that is used again: never while anybody can still look at it, and not more of it than there is use for."""

from __future__ import annotations

import copy
import ctypes
import functools
import gc
import io
import pickle
import random
import weakref

import numpy as np
import PIL.Image
import pytest
import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader as StockLoader

from fastload import DataLoader, ImageFiles, _core
from fastload.engine.batch_memory import BatchMemory
from fastload.gpu.device_copy import Staging

SIDE = 8


def nothing(x):
    return x


class Module(torch.nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("x", x)


def sliced_storage(x):
    return x.untyped_storage()[: x.numel() * 4]


def leaf_of_a_cycle(x):
    cycle = [x.untyped_storage()]
    cycle.append(cycle)
    return cycle


# What the user keeps of a batch, and how its values are read from that later.
HOLDS = {
    "the tensor": (nothing, nothing),
    "untyped_storage": (lambda x: x.untyped_storage(), lambda kept: torch.empty(0).set_(kept)),
    "storage": (lambda x: x.storage(), lambda kept: torch.tensor(kept.tolist())),
    "TypedStorage's inside": (lambda x: x.storage().untyped(), lambda kept: torch.empty(0).set_(kept)),
    "a slice of the storage": (sliced_storage, lambda kept: torch.empty(0).set_(kept)),
    "the storage in a cycle": (leaf_of_a_cycle, lambda kept: torch.empty(0).set_(kept[0])),
    "a bound method": (lambda x: x.untyped_storage().tolist, lambda kept: torch.tensor(kept(), dtype=torch.uint8)),
    "an iterator": (lambda x: iter(x.untyped_storage()), lambda kept: torch.tensor(list(kept), dtype=torch.uint8)),
    "an attribute": (
        lambda x: type("Keeper", (), {"held": x.untyped_storage()}),
        lambda kept: torch.empty(0).set_(kept.held),
    ),
    "numpy": (lambda x: x.numpy(), torch.from_numpy),
    "a view of numpy's": (lambda x: x.numpy()[1:, :, ::2], torch.from_numpy),
    "memoryview": (lambda x: memoryview(x.numpy()), lambda kept: torch.from_numpy(np.asarray(kept))),
    "frombuffer": (lambda x: torch.frombuffer(x.numpy().reshape(-1), dtype=torch.float32), nothing),
    "dlpack": (lambda x: torch.utils.dlpack.to_dlpack(x), torch.utils.dlpack.from_dlpack),
    "numpy by dlpack": (np.from_dlpack, torch.from_numpy),
    "a part": (lambda x: x[1:2, :, 3], nothing),
    "detached": (lambda x: x.detach(), nothing),
    "data": (lambda x: x.data, nothing),
    "as_strided": (lambda x: x.as_strided((2,), (5,)), nothing),
    "bytes": (lambda x: x.view(torch.uint8), nothing),
    "a list": (lambda x: list(x), torch.stack),
    "a shallow copy": (copy.copy, nothing),
    "a parameter": (lambda x: torch.nn.Parameter(x, requires_grad=False), nothing),
    "a module": (Module, lambda kept: kept.x),
    "another tensor's storage": (lambda x: torch.empty(0).set_(x.untyped_storage()), nothing),
    "a lazy clone": (lambda x: torch._lazy_clone(x), nothing),
    "a closure": (lambda x: lambda: x.untyped_storage(), lambda kept: torch.empty(0).set_(kept())),
    "shared memory": (lambda x: x.share_memory_(), nothing),
    "shared storage": (lambda x: x.untyped_storage().share_memory_(), lambda kept: torch.empty(0).set_(kept)),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Of one colour each."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{i}.png" for i in range(20)]
    for i, path in enumerate(paths):
        PIL.Image.new("RGB", (SIDE, SIDE), (12 * i, 12 * i, 12 * i)).save(path)
    return [str(path) for path in paths]


def loader_of(paths, batch_size=2, side=SIDE, kind=DataLoader, **options):
    return kind(ImageFiles(paths, transform=T.Compose([T.Resize((side, side)), T.ToTensor()])), batch_size, **options)


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")
@pytest.mark.filterwarnings("ignore:The given (NumPy array|buffer) is not writable:UserWarning")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("hold", HOLDS)
def test_what_is_held_keeps_its_values(pictures, hold, workers):
    keep, read = HOLDS[hold]
    loader = loader_of(pictures, num_workers=workers)
    kept, expected = [], []
    for x, y in zip(loader, loader_of(pictures, kind=StockLoader), strict=True):
        assert torch.equal(x, y)
        kept.append(keep(x))
        expected.append(keep(y.clone()))
        del x, y
    assert len(kept) == 10
    for mine, theirs in zip(kept, expected, strict=True):
        assert torch.equal(read(mine), read(theirs))


def test_what_autograd_saved_keeps_its_values(pictures):
    gradients = []
    for kind in (DataLoader, StockLoader):
        weight = torch.ones(1, requires_grad=True)
        losses = [(weight * x).sum() for x in loader_of(pictures, kind=kind)]
        gradients.append([torch.autograd.grad(loss, weight)[0] for loss in losses])
    assert len(gradients[0]) == 10
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*gradients, strict=True))


def test_a_pickled_batch_is_a_copy(pictures):
    pickled = [pickle.dumps(x) for x in loader_of(pictures)]
    for mine, theirs in zip(pickled, loader_of(pictures, kind=StockLoader), strict=True):
        assert torch.equal(pickle.loads(mine), theirs)


def test_a_storage_that_is_held_weakly_is_gone_with_its_batch(pictures):
    """As in torch's loader: it never comes back with the pixels of another batch."""
    kept = []
    for x in loader_of(pictures):
        kept.append(weakref.ref(x.untyped_storage()))
        del x
    assert all(reference() is None for reference in kept[:-4])


@pytest.mark.parametrize("size", [0, 1, 10, 100, 5000])
def test_a_storage_that_was_resized_is_not_used_again(pictures, size):
    """Also where it got smaller memory at the same address."""
    seen = []
    for x, y in zip(loader_of(pictures), loader_of(pictures, kind=StockLoader), strict=True):
        assert torch.equal(x, y)
        storage = x.untyped_storage()
        storage.resize_(0)
        storage.resize_(size)
        seen.append((size, storage.data_ptr()))
        del storage, x
    assert len(seen) == 10


def test_memory_is_used_again_where_nobody_holds_it(pictures):
    addresses = set()
    for x in loader_of(pictures):
        addresses.add(x.data_ptr())
        del x
    assert len(addresses) <= 3


def take(memory, size):
    """A block for so many images of 64 x 64, as an engine takes it."""
    batch = _core.Engine(1).submit(
        [_jpeg()] * size,
        list(range(size)),
        recipe=_core.Recipe([], fused_uniform=True, vertical_first=_core.VerticalFirst.never),
        target=_core.Target(np.arange(256, dtype=np.uint8)[None].repeat(3, 0), element="uint8", layout="chw"),
        size=(64, 64),
        out=memory,
        order=None,
        seed=0,
        epoch=0,
        stop_at_failure=True,
        max_pixels=0,
        load=None,
    )
    batch.wait()
    assert not batch.failures
    return batch.take_block()


def taken(memory, sizes, in_use=3):
    """Takes and gives back blocks of these sizes, `in_use` at a time."""
    held = []
    for size in sizes:
        held.append(take(memory, size))
        if len(held) == in_use:
            memory.give(held.pop(0))
    for block in held:
        memory.give(block)


@functools.cache
def _jpeg():
    written = io.BytesIO()
    PIL.Image.new("RGB", (64, 64), (1, 2, 3)).save(written, "JPEG")
    return written.getvalue()


@pytest.mark.parametrize("kind", [BatchMemory, lambda: Staging(pinned=False)], ids=["batches", "staging"])
@pytest.mark.parametrize("order", ["rising", "falling", "random", "in turn"])
def test_batches_of_every_size_do_not_keep_a_block_each(kind, order):
    sizes = list(range(1, 61))
    if order == "random":
        random.Random(1).shuffle(sizes)
    elif order == "falling":
        sizes.reverse()
    elif order == "in turn":
        sizes = [60, 7, 23] * 20
    owner = kind()
    taken(owner.native, sizes)
    held = sum(value[2] if isinstance(value, tuple) else value.nbytes for value in owner._blocks.values())
    most_in_use = 3 * max(sizes) * 3 * 64 * 64
    assert held <= most_in_use * 3 // 2
    if order == "in turn":
        before = set(owner._blocks)
        taken(owner.native, sizes)
        assert set(owner._blocks) == before  # and what comes back is there


def test_a_block_that_is_kept_for_good_is_not_counted():
    """A loader whose batches are all kept by the user goes on using memory again afterwards."""
    owner = BatchMemory()
    kept = []
    for _ in range(50):
        block = take(owner.native, 2)
        x = owner.lend(block, torch.Size((2, 3, 64, 64)), torch.uint8, (3 * 64 * 64, 64 * 64, 64, 1))
        owner.reclaim(remember=1)
        kept.append(x)
    (last,) = owner._blocks
    kept.clear()
    del x
    owner.reclaim(remember=1)
    assert [take(owner.native, 2), take(owner.native, 2)] == [last, 50]
    owner.native.give(last)
    owner.native.give(50)
    take(owner.native, 3)  # seven images are more than half as much again as the four that were in use
    assert 50 not in owner._blocks or last not in owner._blocks


def test_progressive_resizing_keeps_the_memory_of_one_size(pictures):
    loader = loader_of(pictures, batch_size=5)
    peaks = []
    for side in (64, 96, 128, 160, 192, 224):
        loader.dataset.transform = T.Compose([T.Resize((side, side)), T.ToTensor()])
        for _ in range(3):
            for x in loader:
                assert x.shape[-1] == side
                del x
        gc.collect()
        held = sum(nbytes for _, _, nbytes in loader._batch_memory._blocks.values())
        peaks.append(held / (5 * 3 * 4 * side * side))
    assert max(peaks) <= 4.5  # three batches in use, and half as much again


def test_no_byte_is_written_behind_a_block(pictures):
    """ctypes arrays over the blocks know their own size."""
    loader = loader_of(pictures)
    for x in loader:
        del x
    for storage, address, nbytes in loader._batch_memory._blocks.values():
        assert storage.nbytes() == nbytes and storage.data_ptr() == address
        assert len(bytes((ctypes.c_uint8 * nbytes).from_address(address))) == nbytes
