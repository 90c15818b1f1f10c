"""Single items on one thread, from memory: what each costs, and which are the slowest."""

from __future__ import annotations

import os
import random
import statistics
import time
from typing import Any

from torch.utils.data import IterableDataset

from fastload.diagnosis.sample_paths import path_of

_MOST = 256
_SLOWEST = 10


def items_alone(loader: Any, seconds: float) -> dict[str, Any] | None:
    """Makes items by ``dataset[i]``: the largest files first, then a random choice; each twice, of which the second counts.

    Returns:
        ``items``, ``mean_s``, ``median_s`` and ``first_mean_s`` (of the first time), and ``slowest``: (seconds, index, path).
        None for an iterable data set.
    """
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
        return None
    length = len(dataset)
    chosen = random.Random(0).sample(range(length), min(length, _MOST))
    large = _largest_files(dataset, length)
    late = time.monotonic() + seconds
    warm: dict[int, float] = {}
    cold: list[float] = []
    for index in dict.fromkeys([*large, *chosen]):
        if len(warm) >= 3 and time.monotonic() > late:
            break
        cold.append(_timed(dataset, index))
        warm[index] = _timed(dataset, index)
    usual = [warm[index] for index in warm if index not in large] or list(warm.values())
    slowest = sorted(warm, key=lambda index: -warm[index])[:_SLOWEST]
    return {
        "items": len(warm),
        "mean_s": statistics.mean(usual),
        "median_s": statistics.median(usual),
        "first_mean_s": statistics.mean(cold),
        "slowest": [(warm[index], str(index), path_of(dataset, index)) for index in slowest],
    }


def _timed(dataset: Any, index: int) -> float:
    began = time.perf_counter()
    dataset[index]
    return time.perf_counter() - began


def _largest_files(dataset: Any, length: int) -> list[int]:
    """Indices of the few largest of some thousand files."""
    step = max(1, length // 4000)
    sizes = []
    for index in range(0, length, step):
        path = path_of(dataset, index)
        if path is None:
            return []
        try:
            sizes.append((os.stat(path).st_size, index))
        except OSError:
            continue
    return [index for _, index in sorted(sizes, reverse=True)[:3]]
