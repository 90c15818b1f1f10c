"""The loader alone, with nobody who computes: batches a second by the number of workers, or of our threads."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch.utils.data
from torch.utils.data import IterableDataset

from fastload.diagnosis.cache_sizes import cache_sizes
from fastload.diagnosis.loader_facts import is_ours, size_of
from fastload.diagnosis.scalability import fitted
from fastload.machine import allowed_cores

_FEWEST_BATCHES = 4


def sweep(loader: Any, seconds: float) -> dict[str, Any]:
    """The rates of ``loader``'s kind at several numbers of workers, and where it is another kind, of our native threads.

    Returns:
        ``rates``: [workers, images a second] each; ``fit``: of :func:`scalability.fitted`, None from too few; ``unit``: "workers"
        or "threads"; ``native``: the same rates for our threads where the data set can be native and the loader is not on them;
        ``stages`` and ``sizes``, where threads were measured: their seconds by stage, and what a cache would hold.
    """
    cores = allowed_cores()
    now = loader.num_workers
    numbers = sorted({1, 2, cores, 2 * cores, now, *(2**k for k in range(1, 7) if 2**k <= cores)} - {0})
    native_now = is_ours(loader) and _is_native(loader)
    other = [] if native_now else [n for n in (1, cores) if _native(loader, n) is not None]
    each = seconds / max(1, len(numbers) + len(other))
    rates = []
    stages: dict[str, float] = {}
    for n in numbers:
        made = _native(loader, n) if native_now else _stock(loader, n)
        rates.append([n, _rate(made, each)])
        stages = _stages(made) if native_now and n <= cores else stages
    found: dict[str, Any] = {"unit": "threads" if native_now else "workers", "rates": rates, "fit": fitted(rates)}
    if other:
        found["native"] = []
        for n in sorted(set(other)):
            made = _native(loader, n)
            found["native"].append([n, _rate(made, each)])
            stages = _stages(made)
    if stages:
        found.update(stages=stages, sizes=cache_sizes(loader.dataset))
    return found


def _stages(loader: Any) -> dict[str, float]:
    """Seconds of native threads by stage, in the epoch that was measured."""
    return dict(loader.stats().get("stages") or {})


def _stock(loader: Any, workers: int) -> Any:
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
        batch_sampler=_Shuffled(len(loader.dataset), _batch_size(loader)),
        num_workers=workers,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        prefetch_factor=loader.prefetch_factor if loader.num_workers else None,
    )


def _native(loader: Any, threads: int) -> Any:
    """A loader of ours on native threads over the same data set; None where it would not be native."""
    # Without torchvision there is nothing native, and importing it takes longer than all experiments may.
    if isinstance(loader.dataset, IterableDataset) or "torchvision" not in sys.modules:
        return None
    from fastload.loader import DataLoader

    made: Any = DataLoader(
        loader.dataset,
        batch_sampler=_Shuffled(len(loader.dataset), _batch_size(loader)),
        num_workers=threads,
        threads=threads,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
    )
    return made if _is_native(made) else None


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
    """Batches of indices without end: each sample in turn, in a fixed mixed order."""

    def __init__(self, length: int, batch: int) -> None:
        self._length, self._batch = length, min(batch, length)
        self._step = next(s for s in itertools.count(max(1, int(length * 0.618))) if math.gcd(s, length) == 1)

    def __iter__(self) -> Iterator[list[int]]:
        order = (k * self._step % self._length for k in itertools.count())
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
