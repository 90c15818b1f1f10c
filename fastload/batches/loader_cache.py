"""A loader's RAM cache: what its options may be, when there is one, and what is told of it."""

from __future__ import annotations

from typing import Any

from fastload.batches.native_or_stock import Mode
from fastload.engine import CACHES, SampleCache, check_cache_bytes, describe_cache
from fastload.reports import Statistics


def check_cache(cache: str | None, cache_bytes: int | None, decode: Any) -> None:
    """Raises ValueError for options that cannot be."""
    if cache is not None and cache not in CACHES:
        raise ValueError(f"cache should be None or one of {CACHES}, but got cache={cache!r}")
    if cache_bytes is not None:
        if type(cache_bytes) is not int or cache_bytes < 1:
            raise ValueError(f"cache_bytes should be a positive integer or None, but got cache_bytes={cache_bytes!r}")
        if cache is None:
            raise ValueError(f"cache_bytes={cache_bytes} without a cache: say cache='encoded' or cache='decoded'")
        check_cache_bytes(cache_bytes)
    if cache == "decoded" and decode != "cpu":
        raise ValueError(
            f"cache='decoded' keeps what the CPU decodes, but decode={decode!r}: cache='encoded' goes with it"
        )


def cache_for(before: SampleCache | None, cache: str, cache_bytes: int | None, mode: Mode, dataset: Any) -> SampleCache:
    """That of a loader, which may have had one ``before``.

    Raises:
        ValueError: its samples are not made natively, or there is not so much memory.
    """
    if mode.located is None:
        raise ValueError(f"cache={cache!r} needs samples made natively, but: {mode.reason}")
    if before is not None and (before.kind, before.given) == (cache, cache_bytes):
        return before
    return SampleCache.of(cache, cache_bytes, mode.located.find, len(dataset))


def cache_lines(
    cache: str | None, cache_bytes: int | None, mode: Mode, dataset: Any, made: SampleCache | None
) -> list[str]:
    """For ``explain()``."""
    if cache is None or mode.located is None:
        return []
    return [describe_cache(cache, cache_bytes, mode.located.find, len(dataset), made)]


def cache_figures(made: SampleCache | None, statistics: Statistics) -> dict[str, Any] | None:
    """For ``stats()``."""
    return None if made is None else {"kind": made.kind, **statistics.cache_figures(), **made.figures()}
