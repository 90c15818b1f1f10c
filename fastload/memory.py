"""Memory for batches, from torch's allocators."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import torch

from fastload import _core

# How many tensors, views, arrays and saved graphs hold a storage; torch's own graph trees decide by it what may be overwritten.
_use_count = getattr(torch._C, "_storage_Use_Count", None)


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
        blocks: dict[int, tuple[torch.UntypedStorage, int]] = {}  # with its address

        def grow(block: int, nbytes: int) -> np.ndarray:
            memory = torch.empty(nbytes, dtype=torch.uint8, device="cpu")
            blocks[block] = memory.untyped_storage(), memory.data_ptr()
            # Not memory.numpy(): that would make the consumer's batch a tensor that cannot be resized.
            return np.frombuffer((ctypes.c_uint8 * nbytes).from_address(memory.data_ptr()), np.uint8)

        # `grow` holds the dictionary, not this object: the engine's side must not hold its own owner.
        self.native = _core.BatchMemory(grow)
        self._blocks = blocks
        self._lent: list[int] = []
        self._lock = threading.RLock()  # of what is lent; a collection may come back here

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
            storage, address = self._blocks[block]
            if _use_count(storage._cdata) > 1:
                still.append(block)
            elif storage.data_ptr() == address and not storage.is_shared():
                self.native.give(block)
            else:  # resized or moved while it was lent: the engine's address is not this memory's any more
                del self._blocks[block]
            del storage
        for forgotten in still[:-remember]:
            del self._blocks[forgotten]
        self._lent = still[-remember:]


def _copies_from_pageable_memory_are_done_on_return() -> bool:
    accelerator = torch.accelerator.current_accelerator() if hasattr(torch, "accelerator") else None
    if accelerator is None:
        return not torch.backends.mps.is_available()
    return accelerator.type == "cuda"
