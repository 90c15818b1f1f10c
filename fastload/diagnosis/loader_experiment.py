"""The loader alone, with nobody who computes: batches a second by the number of workers, or of our threads."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from typing import Any

import torch.utils.data
from torch.utils.data import IterableDataset

from fastload.diagnosis.scalability import fitted

_FEWEST_BATCHES = 4


def sweep(loader: Any, seconds: float) -> dict[str, Any]:
    """The rates of ``loader``'s kind at several numbers of workers, and where it is another kind, of our native threads.

    Returns:
        ``rates``: [workers, images a second] each; ``fit``: of :func:`scalability.fitted`, None from too few; ``unit``: "workers"
        or "threads"; ``native``: the same rates for our threads where the data set can be native and the loader is not on them.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    now = loader.num_workers
    numbers = sorted({1, 2, cores, 2 * cores, now, *(2**k for k in range(1, 7) if 2**k <= cores)} - {0})
    native_now = _runs_natively(loader)
    other = [] if native_now else [n for n in (1, cores) if _native(loader, n) is not None]
    each = seconds / max(1, len(numbers) + len(other))
    rates = []
    for n in numbers:
        made = _native(loader, n) if native_now else _stock(loader, n)
        rates.append([n, _rate(made, each)])
    found: dict[str, Any] = {"unit": "threads" if native_now else "workers", "rates": rates, "fit": fitted(rates)}
    if other:
        found["native"] = [[n, _rate(_native(loader, n), each)] for n in sorted(set(other))]
    return found


def _stock(loader: Any, workers: int) -> Any:
    """torch's loader, or a subclass that the data set needs no help of, without what belongs to the device."""
    if isinstance(loader.dataset, IterableDataset):
        return torch.utils.data.DataLoader(
            loader.dataset, batch_size=loader.batch_size, num_workers=workers, collate_fn=loader.collate_fn
        )
    ours = type(loader).__module__.startswith("fastload.")
    kind: Any = torch.utils.data.DataLoader
    if ours:
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
    from fastload.loader import DataLoader, require_native
    from fastload.reports import NotNativeError

    if isinstance(loader.dataset, IterableDataset):
        return None
    made: Any = DataLoader(
        loader.dataset,
        batch_sampler=_Shuffled(len(loader.dataset), _batch_size(loader)),
        num_workers=threads,
        threads=threads,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
    )
    try:
        require_native(made)
    except NotNativeError:
        return None
    return made


def _runs_natively(loader: Any) -> bool:
    if not type(loader).__module__.startswith("fastload."):
        return False
    from fastload.loader import require_native
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
        self._step = next(s for s in itertools.count(max(1, int(length * 0.618))) if _are_prime_to(s, length))

    def __iter__(self) -> Iterator[list[int]]:
        order = (k * self._step % self._length for k in itertools.count())
        while True:
            yield list(itertools.islice(order, self._batch))


def _are_prime_to(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a == 1


def _rate(loader: Any, seconds: float) -> float:
    """Images a second, from the batch after those that were begun at the start."""
    iterator = iter(loader)
    skip = 1 + loader.num_workers
    late = time.monotonic() + seconds
    first = next(iterator)
    images = _count(first)
    for _ in range(skip - 1):
        if time.monotonic() > late:
            break
        next(iterator)
    began, batches = time.monotonic(), 0
    late = max(late, began)
    while batches < _FEWEST_BATCHES or time.monotonic() < late:
        if next(iterator, None) is None:
            break
        batches += 1
        if batches >= 2 and time.monotonic() > late + seconds:
            break
    rate = batches * images / max(time.monotonic() - began, 1e-9)
    shut = getattr(iterator, "_shutdown_workers", None)
    if shut is not None:
        shut()
    return rate


def _count(batch: Any) -> int:
    from fastload.diagnosis.loader_facts import size_of

    return size_of(batch)[0] or 1
