"""What was measured in a run, as plain values: all that verdicts and predictions rest on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Step:
    """One batch, as its consumer met it; seconds.

    Attributes:
        at: when it asked, on the machine's monotonic clock.
        wait: until it had the batch.
        cpu: of that, what its own thread worked.
        sampler: of that, in the sampler.
        work: from then until it asked for the next one; None for a last one that nobody asked after.
        sync: of ``work``, in the backward pass and in collectives, where there are other ranks.
        made: that native threads worked at the batch, all together; 0: others made it.
        device: on CUDA, what the consumer's stream did from this batch to the next: ``wait`` and ``work`` seconds, of the latter
            ``idle`` before the first copy, ``copy`` and ``pageable``; ``copied`` bytes. None elsewhere, and of the last few steps,
            which it had not done in the end.
        slowest: of these seconds, those of the sample that took longest, its index and its path.
    """

    epoch: int
    at: float
    wait: float
    cpu: float = 0.0
    sampler: float = 0.0
    work: float | None = None
    sync: float = 0.0
    images: int = 0
    size: int = 0
    made: float = 0.0
    slowest: tuple[float, str, str | None] | None = None
    device: dict[str, float] | None = None

    @property
    def waited(self) -> float:
        """T_io: on CUDA what the stream stood idle for this batch, while the consumer may have waited longer."""
        return self.wait if self.device is None else min(self.wait, max(0.0, self.device["wait"]))

    @property
    def worked(self) -> float:
        """T_comp: on CUDA the stream's, for a consumer that only launches is soon back; 0 where nobody asked for another batch."""
        if self.work is None:
            return 0.0
        return self.work if self.device is None else self.device["work"]


@dataclass
class Fetch:
    """One batch, as it was made in a worker, or in the consumer's thread (worker -1); seconds.

    Attributes:
        wall, cpu: of the thread that made it.
        others_cpu: of the process's other threads meanwhile.
        queued: it could have run, and had no core.
        asked_bytes: that its process read, from wherever.
        read_bytes: of these, what came from devices, not from the page cache.
        slowest: seconds, index and path of the item that took longest; ``slowest_cpu``: of these seconds, what its thread worked.
        stages: name -> [wall, cpu, times]; None where only the whole was looked at.
    """

    pid: int
    worker: int
    at: float
    wall: float
    cpu: float = 0.0
    others_cpu: float = 0.0
    queued: float = 0.0
    asked_bytes: float = 0.0
    read_bytes: float = 0.0
    items: int = 0
    item_seconds: float = 0.0
    slowest: tuple[float, str, str | None] | None = None
    slowest_cpu: float = 0.0
    stages: dict[str, list[float]] | None = None


@dataclass
class LoaderFacts:
    """One loader of one process.

    Attributes:
        what: see ``loader_facts.describe``.
        starts: (epoch, at, seconds) of each time that it was iterated over.
        ends: seconds of the call that found an epoch over.
        error: what it raised.
        open_wait: seconds that a batch had been waited for when the run was interrupted; it did not come.
        open_worker: whose turn it was.
        open_fetches: batches that were being made then.
        stats: of our native threads, by epoch; the newest of each.
        sent: seconds in which a worker's batches were pickled and copied to shared memory.
        pickled_bytes: of all of them, without what went through shared memory.
        storage_share: of its workers' looked-at moments, those that waited for a file system or a device.
        crowded: the run's own threads, or its quota, kept it from the cores.
        experiments: by name; see ``experiments.py``.
    """

    number: int
    pid: int
    rank: int = 0
    ranks: int = 1
    what: dict[str, Any] = field(default_factory=dict)
    starts: list[tuple[int, float, float]] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    error: str | None = None
    open_wait: float | None = None
    open_worker: int | None = None
    open_fetches: list[Fetch] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    fetches: list[Fetch] = field(default_factory=list)
    sent: float = 0.0
    pickled_bytes: float = 0.0
    stats: dict[int, dict[str, Any]] = field(default_factory=dict)
    storage_share: float | None = None
    crowded: bool = False
    experiments: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> list[dict[str, float]]:
        """Of the steps that a stream on CUDA has done; see :class:`Step`."""
        return [step.device for step in self.steps if step.device is not None]

    @property
    def seconds(self) -> float:
        """Of all its steps."""
        return sum(step.wait + (step.work or 0.0) for step in self.steps)

    @property
    def span(self) -> tuple[float, float]:
        """When it was first iterated over, and when its last step ended."""
        if not self.steps:
            return 0.0, 0.0
        begin = min([at for _, at, _ in self.starts], default=self.steps[0].at)
        return begin, max(step.at + step.wait + (step.work or 0.0) for step in self.steps)

    @property
    def pickled_size(self) -> float:
        """Bytes of a batch that are no tensors'."""
        return self.pickled_bytes / len(self.fetches) if self.fetches else 0.0

    @property
    def workers(self) -> int:
        """Threads or processes that make batches beside the consumer; 0: it makes them itself."""
        return int((self.what.get("threads") if self.is_native else self.what.get("num_workers")) or 0)

    @property
    def is_native(self) -> bool:
        """Whether our native threads make its batches."""
        return bool(self.stats)


@dataclass
class Machine:
    """Samples of the machine while the run lasted, oldest first; what a system did not tell is missing in them."""

    samples: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    cores: float = 1.0

    def grew(self, *names: str) -> float:
        """By how much a counter grew from sample to sample; 0 where nobody knows. One that falls is another's: a process that ended
        is in no control group any more."""
        values = [value for value in (_at(sample, names) for sample in self.samples) if value is not None]
        return float(sum(max(0, after - before) for before, after in itertools.pairwise(values)))

    def most(self, *names: str) -> float:
        """The largest value of a figure; 0 where nobody knows."""
        return max(
            (value for value in (_at(sample, names) for sample in self.samples) if value is not None), default=0.0
        )

    def mean(self, *names: str) -> float:
        """The mean value of a figure; 0 where nobody knows."""
        values = [value for value in (_at(sample, names) for sample in self.samples) if value is not None]
        return sum(values) / len(values) if values else 0.0

    def during(self, begin: float, end: float) -> Machine:
        """Its samples between two moments, and the last one before; all, where those are too few to tell anything."""
        inside = [place for place, sample in enumerate(self.samples) if begin <= sample["at"] <= end]
        if len(inside) < 2:
            return self
        return Machine(self.samples[max(0, inside[0] - 1) : inside[-1] + 1], self.missing, self.cores)

    @property
    def seconds(self) -> float:
        """That the samples span."""
        return float(self.samples[-1]["at"] - self.samples[0]["at"]) if len(self.samples) > 1 else 0.0


@dataclass
class Facts:
    """Of one run."""

    loaders: list[LoaderFacts] = field(default_factory=list)
    machine: Machine = field(default_factory=Machine)
    status: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def main(self) -> LoaderFacts | None:
        """The loader that took most of the time, of the first rank that has one."""
        mine = [loader for loader in self.loaders if loader.rank == 0] or self.loaders
        return max(mine, key=lambda loader: loader.seconds, default=None)


def _at(sample: dict[str, Any], names: Iterable[str]) -> Any:
    value: Any = sample
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
