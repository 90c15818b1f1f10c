"""The loader alone over copies of its files in memory, where no page cache keeps what was read, as with some file systems."""

from __future__ import annotations

import os
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch.utils.data import IterableDataset

from fastload.diagnosis.loader_experiment import rate_now
from fastload.diagnosis.sample_paths import path_of, put_in_place

_MOST, _MOST_BYTES, _LARGE = 256, 64 << 20, 8 << 20
_FEWEST, _AT_ONCE, _TIMED = 8, 8, 5
_COPYING = 0.4  # of the time
# A file that is read again takes longer than its copy: so many times, and so many seconds.
_TIMES, _LONGER_S = 4.0, 1e-3


def from_memory(loader: Any, folder: str, seconds: float) -> dict[str, Any] | None:
    """Changes the data set's paths: to be called in a process that is nobody else's.

    Args:
        folder: for the copies.

    Returns:
        ``workers`` (or threads), ``rate`` (their images a second), ``files``. None where samples are no files, or large ones, and
        where these are kept in memory once they were read: then the other experiments tell.
    """
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset):
        return None
    until = time.monotonic() + _COPYING * seconds
    chosen = random.Random(0).sample(range(len(dataset)), min(len(dataset), _MOST))
    paths = {index: path for index in chosen if (path := path_of(dataset, index)) is not None}
    if len(paths) < _FEWEST or any(os.path.getsize(path) > _LARGE for path in paths.values()):
        return None
    if _is_kept(list(paths.values())[:_TIMED]):
        return None
    copies = _copied(paths, Path(folder), until)
    samples = [index for index, path in copies.items() if put_in_place(dataset, index, path)]
    if len(samples) < _FEWEST:
        return None
    workers, rate = rate_now(loader, samples, (1 - _COPYING) * seconds)
    return {"workers": workers, "rate": rate, "files": len(samples)}


def _is_kept(paths: list[str]) -> bool:
    """Whether what was read once is in memory."""
    longer = []
    for path in paths:
        content = _read(path)
        began = time.perf_counter()
        _read(path)
        again = time.perf_counter() - began
        began = time.perf_counter()
        bytes(bytearray(content))  # copied twice: a read from the page cache is of that kind
        copying = time.perf_counter() - began
        longer.append(again - max(_TIMES * copying, _LONGER_S))
    return statistics.median(longer) <= 0


def _copied(paths: dict[int, str], folder: Path, until: float) -> dict[int, str]:
    """Sample -> its file's copy, of as many as there is time for."""
    copies: dict[int, str] = {}
    left = _MOST_BYTES

    def copy(item: tuple[int, str]) -> None:
        nonlocal left
        index, path = item
        if left <= 0 or (time.monotonic() > until and len(copies) >= _FEWEST):
            return
        content = _read(path)
        left -= len(content)
        place = folder / f"sample-{index}{Path(path).suffix}"
        place.write_bytes(content)
        copies[index] = str(place)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(copy, paths.items()))
    return copies


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
