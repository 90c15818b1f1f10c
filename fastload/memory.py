"""Memory for batches, from torch's allocators."""

from __future__ import annotations

import torch


class BatchMemory:
    """Gives out batch tensors.

    Pinned memory comes from torch's caching allocator, which waits for copies under way before it uses a block again.
    """

    def __init__(self, *, pinned: bool) -> None:
        self._pinned = pinned

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype, *, channels_last: bool) -> torch.Tensor:
        """[samples, channels, height, width], uninitialised."""
        memory_format = torch.channels_last if channels_last else torch.contiguous_format
        return torch.empty(shape, dtype=dtype, memory_format=memory_format, pin_memory=self._pinned)
