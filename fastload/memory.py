"""Memory for batches, from torch's allocators."""

from __future__ import annotations

import torch

# How many tensors, views, arrays and saved graphs hold a storage; torch's own graph trees decide by it what may be overwritten.
_use_count = getattr(torch._C, "_storage_Use_Count", None)


class BatchMemory:
    """Gives out batch tensors, and gives the same memory out again once nobody holds it.

    Fresh memory is slow: the first write to each page goes through the kernel, which took 390 microseconds a sample (float32,
    224 x 224, on a virtual machine) where used memory takes 31; 2 MiB pages did not help. So the last few storages are remembered,
    and one that this object alone still holds is used again. A storage that was moved to shared memory is not, since another
    process may look at it.

    Pinned memory is left to torch's caching allocator, which waits for copies under way before it uses a block again. So is
    memory for accelerators other than CUDA, whose copies may read pageable memory after the call has returned.

    A loader keeps one for all its epochs: what its batches in flight need, no more.
    """

    def __init__(self) -> None:
        self._known: list[torch.UntypedStorage] = []
        self._recycles = _use_count is not None and _copies_from_pageable_memory_are_done_on_return()

    def empty(
        self, shape: tuple[int, ...], dtype: torch.dtype, *, channels_last: bool, pinned: bool, remember: int
    ) -> torch.Tensor:
        """[samples, channels, height, width], uninitialised.

        Args:
            pinned: allocate page-locked memory.
            remember: how many storages at most: batches in flight, and a few with the consumer.
        """
        memory_format = torch.channels_last if channels_last else torch.contiguous_format
        if pinned or not self._recycles:
            return torch.empty(shape, dtype=dtype, memory_format=memory_format, pin_memory=pinned)
        template = torch.empty(shape, dtype=dtype, device="meta").contiguous(memory_format=memory_format)
        storage = self._free(template.untyped_storage().nbytes())
        if storage is not None:
            return torch.empty(0, dtype=dtype).set_(storage, 0, shape, template.stride())
        tensor = torch.empty(shape, dtype=dtype, memory_format=memory_format)
        self._known = [*self._known, tensor.untyped_storage()][-remember:]
        return tensor

    def _free(self, nbytes: int) -> torch.UntypedStorage | None:
        for storage in self._known:
            if _use_count(storage._cdata) == 1 and storage.nbytes() == nbytes and not storage.is_shared():
                return storage
        return None


def _copies_from_pageable_memory_are_done_on_return() -> bool:
    accelerator = torch.accelerator.current_accelerator() if hasattr(torch, "accelerator") else None
    if accelerator is None:
        return not torch.backends.mps.is_available()
    return accelerator.type == "cuda"
