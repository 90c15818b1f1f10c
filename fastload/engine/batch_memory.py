"""Memory for batches, from torch's allocators."""

from __future__ import annotations

import ctypes
import sys
import threading
import weakref
from typing import Any

import numpy as np
import torch

from fastload import _core

# How many tensors, views, arrays and saved graphs hold a storage; torch's own graph trees decide by it what may be overwritten.
# What Python holds, as x.untyped_storage(), x.storage() and whatever has these as an attribute, is one object, counted by Python.
_use_count = getattr(torch._C, "_storage_Use_Count", None)


def pins(device: torch.device | str | int | None) -> bool:
    """Whether copies to the device want pinned memory: not where torch makes its tensors on a device of their own anyway."""
    if device is None or torch.device(device).type != "cuda":
        return False
    return torch.get_default_device().type == "cpu"


class BatchMemory:
    """Memory that the engine takes for a batch when it first writes to it, and takes again once nobody holds it.

    Fresh memory is slow: the first write to each page goes through the kernel, which took 390 microseconds a sample (float32,
    224 x 224, on a virtual machine) where used memory takes 31; 2 MiB pages did not help. So a few blocks are remembered, and one
    that this object alone still holds is used again. A block that was moved to shared memory is not, since another process may
    look at it. Batches that wait in the queue hold no memory at all.

    A loader keeps one for all its epochs. It does not serve pinned memory: that is left to torch's caching allocator, which waits
    for copies under way before it uses a block again.
    """

    def __init__(self) -> None:
        blocks: dict[int, tuple[torch.UntypedStorage, int, int]] = {}  # with its address and bytes

        def grow(block: int, nbytes: int, gone: list[int]) -> np.ndarray:
            for other in gone:
                del blocks[other]
            memory = torch.empty(nbytes, dtype=torch.uint8, device="cpu")
            blocks[block] = memory.untyped_storage(), memory.data_ptr(), nbytes
            # Not memory.numpy(): that would make the consumer's batch a tensor that cannot be resized.
            return np.frombuffer(memoryview((ctypes.c_uint8 * nbytes).from_address(memory.data_ptr())), np.uint8)

        # `grow` holds the dictionary, not this object: the engine's side must not hold its own owner.
        self.native = _core.BatchMemory(grow)
        self._blocks = blocks
        self._lent: list[int] = []
        self._lock = threading.RLock()  # of what is lent; a collection may come back here
        # Versions of Python and torch differ; where C++ holds it too, some count one more.
        self._alone = _references({0: (torch.UntypedStorage(1, device="cpu"), 0, 1)}, 0)

    @staticmethod
    def serves(*, pinned: bool) -> bool:
        """Whether memory may be used again as soon as no tensor holds it.

        Not where copies to an accelerator may still read pageable memory after the call has returned.
        """
        return not pinned and _use_count is not None and _copies_from_pageable_memory_are_done_on_return()

    def lend(self, block: int, shape: torch.Size, dtype: torch.dtype, stride: tuple[int, ...]) -> torch.Tensor:
        """The block as a batch for the consumer."""
        with self._lock:
            self._lent.append(block)
            return torch.empty(0, dtype=dtype, device="cpu").set_(self._blocks[block][0], 0, shape, stride)

    def reclaim(self, remember: int) -> None:
        """Gives the engine the blocks that the consumer has dropped; keeps an eye on the last ``remember`` others."""
        with self._lock:
            self._reclaim(remember)

    def _reclaim(self, remember: int) -> None:
        still: list[int] = []
        for block in self._lent:
            if self._is_held(block):
                still.append(block)
            elif self._is_as_it_was(block):
                self.native.give(block)
            else:
                self._forget(block)
        for forgotten in still[:-remember]:
            self._forget(forgotten)
        self._lent = still[-remember:]

    def _is_held(self, block: int) -> bool:
        if _references(self._blocks, block) != self._alone or _use_count is None:
            return True
        return _use_count(self._blocks[block][0]._cdata) > 1

    def _is_as_it_was(self, block: int) -> bool:
        """Whether the engine's address is still this memory's, and nobody can come back to it: in torch's loader the storage would
        be gone by now, and what refers to it weakly would say so."""
        storage, address, nbytes = self._blocks[block]
        if storage.nbytes() != nbytes or storage.data_ptr() != address or storage.is_shared():
            return False
        return weakref.getweakrefcount(storage) == 0

    def _forget(self, block: int) -> None:
        del self._blocks[block]
        self.native.forget(block)


def _references(blocks: dict[int, Any], block: int) -> int:
    """To a block's storage from Python, those of this call included."""
    return sys.getrefcount(blocks[block][0])


def _copies_from_pageable_memory_are_done_on_return() -> bool:
    accelerator = torch.accelerator.current_accelerator() if hasattr(torch, "accelerator") else None
    if accelerator is None:
        return not torch.backends.mps.is_available()
    return accelerator.type == "cuda"
