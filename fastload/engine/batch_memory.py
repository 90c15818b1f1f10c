"""Memory for batches, from torch's allocators."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import torch

from fastload import _core
from fastload.engine.storage_holders import can_tell, is_as_it_was, is_held


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

    @staticmethod
    def serves(*, pinned: bool) -> bool:
        """Whether memory may be used again as soon as no tensor holds it.

        Not where copies to an accelerator may still read pageable memory after the call has returned.
        """
        return not pinned and can_tell()

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
            if is_held(self._blocks, block):
                still.append(block)
            elif is_as_it_was(self._blocks, block) and not self._blocks[block][0].is_shared():
                self.native.give(block)
            else:
                self._forget(block)
        for forgotten in still[:-remember]:
            self._forget(forgotten)
        self._lent = still[-remember:]

    def _forget(self, block: int) -> None:
        del self._blocks[block]
        self.native.forget(block)
