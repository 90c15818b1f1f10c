"""The storage under a data set, with its own files, dropped from memory before: by request and byte, many at once, in order."""

from __future__ import annotations

import itertools
import math
import os
import random
import statistics
import time
from collections.abc import Sequence
from typing import Any

from fastload.diagnosis.machine_facts import Reads
from fastload.diagnosis.page_cache import resident_share
from fastload.diagnosis.timed_reads import LARGE, MOST, Piece, at_once, drop_all, in_time, one_by_one, pieces_of, read

_AT_ONCE, _DOCTORS_AT_ONCE = 8, 16
_SMALL = 4096
_LOOKED_AT = 256
_FEWEST, _DOCTORS_FEWEST = 4, 8


def probe(paths: Sequence[str], seconds: float) -> dict[str, Any] | None:
    """For ``fastload profile``. None where there are too few files. The files' own sizes, in a random order; each is read once.

    Returns:
        ``files``, ``file_bytes`` (their mean size), ``p50_s`` and ``p99_s`` of opening and reading one whole file, ``request_s`` of
        opening one and reading 4 KiB, ``byte_s`` (what each further byte adds), ``one_bytes_per_s`` and ``many_bytes_per_s`` (one
        and eight files at a time), ``sequential_bytes_per_s`` (in the order of their names), ``memory_s`` (a file that is in
        memory), ``place`` (the mount), ``cached_share`` (of the files' bytes, what was in the page cache before; None: the kernel
        does not tell).
    """
    draw = random.Random(0)
    files = [*pieces_of([path for path in paths if os.path.isfile(path)], draw)]
    if len(files) < _FEWEST:
        return None
    draw.shuffle(files)
    part = seconds / 6  # where opening a file takes long, asking and dropping do, too
    cached = _cached_share([path for path, _, _ in files[:_LOOKED_AT]], part)
    dropped = []
    for piece in in_time(files, part, 2 * _FEWEST):
        drop_all([piece])
        dropped.append(piece)
    quarter = max(1, len(dropped) // 4)
    small, whole, many = dropped[:quarter], dropped[quarter : 2 * quarter], dropped[2 * quarter : 3 * quarter]
    in_order = sorted(dropped[3 * quarter :])
    requests, _ = one_by_one(small, part, _SMALL)
    times, size_read = one_by_one(whole, part)
    _, together, count = at_once(many, part, _AT_ONCE)
    _, sequential, count_in_order = at_once(in_order, part, 1)
    size = size_read / len(times)
    # Means: a throttle lets requests through in bursts, most of them at once.
    request, one = statistics.mean(requests), statistics.mean(times)
    began = time.perf_counter()
    read(whole[len(times) - 1])
    in_memory = time.perf_counter() - began
    return {
        "files": len(requests) + len(times) + count + count_in_order,
        "file_bytes": size,
        "p50_s": statistics.median(times),
        "p99_s": _percentile_99(times),
        "request_s": request,
        "byte_s": max(0.0, (one - request) / max(1.0, size - _SMALL)),
        "one_bytes_per_s": size_read / sum(times),
        "many_bytes_per_s": together,
        "sequential_bytes_per_s": sequential,
        "memory_s": in_memory,
        "cached_share": cached,
        "place": _mount_of(files[0][0]),
    }


def probe_reads(files: list[str], seconds: float, decoded: float | None = None) -> Reads | None:
    """For ``fastload doctor``. None where there are too few files to say anything.

    A third of the time each: one at a time in random order, many at once in random order, one after the other in the order of
    their names. No file is read twice, and each was dropped from the page cache before; pages are never dropped of any file but
    these.
    """
    draw = random.Random(0)
    chosen: list[Piece] = [*pieces_of(draw.sample(files, min(len(files), MOST)), draw)]
    if len(chosen) < _DOCTORS_FEWEST:
        return None
    third = len(chosen) // 3
    alone, together, in_order = chosen[:third], chosen[third : 2 * third], sorted(chosen[2 * third :])
    drop_all(chosen)
    dropped = _are_dropped([path for path, _, size in chosen if size < LARGE][:32])
    took, _ = one_by_one(alone, seconds / 3)
    return Reads(
        sequential=at_once(in_order, seconds / 3, 1)[1],
        random_p50=statistics.median(took),
        random_p99=_percentile_99(took),
        at_once=at_once(together, seconds / 3, _DOCTORS_AT_ONCE)[0],
        mean_size=sum(size for _, _, size in chosen) / len(chosen),
        dropped=dropped,
        decoded=decoded,
    )


def _percentile_99(times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(0.99 * len(times)))]


def _are_dropped(paths: list[str]) -> bool | None:
    share = _cached_share(paths)
    return None if share is None else share < 0.1


def _cached_share(paths: list[str], seconds: float = math.inf) -> float | None:
    """By mincore(2), file by file, of as many as there is time for."""
    until = time.perf_counter() + seconds
    looked = itertools.takewhile(lambda _: time.perf_counter() < until, paths)
    shares = [share for share in map(resident_share, looked) if share is not None]
    return statistics.mean(shares) if shares else None


def _mount_of(path: str) -> str:
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.ismount(folder):
        folder = os.path.dirname(folder)
    return folder
