"""The time of a run's steps in shares that sum to one: computing, copying, and what was waited for."""

from __future__ import annotations

import bisect
import statistics
from dataclasses import dataclass, field

import numpy as np

from fastload.diagnosis.facts import Facts, Fetch, LoaderFacts, Step
from fastload.diagnosis.fetch_costs import (
    AUGMENTING,
    CORES,
    DECODING,
    NESTED,
    PYTHON,
    REST,
    SHARED_MEMORY,
    STORAGE,
    costs_of,
    waits_for_storage,
)

COMPUTE, LAUNCH, COPY, QUEUE, MAIN_THREAD, EPOCH_START, RANKS = (
    "compute",
    "launch",
    "copy",
    "queue",
    "main_thread",
    "epoch_start",
    "other_ranks",
)
KINDS = (
    COMPUTE,
    LAUNCH,
    COPY,
    STORAGE,
    DECODING,
    AUGMENTING,
    PYTHON,
    NESTED,
    SHARED_MEMORY,
    CORES,
    QUEUE,
    MAIN_THREAD,
    EPOCH_START,
    RANKS,
    REST,
)
"""All shares that there are, in the order of reports."""
_NO_WAITING = (COMPUTE, LAUNCH, COPY, RANKS)

# One item holds a batch if it takes half of the batch's time, and so many times an ordinary one's.
_HOLDS = 0.5
_TIMES = 8.0
_RESAMPLES = 200
_FEWEST_LOOKS = 8
# Points of a hundredth by which NVML, and what is seen of it, may be off.
_UNSURE = 0.03
_CLOCKS_S = 1e-3  # by which two processes may see one moment apart


@dataclass
class Shares:
    """Of one loader.

    Attributes:
        seconds: by kind.
        intervals: of each kind's share, from 5 to 95 percent, by resampling steps.
        first_start: of the seconds, those of the first epoch's start and the last one's end, which nothing saves.
        held_by: what held batches back: (seconds, index, path), the longest first.
        by_epoch: shares of the waits, by kind, for each epoch.
    """

    seconds: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    first_start: float = 0.0
    held_by: list[tuple[float, str, str | None]] = field(default_factory=list)
    by_epoch: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """All seconds."""
        return sum(self.seconds.values())

    def __getitem__(self, kind: str) -> float:
        """A share, of one."""
        total = self.total
        return self.seconds.get(kind, 0.0) / total if total > 0 else 0.0

    @property
    def waiting(self) -> float:
        """The share of all that is neither computing nor copying, nor another rank's, nor the very first start."""
        return max(0.0, self.waited - self.first)

    @property
    def waited(self) -> float:
        """The share of all that is neither computing nor copying, nor another rank's."""
        return max(0.0, 1.0 - sum(self[kind] for kind in _NO_WAITING)) if self.total > 0 else 0.0

    @property
    def first(self) -> float:
        """The share of the very first start."""
        return self.first_start / self.total if self.total > 0 else 0.0


def shares_of(facts: Facts, loader: LoaderFacts) -> Shares:
    """Where the time of a loader's steps went."""
    rows: list[dict[str, float]] = []
    epochs: list[int] = []
    held: list[tuple[float, str, str | None]] = []
    waiting = _Waiting(loader)
    others = _others(facts, loader)
    copies = _copies(loader)
    first = {step.epoch: index for index, step in reversed(list(enumerate(loader.steps)))}
    for index, step in enumerate(loader.steps):
        row = dict.fromkeys(KINDS, 0.0)
        work = step.worked
        row[RANKS] = min(work, others[index]) if others else 0.0
        row[COPY] = min(work - row[RANKS], work * copies)
        row[LAUNCH] = min(work - row[RANKS] - row[COPY], step.device["idle"] if step.device is not None else 0.0)
        row[COMPUTE] = work - row[RANKS] - row[COPY] - row[LAUNCH]
        holder = waiting.add(row, step, index - first[step.epoch])
        if holder is not None:
            held.append(holder)
        rows.append(row)
        epochs.append(step.epoch)
    for epoch, _, seconds in loader.starts:
        rows.append({**dict.fromkeys(KINDS, 0.0), EPOCH_START: seconds})
        epochs.append(epoch)
    for seconds in loader.ends:
        rows.append({**dict.fromkeys(KINDS, 0.0), EPOCH_START: seconds})
        epochs.append(-1)
    _take_apart(rows, facts, loader)
    shares = Shares({kind: sum(row[kind] for row in rows) for kind in KINDS})
    opening = epochs[0] if epochs else None
    shares.first_start = (loader.ends[-1] if loader.ends else 0.0) + sum(
        row[EPOCH_START] for row, epoch in zip(rows, epochs, strict=True) if epoch == opening
    )
    shares.held_by = sorted(
        {(path or key): (seconds, key, path) for seconds, key, path in sorted(held, key=_seconds)}.values(),
        key=_seconds,
    )[::-1]
    shares.intervals = _intervals(rows)
    for epoch in sorted(set(epochs) - {-1}):
        mine = [row for row, of in zip(rows, epochs, strict=True) if of == epoch]
        total = sum(sum(row.values()) for row in mine) or 1.0
        shares.by_epoch[epoch] = {kind: sum(row[kind] for row in mine) / total for kind in KINDS}
    return shares


def _take_apart(rows: list[dict[str, float]], facts: Facts, loader: LoaderFacts) -> None:
    """Of the stream's other work, what no kernel ran in by far: the script launches too slowly, or waits for the device."""
    samples = [sample["gpus"] for sample in facts.machine.during(*loader.span).samples if sample.get("gpus")]
    total, work = (sum(sum(row[kind] for kind in kinds) for row in rows) for kinds in (KINDS, (COMPUTE,)))
    if not loader.device or loader.ranks > 1 or len(samples) < _FEWEST_LOOKS or work <= 0:
        return
    busiest = max(statistics.mean(gpu["percent"] for gpu in one) / 100 for one in zip(*samples, strict=False))
    if work / total - busiest > _UNSURE:
        for row in rows:
            idle = row[COMPUTE] * (1 - busiest * total / work)
            row[LAUNCH] += idle
            row[COMPUTE] -= idle


def _seconds(held: tuple[float, str, str | None]) -> float:
    return held[0]


def _one_of_the_others(seconds: float, samples: int, slowest: tuple[float, str, str | None] | None) -> float:
    """What a sample of a batch takes, but for the one that took longest."""
    return (seconds - (slowest[0] if slowest else 0.0)) / max(1, samples - 1)


class _Waiting:
    """What a step's wait was for."""

    def __init__(self, loader: LoaderFacts) -> None:
        self._here = loader.workers == 0  # the consumer makes its batches itself
        self._loader = loader
        self._fetches = sorted(loader.fetches, key=lambda fetch: fetch.at + fetch.wall)
        self._by_epoch = self._sorted_by_epoch()
        self._ends = [fetch.at + fetch.wall for fetch in self._fetches]
        self._from_storage = waits_for_storage(loader)
        self._average = costs_of(loader, None, self._from_storage).shares()
        walls = [fetch.wall for fetch in self._fetches]
        self._usual = statistics.median(walls) if walls else _native_batch(loader)
        items = [_one_of_the_others(f.item_seconds, f.items, f.slowest) for f in self._fetches if f.items]
        items += [_one_of_the_others(step.made, step.images, step.slowest) for step in loader.steps if step.slowest]
        self._item = statistics.median(items) if items else 0.0

    def add(self, row: dict[str, float], step: Step, number: int) -> tuple[float, str, str | None] | None:
        """Adds the wait's parts to a row; what held the batch back, if one sample did."""
        holder = self._add(row, step, number)
        if step.waited < step.wait:  # the rest of it lay beside computing on the device
            for kind in KINDS:
                row[kind] *= 1.0 if kind in _NO_WAITING else step.waited / step.wait
        return holder

    def _add(self, row: dict[str, float], step: Step, number: int) -> tuple[float, str, str | None] | None:
        """The same of all that the consumer waited."""
        wait = step.wait
        fetch = self._fetch_of(step, number)
        made_here = min(wait, fetch.wall) if self._here and fetch is not None else 0.0
        own = min(
            wait - made_here,
            step.sampler + max(0.0, step.cpu - step.sampler - (fetch.cpu if made_here and fetch else 0.0)),
        )
        row[MAIN_THREAD] = own
        blocked = wait - own
        if number == 0 and not self._here:
            row[EPOCH_START] = max(0.0, blocked - self._usual)
            blocked -= row[EPOCH_START]
        holder = self._holder(step, fetch)
        if holder is not None:
            row[QUEUE] = min(blocked, holder[0] - self._item)
            blocked -= row[QUEUE]
        parts = self._average
        if fetch is not None and fetch.stages is not None and holder is None:
            parts = costs_of(self._loader, [fetch], self._from_storage).shares()
        for kind, share in parts.items():
            row[kind] += blocked * share
        return holder

    def _holder(self, step: Step, fetch: Fetch | None) -> tuple[float, str, str | None] | None:
        """The sample that takes most of the time in which the step's batch is made, if there is one."""
        if step.slowest is not None and self._loader.crowded:
            return None  # whoever had no core took long
        if step.slowest is not None:  # native threads share a batch
            slowest, others = step.slowest, step.images - 1
            wall, queued = max(slowest[0], step.made / max(1, self._loader.workers)), 0.0
        elif fetch is not None and fetch.slowest is not None:
            slowest, others = fetch.slowest, fetch.items - 1
            wall = fetch.wall - fetch.queued  # that no core was free is no sample's own
            queued = min(fetch.queued, max(0.0, slowest[0] - fetch.slowest_cpu))
        else:
            return None
        own = slowest[0] - queued
        return slowest if others > 0 and own >= max(_HOLDS * wall, _TIMES * self._item) else None

    def _fetch_of(self, step: Step, number: int) -> Fetch | None:
        """The batch that the step was given, the ``number``-th of its epoch: workers take turns. Else the last one made in time."""
        own = self._by_epoch.get(step.epoch, {})
        workers = sorted(own)
        if workers:
            mine = own[workers[number % len(workers)]]
            place = number // len(workers)
            if place < len(mine) and mine[place].at + mine[place].wall <= step.at + step.wait + _CLOCKS_S:
                return mine[place]
        place = bisect.bisect_right(self._ends, step.at + step.wait) - 1
        return self._fetches[place] if place >= 0 else None

    def _sorted_by_epoch(self) -> dict[int, dict[int, list[Fetch]]]:
        """Epoch -> worker -> its batches, in their order."""
        starts = sorted((at, epoch) for epoch, at, _ in self._loader.starts)
        found: dict[int, dict[int, list[Fetch]]] = {}
        for fetch in sorted(self._loader.fetches, key=lambda fetch: fetch.at):
            place = bisect.bisect_right(starts, (fetch.at, 1 << 60)) - 1
            if place >= 0:
                found.setdefault(starts[place][1], {}).setdefault(fetch.worker, []).append(fetch)
        return found


def _native_batch(loader: LoaderFacts) -> float:
    """Seconds in which native threads make one batch."""
    batches = sum(stats["batches"] for stats in loader.stats.values())
    seconds = sum(sum(stats["stages"].values()) for stats in loader.stats.values())
    return seconds / batches / max(1, loader.workers) if batches else 0.0


def _copies(loader: LoaderFacts) -> float:
    """Of the time between two batches, the share in which the device copied."""
    work = sum(each["work"] for each in loader.device)
    return min(1.0, sum(each["copy"] for each in loader.device) / work) if work > 0 else 0.0


def _others(facts: Facts, loader: LoaderFacts) -> list[float]:
    """For each step, how much longer this rank was where ranks meet than the one that came last."""
    ranks = [other for other in facts.loaders if other.number == loader.number and other.ranks == loader.ranks > 1]
    if len(ranks) < 2:
        return []
    shortest = min(len(other.steps) for other in ranks)
    least = [min(other.steps[index].sync for other in ranks) for index in range(shortest)]
    least += [step.sync for step in loader.steps[shortest:]]
    return [max(0.0, step.sync - least[index]) for index, step in enumerate(loader.steps)]


def _intervals(rows: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    if len(rows) < 2:
        return dict.fromkeys(KINDS, (0.0, 1.0))
    table = np.array([[row[kind] for kind in KINDS] for row in rows])
    chosen = np.random.default_rng(0).integers(0, len(rows), (_RESAMPLES, len(rows)))
    sums = np.array([table[each].sum(axis=0) for each in chosen])
    portions = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-12)
    low, high = np.quantile(portions, (0.05, 0.95), axis=0)
    return {kind: (float(a), float(b)) for kind, a, b in zip(KINDS, low, high, strict=True)}
