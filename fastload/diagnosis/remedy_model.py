"""What a step would take if its loader gave so much: the model that predictions share."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fastload.diagnosis.facts import Facts, Fetch, LoaderFacts
from fastload.diagnosis.fetch_costs import STORAGE, batch_seconds, costs_of, waits_for_storage
from fastload.diagnosis.queue_simulation import loop_seconds
from fastload.diagnosis.shares import COPY, EPOCH_START, MAIN_THREAD, QUEUE, Shares

NOTHING = 0.05  # of a batch: too little to reckon with
_MOSTLY = 0.5
_TIMES = 8.0  # an ordinary sample's seconds


@dataclass
class Prediction:
    """One remedy.

    Attributes:
        rests_on: the measurement behind it.
    """

    remedy: str
    images_per_second: float
    step_seconds: float
    line: str
    rests_on: str


class Model:
    """An epoch as a queue: workers make its batches, the training loop takes them in order, and nothing overlaps its start."""

    def __init__(self, facts: Facts, loader: LoaderFacts, shares: Shares) -> None:
        steps = [step for step in loader.steps if step.work is not None]
        self.images = statistics.mean(step.images for step in steps) or 1.0
        self.step = shares.total / len(steps)
        self.start = shares.seconds[EPOCH_START] / len(steps)
        self.work = statistics.mean(step.worked for step in steps)
        self.copy = shares.seconds[COPY] / len(steps)
        self.held = shares.seconds[QUEUE] / len(steps)
        self.batches = max(1, round(len(steps) / max(1, len(loader.starts))))
        self.cores = int(facts.machine.cores)
        self.loader = loader
        self.shares = shares
        self.facts = facts
        self.stored = costs_of(loader).shares().get(STORAGE, 0.0)
        self.rates = {int(n): rate for n, rate in (loader.experiments.get("sweep") or {}).get("rates", [])}
        sampler = statistics.mean(step.sampler for step in steps)
        self.main = self._of_main_thread(shares.seconds[MAIN_THREAD] / len(steps), sampler)
        self.unseen = self._unseen_storage()
        self.slow = _longer_than_others(loader)

    def now(self) -> float:
        """Images a second as it is."""
        return self.images / self.step

    def of(self, remedy: str, step: float, line: str, rests_on: str) -> Prediction:
        """A prediction from the seconds of a step."""
        return Prediction(remedy, self.images / max(step, 1e-9), step, line, rests_on)

    def fed_at(
        self,
        rate: float,
        workers: int = 0,
        *,
        threads: int = 1,
        slow: Sequence[float] | None = None,
        less_start: float = 0.0,
    ) -> float:
        """Seconds of a step where the loader gives ``rate`` images a second while nobody computes.

        Args:
            workers: processes that make a batch each; 0: threads that make each batch together.
            threads: so many; while a slow sample holds one, the others go on as far as they may.
            slow: by how many seconds some samples of an epoch take longer than others; None: as now.
            less_start: seconds of each epoch's start that are no more.
        """
        slow = self.slow if slow is None else slow
        makers = max(1, workers or (threads if slow else 1))
        making = [makers * self.images / max(rate, 1e-9)] * self.batches
        for k, seconds in enumerate(slow):
            making[(k + 1) * self.batches // (len(slow) + 1)] += seconds
        working = [self.work + self.main] * self.batches
        ahead = int(self.loader.what.get("prefetch_factor") or 2) * makers
        start = max(0.0, self._start(workers) - less_start)
        return (start + loop_seconds(making, working, makers, ahead)) / self.batches

    def fed_natively(self, rate: float, threads: int) -> float:
        """The same by native threads, in the place of workers or as now: they make slow samples faster, too, as the others."""
        sweep = self.loader.experiments.get("sweep") or {}
        faster = 1.0
        if not self.loader.is_native and self.rates and sweep.get("native"):
            (workers, by_workers), (fewest, natively) = min(self.rates.items()), min(map(tuple, sweep["native"]))
            faster = max(1.0, natively / fewest * workers / max(by_workers, 1e-9))
        return self.fed_at(rate, threads=threads, slow=[seconds / faster for seconds in self.slow])

    def from_memory(self, rate: float, workers: int = 0) -> float:
        """The same with files in memory: neither slow samples nor the first batch wait for storage."""
        slow = _longer_than_others(self.loader, self.stored)
        return self.fed_at(rate, workers, threads=self.loader.workers, slow=slow, less_start=self._stored_start())

    def _stored_start(self) -> float:
        """Seconds of an epoch's start in which its first batch waited for storage, longer than an ordinary one does."""
        loader, epochs = self.loader, max(1, len(self.loader.starts))
        if not loader.fetches:
            calls = sum(seconds for _, _, seconds in loader.starts) + sum(loader.ends)
            return self.stored * max(0.0, self.shares.seconds[EPOCH_START] - calls) / epochs
        usual = statistics.median(fetch.wall for fetch in loader.fetches)
        from_storage, waited = waits_for_storage(loader), 0.0
        for _, at, _ in loader.starts:
            first = min((fetch for fetch in loader.fetches if fetch.at >= at), key=_began, default=None)
            if first is not None:
                stored = costs_of(loader, [first], from_storage).shares().get(STORAGE, self.stored)
                waited += stored * max(0.0, first.wall - usual)
        return waited / epochs

    def _of_main_thread(self, seconds: float, sampler: float) -> float:
        """Of a step, in next(): no more than all of a batch took where the loader was alone. After a wait for storage a thread
        finds the core's caches cold, and its code takes many times as long as where it waits no more."""
        copies = self.loader.experiments.get("memory") or {}
        fastest = max([*self.rates.values(), copies.get("rate") or 0.0], default=0.0)
        if fastest <= 0:
            return seconds
        return min(seconds, sampler + self.images / fastest)

    def _unseen_storage(self) -> float:
        """Seconds of a batch that its maker waits for storage, and did not where the loader was measured alone."""
        batch, now = batch_seconds(self.loader), max(1, self.loader.workers)
        known = [n for n in self.rates if n <= now]
        if batch is None or self.stored < NOTHING:
            return 0.0
        alone = max(known) * self.images / max(self.rates[max(known)], 1e-9) if known else 0.0
        return min(self.stored * batch, max(0.0, batch - alone))

    def from_storage(self, rate: float, workers: int) -> float:
        """Images a second of so many workers or threads from where files are now, if it is ``rate`` where the loader is alone."""
        if self.unseen > 0:
            rate = workers / (workers / max(rate, 1e-9) + self.unseen / self.images)
        elif not self._came_from_device():
            return rate
        probe = self.loader.experiments.get("storage") or {}
        if probe.get("many_bytes_per_s") and probe.get("file_bytes"):
            rate = min(rate, probe["many_bytes_per_s"] / probe["file_bytes"])
        return rate

    def _came_from_device(self) -> bool:
        """Whether most bytes did, whatever else was waited for meanwhile."""
        asked = sum(fetch.asked_bytes for fetch in self.loader.fetches)
        read = sum(fetch.read_bytes for fetch in self.loader.fetches)
        return read >= _MOSTLY * asked > 0

    def _start(self, workers: int) -> float:
        """Seconds of an epoch's start and end: each process is started in its turn."""
        epochs = max(1, len(self.loader.starts))
        starting = sum(seconds for _, _, seconds in self.loader.starts) / epochs
        now = int(self.loader.what.get("num_workers") or 0)
        if not workers and now and not self.loader.is_native:
            return 0.0
        grown = workers / now if workers and now else 1.0
        return self.start * self.batches + starting * (grown - 1.0)


def _began(fetch: Fetch) -> float:
    return fetch.at


def _longer_than_others(loader: LoaderFacts, stored: float = 0.0) -> list[float]:
    """Of the samples of an epoch that take much longer than the others, by how many seconds.

    ``stored``: of a batch, the share that waits for storage and is not to count; of a sample made by Python, what no core worked.
    """
    made = [
        (fetch.item_seconds, fetch.items, fetch.slowest, fetch.slowest_cpu) for fetch in loader.fetches if fetch.items
    ]
    made += [
        (step.made, step.images, step.slowest, step.slowest[0] * (1 - stored))
        for step in loader.steps
        if step.slowest and step.images
    ]
    usual = (1 - stored) * statistics.median(seconds / items for seconds, items, _, _ in made) if made else 0.0
    took = [cpu if stored else slowest[0] for _, _, slowest, cpu in made if slowest]
    slow = [seconds - usual for seconds in took if seconds > _TIMES * usual]
    return slow[: max(1, round(len(slow) / max(1, len(loader.starts))))] if usual else []
