"""Reading a data set's own files as a training would, out of the page cache, and decoding them from it: measured, in short."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from fastload.diagnosis.machine_facts import Reads
from fastload.diagnosis.page_cache import drop, resident_share

IN_FLIGHT = 16
# Of larger files, shards, a piece as large as a photo is read, somewhere in them.
_PIECE = 128 << 10
_LARGE = 16 << 20
_MOST = 4096
_FEWEST = 8

Piece = tuple[str, int, int]  # path, offset, bytes


def probe_reads(files: list[str], seconds: float, decoded: float | None = None) -> Reads | None:
    """None where there are too few files to say anything.

    A third of the time each: one at a time in random order, many at once in random order, one after the other in the order of
    their names. No file is read twice, and each was dropped from the page cache just before; pages are never dropped of any
    file but these.
    """
    draw = random.Random(0)
    chosen = [*_pieces(draw.sample(files, min(len(files), _MOST)), draw)]
    if len(chosen) < _FEWEST:
        return None
    third = len(chosen) // 3
    alone, together, in_order = chosen[:third], chosen[third : 2 * third], sorted(chosen[2 * third :])
    for path in {path for path, _, _ in chosen}:
        drop(path)
    dropped = _are_dropped([path for path, _, size in chosen if size < _LARGE][:32])
    took = _timed_reads(alone, seconds / 3)
    return Reads(
        sequential=_rate(in_order, seconds / 3, 1)[1],
        random_p50=statistics.median(took),
        random_p99=sorted(took)[min(len(took) - 1, int(0.99 * len(took)))],
        at_once=_rate(together, seconds / 3, IN_FLIGHT)[0],
        mean_size=sum(size for _, _, size in chosen) / len(chosen),
        dropped=dropped,
        decoded=decoded,
    )


def probe_decoding(files: list[str], seconds: float) -> float | None:
    """Images a second that native threads on the usable cores decode, crop and resize, from the page cache; None: these are no
    images that they can decode."""
    import torchvision.transforms as T

    import fastload

    images = [path for path in files if path.lower().endswith((".jpg", ".jpeg"))][:256]
    if len(images) < _FEWEST:
        return None
    for path in images:
        with open(path, "rb") as file:
            file.read()
    crops = T.Compose([T.RandomResizedCrop(224), T.ToTensor()])
    data = fastload.ImageFiles(images, transform=crops)
    loader = fastload.DataLoader(data, batch_size=_FEWEST, on_error="skip", rng="index")
    rates: list[float] = []
    until = time.perf_counter() + seconds
    while not rates or time.perf_counter() < until:
        began, count = time.perf_counter(), 0
        for batch in loader:
            count += len(batch)
            if time.perf_counter() > until:
                break
        rates.append(count / (time.perf_counter() - began))
    return max(rates)


def _pieces(files: list[str], draw: random.Random) -> Iterator[Piece]:
    for path in files:
        size = os.stat(path).st_size
        if size > _LARGE:
            for _ in range(min(64, _MOST // len(files) + 1)):
                yield path, draw.randrange(size - _PIECE), _PIECE
        elif size:
            yield path, 0, size


def _are_dropped(paths: list[str]) -> bool | None:
    shares = [share for share in map(resident_share, paths) if share is not None]
    return statistics.mean(shares) < 0.1 if shares else None


def _read(piece: Piece) -> int:
    path, offset, size = piece
    file = os.open(path, os.O_RDONLY)
    try:
        return len(os.pread(file, size, offset))
    finally:
        os.close(file)


def _timed_reads(pieces: list[Piece], seconds: float) -> list[float]:
    took, until = [], time.perf_counter() + seconds
    for piece in pieces:
        began = time.perf_counter()
        _read(piece)
        took.append(time.perf_counter() - began)
        if began > until:
            break
    return took


def _rate(pieces: list[Piece], seconds: float, in_flight: int) -> tuple[float, float]:
    """Files and bytes a second."""
    began = time.perf_counter()
    until, left, counts = began + seconds, iter(pieces), []

    def work() -> None:
        while time.perf_counter() < until and (piece := next(left, None)) is not None:
            counts.append(_read(piece))

    with ThreadPoolExecutor(in_flight) as pool:
        for task in [pool.submit(work) for _ in range(in_flight)]:
            task.result()
    took = time.perf_counter() - began
    return len(counts) / took, sum(counts) / took
