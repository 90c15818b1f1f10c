"""How much memory a cache may have, and what to say where that is not there."""

from __future__ import annotations

from collections.abc import Callable

from fastload.machine import MemoryLimit, read_memory_limits

# Of what is free when the cache is made, if nobody says how much: the other half is for the program and for the page cache.
_SHARE = 0.5
_GB = 1e9


def room_for_cache(cache_bytes: int | None) -> int:
    """The bytes of a new cache. None: half of what is free.

    Raises:
        ValueError: so much is not free.
    """
    limits = read_memory_limits()
    if cache_bytes is None:
        return int(_SHARE * min((limit.free for limit in limits), default=0))
    _check(cache_bytes, limits, lambda limit: limit.free, "free in")
    return cache_bytes


def check_cache_bytes(cache_bytes: int) -> None:
    """Raises ValueError for more than there is at all."""
    _check(cache_bytes, read_memory_limits(), lambda limit: limit.total, "there at all in")


def _check(cache_bytes: int, limits: list[MemoryLimit], of: Callable[[MemoryLimit], int], what: str) -> None:
    least = min(limits, key=of, default=None)
    if least is None or cache_bytes <= of(least):
        return
    remedy = (
        "give the cache less"
        if least.whose == "this machine"
        else "start the container with more (docker run --memory, resources.limits.memory in Kubernetes, --mem in Slurm), or "
        "give the cache less; --shm-size does not matter, as it does not lie in /dev/shm"
    )
    raise ValueError(
        f"cache_bytes={cache_bytes} ({cache_bytes / _GB:.2f} GB) is more than is {what} {least.whose}: "
        f"{of(least)} bytes ({of(least) / _GB:.2f} GB); {remedy}"
    )
