"""Reading a data set's own files out of the page cache, timed: one after the other, or many at once."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from fastload.diagnosis.page_cache import drop

# Of larger files, shards, a piece as large as a photo is read, somewhere in them.
_PIECE = 128 << 10
LARGE = 16 << 20
MOST = 4096

Piece = tuple[str, int, int]  # path, offset, bytes


def pieces_of(files: Sequence[str], draw: random.Random) -> Iterator[Piece]:
    """Whole files, and some pieces of each large one; nothing of empty ones. Raises OSError."""
    for path in files:
        size = os.stat(path).st_size
        if size > LARGE:
            for _ in range(min(64, MOST // len(files) + 1)):
                yield path, draw.randrange(size - _PIECE), _PIECE
        elif size:
            yield path, 0, size


def in_time(pieces: Sequence[Piece], seconds: float, fewest: int) -> Iterator[Piece]:
    """Each, until the time is over; so many at least."""
    until = time.perf_counter() + seconds
    for place, piece in enumerate(pieces):
        if place >= fewest and time.perf_counter() > until:
            return
        yield piece


def drop_all(pieces: Sequence[Piece]) -> None:
    """Their files from the page cache, and no others."""
    for path in {path for path, _, _ in pieces}:
        drop(path)


def read(piece: Piece, most: int | None = None) -> int:
    """How many bytes came; ``most``: no more than so many, and nothing is read ahead."""
    path, offset, size = piece
    file = os.open(path, os.O_RDONLY)
    try:
        if most is not None:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
        return len(os.pread(file, size if most is None else min(size, most), offset))
    finally:
        os.close(file)


def one_by_one(pieces: Sequence[Piece], seconds: float, most: int | None = None) -> tuple[list[float], int]:
    """The seconds that each took, one at least, and the bytes of all, until the time is over."""
    took: list[float] = []
    total, until = 0, time.perf_counter() + seconds
    for piece in pieces:
        began = time.perf_counter()
        total += read(piece, most)
        took.append(time.perf_counter() - began)
        if time.perf_counter() > until:
            break
    return took, total


def at_once(pieces: Sequence[Piece], seconds: float, in_flight: int) -> tuple[float, float, int]:
    """Files a second, bytes a second, and how many files that were, with so many requests under way."""
    began = time.perf_counter()
    until, left = began + seconds, iter(pieces)
    counts: list[int] = []

    def work() -> None:
        while time.perf_counter() < until and (piece := next(left, None)) is not None:
            counts.append(read(piece))

    with ThreadPoolExecutor(in_flight) as pool:
        for task in [pool.submit(work) for _ in range(in_flight)]:
            task.result()
    took = time.perf_counter() - began
    return len(counts) / took, sum(counts) / took, len(counts)
