"""One loader in a training loop for a few seconds: images a second over its epochs, and what a step waits and computes."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import torch

from fastload.diagnosis.loader_facts import size_of

_END = object()
_FEWEST_BATCHES = 3
_LONGEST = 1.5  # an epoch is gone on with to its end if that takes no more than so many times the time of the trial


@dataclass
class Trial:
    """What was measured.

    Attributes:
        rate: images a second over whole epochs, their beginnings included.
        steady: … between them, while the loop runs.
        start: seconds from asking for an epoch to its first batch, the first time.
        wait, work: seconds of a step until it has its batch, and from then on: together those of a step at ``rate``.
        images: of a batch, on average.
        began, ended: on the machine's monotonic clock.
        stats: of fastload's loader.
    """

    rate: float
    steady: float
    start: float
    wait: float
    work: float
    images: float
    began: float
    ended: float
    stats: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Epoch:
    began: float
    start: float = 0.0
    images: int = 0
    steps: int = 0
    ended: float | None = None


def try_out(make: Callable[[], Any], seconds: float) -> Generator[Any, None, Trial]:
    """Yields the batches of the loader that ``make`` gives, epoch after epoch, to who trains with them.

    An epoch that is over about as soon as the time is measured whole; of a longer one, what it would take at the rate that the
    steps had once each worker had given a batch.
    """
    loader = make()
    began = time.perf_counter()
    iterator: Any = None
    epochs: list[_Epoch] = []
    works: list[float] = []
    workers = max(1, int(loader.num_workers))
    steps = _Steady(workers)
    try:
        while True:
            epoch = _Epoch(time.perf_counter())
            epochs.append(epoch)
            iterator = iter(loader)
            steps.begin()
            batches = 0
            while True:
                batch = next(iterator, _END)
                got = time.perf_counter()
                if batch is _END:
                    break
                images = size_of(batch)[0] or 1
                if batches == 0:
                    epoch.start = got - epoch.began
                batches += 1
                yield batch
                back = time.perf_counter()
                epoch.images += images
                epoch.steps += 1
                works.append(back - got)
                steps.add(images, back, ready(iterator))
                if back - began >= seconds and steps.batches >= _FEWEST_BATCHES:
                    left = _length(loader) - batches
                    if left * steps.seconds_each() > _LONGEST * seconds:
                        _synchronize()
                        steps.end(time.perf_counter(), ready(iterator))
                        return _trial(loader, epochs, steps, works, began)
            if batches == 0:
                raise ValueError("the loader's epoch has no batch")
            _synchronize()
            epoch.ended = time.perf_counter()
            steps.pause()
            if epoch.ended - began >= seconds and (len(epochs) > 1 or not _stays(loader)):
                return _trial(loader, epochs, steps, works, began)
    finally:
        _let_go(loader, iterator)


class _Steady:
    """The rate between the beginnings of epochs: what was made, not what was taken of a store that lay ready."""

    def __init__(self, workers: int) -> None:
        self._skip = workers
        self.batches = 0
        self._images = 0.0
        self._seconds = 0.0
        self.begin()

    def begin(self) -> None:
        self._seen = 0
        self._since: float | None = None
        self._ready = 0
        self._of_batch = 0

    def add(self, images: int, now: float, ready_batches: int) -> None:
        self._seen += 1
        if self._seen < self._skip:
            return
        if self._since is None:
            self._since, self._ready = now, ready_batches
            return
        self.batches += 1
        self._images += images
        self._of_batch = images
        self._seconds += now - self._since
        self._since = now

    def end(self, now: float, ready_batches: int) -> None:
        """In the middle of an epoch."""
        if self._since is not None:
            self._seconds += now - self._since
            self._images += (ready_batches - self._ready) * self._of_batch

    def pause(self) -> None:
        """An epoch is over."""
        self._images -= self._ready * self._of_batch

    def seconds_each(self) -> float:
        return self._seconds / max(1, self.batches)

    def rate(self) -> float:
        return self._images / self._seconds if self._seconds > 0 and self._images > 0 else 0.0


def _trial(loader: Any, epochs: list[_Epoch], steps: _Steady, works: list[float], began: float) -> Trial:
    whole = [epoch for epoch in epochs if epoch.ended is not None]
    counted = whole[1:] or whole
    steady = steps.rate()
    of = counted or epochs  # whose steps all figures are of
    first = epochs[0].steps if len(whole) > 1 else 0
    taken = max(1, sum(epoch.steps for epoch in of))
    images = sum(epoch.images for epoch in of) / taken
    work = statistics.mean(works[first : first + taken])
    if counted:
        seconds = sum((epoch.ended or 0.0) - epoch.began for epoch in counted)
        rate = sum(epoch.images for epoch in counted) / seconds
    else:
        rate = _over_an_epoch(loader, epochs[0].start, steady, images)
    rate = min(rate, images / work) if work > 0 else rate  # what lay ready is not to be counted twice
    return Trial(
        rate=rate,
        steady=steady or rate,
        start=epochs[0].start,
        wait=images / rate - work if rate > 0 else epochs[0].start,
        work=work,
        images=images,
        began=began,
        ended=time.perf_counter(),
        stats=loader.stats() if hasattr(loader, "stats") else {},
    )


def _over_an_epoch(loader: Any, start: float, steady: float, batch: float) -> float:
    batches = _length(loader)
    if steady <= 0 or math.isinf(batches) or _stays(loader):
        return steady
    return batches * batch / (start + (batches - 1) * batch / steady)


def _length(loader: Any) -> float:
    """Batches of an epoch; infinite where nobody knows."""
    try:
        return len(loader)
    except Exception:  # somebody's data set or sampler
        return math.inf


def _stays(loader: Any) -> bool:
    return bool(loader.persistent_workers and loader.num_workers > 0)


def ready(iterator: Any) -> int:
    """Batches that have been made and not been taken."""
    tasks = getattr(iterator, "_task_info", None)
    if isinstance(tasks, dict):
        made = sum(len(task) == 2 for task in list(tasks.values()))
        with contextlib.suppress(Exception):  # not every system counts what lies in a pipe
            made += iterator._data_queue.qsize()
        return made
    queue = getattr(iterator, "_queue", None)
    return int(queue()[0]) if callable(queue) else 0


def _synchronize() -> None:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _let_go(loader: Any, iterator: Any) -> None:
    """Workers end before the next loader is tried."""
    shut = getattr(iterator, "_shutdown_workers", None)
    if callable(shut):
        with contextlib.suppress(Exception):
            shut()
    if getattr(loader, "_iterator", None) is not None:
        loader._iterator = None
