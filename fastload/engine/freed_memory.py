"""What a worker process frees, it keeps for what it needs next."""

from __future__ import annotations

import ctypes
import sys

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Of freed memory so much is kept, 400 samples of 600 KB; and allocations up to the greatest size that malloc lets one choose.
_KEPT_BYTES, _LARGEST_KEPT = 256 << 20, 32 << 20


def keep_freed_memory() -> None:
    """Tells malloc of this process not to give every sample's memory back to the system, which clears it, page by page, for the
    next one: 190 microseconds a sample of 600 KB. Where malloc is another one nothing happens."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
