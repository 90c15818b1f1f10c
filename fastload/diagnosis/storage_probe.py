"""The storage under a data set, with its own files, dropped from memory before: by the request, by the byte, many at once."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_AT_ONCE = 8
_SMALL = 4096
_FEWEST = 4


def probe(paths: Sequence[str], seconds: float) -> dict[str, Any] | None:
    """None where there are too few files. The files' own sizes, in a random order; each is read once from the device.

    Returns:
        ``files``, ``file_bytes`` (their mean size), ``p50_s`` and ``p99_s`` of opening and reading one whole file, ``request_s`` of
        opening one and reading 4 KiB, ``byte_s`` (what each further byte adds), ``one_bytes_per_s`` and ``many_bytes_per_s`` (one
        and eight files at a time), ``memory_s`` (a file that is in memory), ``place`` (the mount).
    """
    files = [path for path in paths if os.path.isfile(path) and os.path.getsize(path) > 0]
    if len(files) < _FEWEST:
        return None
    random.Random(0).shuffle(files)
    quarter = max(1, len(files) // 4)
    small, whole, many = files[:quarter], files[quarter : 2 * quarter], files[2 * quarter :]
    each = seconds / 3
    requests, _ = _one_by_one(small, each, _SMALL)
    times, read = _one_by_one(whole, each, None)
    size = read / len(times)
    # Means: a throttle lets requests through in bursts, most of them at once.
    request, one = statistics.mean(requests), statistics.mean(times)
    began = time.perf_counter()
    late = time.monotonic() + each
    _drop(many)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sizes = list(pool.map(lambda path: _read(path, None) if time.monotonic() < late else 0, many))
    together = sum(sizes) / (time.perf_counter() - began)
    again = whole[len(times) - 1]
    began = time.perf_counter()
    _read(again, None)
    in_memory = time.perf_counter() - began
    ordered = sorted(times)
    return {
        "files": len(requests) + len(times) + sum(size > 0 for size in sizes),
        "file_bytes": size,
        "p50_s": statistics.median(times),
        "p99_s": ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        "request_s": request,
        "byte_s": max(0.0, (one - request) / max(1.0, size - _SMALL)),
        "one_bytes_per_s": read / sum(times),
        "many_bytes_per_s": together,
        "memory_s": in_memory,
        "place": _mount_of(files[0]),
    }


def _one_by_one(paths: list[str], seconds: float, most: int | None) -> tuple[list[float], int]:
    late = time.monotonic() + seconds
    times: list[float] = []
    total = 0
    _drop(paths)
    for path in paths:
        if times and time.monotonic() > late:
            break
        began = time.perf_counter()
        total += _read(path, most)
        times.append(time.perf_counter() - began)
    return times, total


def _read(path: str, most: int | None) -> int:
    file = os.open(path, os.O_RDONLY)
    try:
        if most is not None:  # no more than asked for
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
            return len(os.pread(file, most, 0))
        total = 0
        while part := os.read(file, 1 << 20):
            total += len(part)
        return total
    finally:
        os.close(file)


def _drop(paths: list[str]) -> None:
    """From the page cache, these files alone."""
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)


def _mount_of(path: str) -> str:
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.ismount(folder):
        folder = os.path.dirname(folder)
    return folder
