"""The loader alone, with nobody who computes: batches a second by the number of workers, or of our threads."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch.utils.data
from torch.utils.data import IterableDataset

from fastload.diagnosis.cache_sizes import cache_sizes
from fastload.diagnosis.loader_facts import is_ours, size_of
from fastload.diagnosis.sample_paths import path_of
from fastload.diagnosis.scalability import fitted
from fastload.machine import allowed_cores

_FEWEST_BATCHES = 4
_FEWEST_RATES, _SHORTEST_S = 2, 0.3
_WARMING = 0.15  # of the time, for reading files
_FEWEST_WARMED, _MOST_WARMED = 32, 2048
_LARGE, _MOST_ARE = (
    8,
    0.97,
)  # times an ordinary file's size; so many of the files are ordinary, or else size says nothing


def sweep(loader: Any, seconds: float, tell: Callable[[dict[str, Any]], None] = lambda found: None) -> dict[str, Any]:
    """The rates of ``loader``'s kind at several numbers of workers, and where it is another kind, of our native threads.

    Where samples are files, of those that are in memory. What tells most comes first, and what no time is left for is left out.

    Args:
        tell: called with what was found so far, after each rate.

    Returns:
        ``rates``: [workers, images a second] each; ``fit``: of :func:`scalability.fitted`, None from too few; ``unit``: "workers"
        or "threads"; ``native``: the same rates for our threads where the data set can be native and the loader is not on them;
        ``stages`` and ``sizes``, where threads were measured: their seconds by stage, and what a cache would hold.
    """
    until = time.monotonic() + seconds
    cores = allowed_cores()
    now = loader.num_workers
    numbers = [1, cores, now, 2 * cores, 2, *(2**k for k in range(2, 7) if 2**k <= cores)]
    native_now = on_native_threads(loader)
    samples = warmed(loader.dataset, _WARMING * seconds)
    own = _native if native_now else _stock
    # (whether they are our threads, the rivals of the loader's own kind; how many)
    tries = [(False, n) for n in dict.fromkeys(numbers) if n > 0]
    if not native_now and _native(loader, 1, samples) is not None:
        tries[2:2] = [(True, cores), (True, 1)] if cores > 1 else [(True, 1)]
    found: dict[str, Any] = {"unit": "threads" if native_now else "workers", "rates": [], "fit": None}
    stages: dict[str, float] = {}
    for place, (is_rival, n) in enumerate(tries):
        left = until - time.monotonic()
        if left <= 0 and place >= _FEWEST_RATES:
            break
        made = (_native if is_rival else own)(loader, n, samples)
        rates = found.setdefault("native", []) if is_rival else found["rates"]
        rates.append([n, _rate(made, max(_SHORTEST_S, left / (len(tries) - place)))])
        rates.sort()
        if (is_rival or native_now) and n <= cores:
            stages = _stages(made) or stages
        found["fit"] = fitted(found["rates"])
        if stages:
            found.update(stages=stages, sizes=found.get("sizes") or cache_sizes(loader.dataset))
        tell(found)
    return found


def rate_now(loader: Any, samples: Sequence[int], seconds: float) -> tuple[int, float]:
    """The workers or threads that ``loader`` has (one in the place of none), and their images a second over these samples."""
    if on_native_threads(loader):
        threads = max(1, loader._thread_count())
        return threads, _rate(_native(loader, threads, samples), seconds)
    workers = max(1, loader.num_workers)
    return workers, _rate(_stock(loader, workers, samples), seconds)


def warmed(dataset: Any, seconds: float) -> list[int] | None:
    """Samples whose files have been read, so that they are in memory, without the few that are much larger than the others, which
    are reckoned with one by one. None: samples are no files."""
    if isinstance(dataset, IterableDataset):
        return None
    length = len(dataset)
    late = time.monotonic() + seconds
    sizes: dict[int, int] = {}
    for index in random.Random(0).sample(range(length), min(length, _MOST_WARMED)):  # as items that were timed alone
        path = path_of(dataset, index)
        if path is None:
            return None
        if time.monotonic() > late and len(sizes) >= _FEWEST_WARMED:
            break
        with contextlib.suppress(OSError):
            sizes[index] = len(Path(path).read_bytes())
    usual = statistics.median(sizes.values()) if sizes else 0
    ordinary = [index for index, size in sizes.items() if size <= _LARGE * usual]
    return ordinary if len(ordinary) >= _MOST_ARE * len(sizes) > 0 else [*sizes] or None


def _stages(loader: Any) -> dict[str, float]:
    """Seconds of native threads by stage, in the epoch that was measured."""
    return dict(loader.stats().get("stages") or {})


def _stock(loader: Any, workers: int, samples: Sequence[int] | None) -> Any:
    """torch's loader, or a subclass that the data set needs no help of, without what belongs to the device."""
    if isinstance(loader.dataset, IterableDataset):
        return torch.utils.data.DataLoader(
            loader.dataset, batch_size=loader.batch_size, num_workers=workers, collate_fn=loader.collate_fn
        )
    kind: Any = torch.utils.data.DataLoader
    if is_ours(loader):
        from fastload.loader import DataLoader as kind
    return kind(
        loader.dataset,
        batch_sampler=_Shuffled(samples or range(len(loader.dataset)), _batch_size(loader)),
        num_workers=workers,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        prefetch_factor=loader.prefetch_factor if loader.num_workers else None,
    )


def _native(loader: Any, threads: int, samples: Sequence[int] | None) -> Any:
    """A loader of ours on native threads over the same data set; None where it would not be native."""
    # Without torchvision there is nothing native, and importing it takes longer than all experiments may.
    if isinstance(loader.dataset, IterableDataset) or "torchvision" not in sys.modules:
        return None
    from fastload.loader import DataLoader

    made: Any = DataLoader(
        loader.dataset,
        batch_sampler=_Shuffled(samples or range(len(loader.dataset)), _batch_size(loader)),
        num_workers=threads,
        threads=threads,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
    )
    return made if _is_native(made) else None


def on_native_threads(loader: Any) -> bool:
    """Whether it is one of ours, and they make its batches."""
    return is_ours(loader) and _is_native(loader)


def _is_native(loader: Any) -> bool:
    """Of a loader of ours."""
    from fastload.batches import require_native
    from fastload.reports import NotNativeError

    try:
        require_native(loader)
    except NotNativeError:
        return False
    return True


def _batch_size(loader: Any) -> int:
    return int(loader.batch_size or getattr(loader.batch_sampler, "batch_size", None) or 1)


class _Shuffled:
    """Batches of samples without end: each in turn, in a fixed mixed order."""

    def __init__(self, samples: Sequence[int], batch: int) -> None:
        length = len(samples)
        self._samples, self._batch = samples, batch
        self._step = next(s for s in itertools.count(max(1, int(length * 0.618))) if math.gcd(s, length) == 1)

    def __iter__(self) -> Iterator[list[int]]:
        order = (self._samples[k * self._step % len(self._samples)] for k in itertools.count())
        while True:
            yield list(itertools.islice(order, self._batch))


def _rate(loader: Any, seconds: float) -> float:
    """Images a second, after each worker's first batch and over at least one of each: workers that share cores end theirs together.

    Where twice the time is up before that, from the first batch.
    """
    iterator = iter(loader)
    images = size_of(next(iterator))[0] or 1
    first = began = time.monotonic()
    each = max(1, loader.num_workers)
    came, measured_from = 1, each
    while came - measured_from < max(each, _FEWEST_BATCHES) or time.monotonic() < began + seconds:
        if time.monotonic() > first + 2 * seconds or next(iterator, None) is None:
            break
        came += 1
        if came == measured_from:
            began = time.monotonic()
    now = time.monotonic()
    if came - measured_from < min(each, _FEWEST_BATCHES):
        measured_from, began = 1, first
    rate: float = max(1, came - measured_from) * images / max(now - began, 1e-9)
    shut = getattr(iterator, "_shutdown_workers", None)
    if shut is not None:
        shut()
    return rate
