"""How many of an engine's threads are worth running: found by trying while a loader's first epoch runs.

Threads rest and wake; which samples are made, of what and in which order, does not depend on it.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from fastload import _core

# A window is over when it had so many seconds and so many batches.
_WINDOW_S, _WINDOW_BATCHES = 0.25, 4
_PAIRS = 3  # of windows, in turn, before one number counts as better than another
_CLEARLY = 0.15  # so much apart after a pair: a second one settles it
_LEAST = 0.01  # a gain; fewer threads count as as good if they lose no more


@dataclass
class _Number:
    """Of threads, and the rates that were measured with them since they are compared."""

    threads: int
    rates: list[float] = field(default_factory=list)


@dataclass
class _Window:
    seconds: float = 0.0
    images: int = 0
    batches: int = 0

    def add(self, seconds: float, images: int) -> None:
        self.seconds += seconds
        self.images += images
        self.batches += 1

    @property
    def is_over(self) -> bool:
        return self.seconds >= _WINDOW_S and self.batches >= _WINDOW_BATCHES

    @property
    def rate(self) -> float:
        return self.images / self.seconds


class ThreadFinder:
    """Climbs from all threads to the number that makes most samples a second; of several as good ones, to the fewest.

    From the best so far it tries so many fewer, then so many more, first half of all; where neither is better, half as many. Best
    and rival run in turn, window by window; what counts is the median of their ratios. Of one loader; whoever takes its batches
    calls.

    An epoch begins with batches that nobody takes yet and ends with batches that were made before: a window lies between the two,
    or spans whole epochs where these are short.

    Args:
        most: threads of the engine.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._best = _Number(most)
        self._rival: _Number | None = None
        self._step = most // 2
        self._tried = {most}
        self._known: dict[int, float] = {}  # number -> its rate when last compared
        self._running = most
        self._since: tuple[float, int] | None = None
        self._taken = 0  # batches of this epoch
        self._of_epochs, self._within = _Window(), _Window()
        self._was_within = False  # a window lay within this epoch
        self._propose()

    @property
    def threads(self) -> int:
        """That run now."""
        return self._running

    @property
    def is_settled(self) -> bool:
        """Whether the number is found."""
        return self._rival is None

    def begin(self, engine: _core.Engine) -> None:
        """An epoch begins, or goes on with another engine of as many threads."""
        if self._was_within:
            self._of_epochs = _Window()
        elif self._of_epochs.is_over and not self.is_settled:
            self._take(self._of_epochs.rate)
        self._since, self._taken, self._within, self._was_within = None, 0, _Window(), False
        engine.run_on(self._running)

    def delivered(self, engine: _core.Engine, waited: float, *, ahead: int, asked: int) -> None:
        """A batch was taken.

        Args:
            waited: seconds for this batch.
            ahead: batches that are asked for before they are wanted; 0: samples are made only while somebody waits.
            asked: of these, how many are now; fewer when the epoch comes to its end.
        """
        if self.is_settled:
            return
        now, made = time.perf_counter(), engine.samples_made
        since, self._since = self._since, (now, made)
        if since is None:
            return
        seconds, images = now - since[0] if ahead else waited, made - since[1]
        self._taken += 1
        self._of_epochs.add(seconds, images)
        if asked < ahead:
            self._within = _Window()
        elif self._taken > ahead:
            self._within.add(seconds, images)
        if not self._within.is_over:
            return
        self._was_within = True
        self._take(self._within.rate)
        if engine.running_threads != self._running:
            engine.run_on(self._running)

    def _take(self, rate: float) -> None:
        """The rate of a window."""
        assert self._rival is not None
        self._of_epochs, self._within = _Window(), _Window()
        now = self._rival if self._running == self._rival.threads else self._best
        now.rates.append(rate)
        if len(self._rival.rates) == len(self._best.rates) and self._is_clear(self._ratios()):
            self._decide(statistics.median(self._ratios()) - 1)
        if self._rival is None:
            self._running = self._best.threads
        else:
            self._running = (self._rival if len(self._rival.rates) < len(self._best.rates) else self._best).threads

    def _ratios(self) -> list[float]:
        assert self._rival is not None
        return [new / max(old, 1e-9) for old, new in zip(self._best.rates, self._rival.rates, strict=True)]

    @staticmethod
    def _is_clear(ratios: list[float]) -> bool:
        return len(ratios) >= _PAIRS or (len(ratios) == 2 and all(abs(ratio - 1) > _CLEARLY for ratio in ratios))

    def _decide(self, gain: float) -> None:
        rival, best = self._rival, self._best
        assert rival is not None
        for number in (rival, best):
            self._known[number.threads] = statistics.median(number.rates)
        if gain > (-_LEAST if rival.threads < best.threads else _LEAST):
            self._best = rival
        self._best.rates = []
        self._propose()

    def _propose(self) -> None:
        """The next rival; none where every step has been tried."""
        self._rival = None
        while self._step > 0:
            for threads in (self._best.threads - self._step, self._best.threads + self._step):
                if 1 <= threads <= self.most and threads not in self._tried:
                    self._tried.add(threads)
                    self._rival = _Number(threads)
                    return
            self._step //= 2

    def why(self) -> str:
        """The number, and what it rests on."""
        if self.most == 1:
            return "1 thread: there is one core for this process"
        rates = ", ".join(f"{n}: {rate:.0f}" for n, rate in sorted(self._known.items()))
        measured = f" (images/s made with each number: {rates})" if rates else ""
        if self.is_settled:
            return f"{self.threads} of {self.most} threads, found by trying{measured}"
        return f"{self.threads} of {self.most} threads, still trying{measured}"


def thread_figures(engine: _core.Engine | None, finder: ThreadFinder | None) -> dict[str, Any]:
    """For ``DataLoader.stats``: threads that run, and what their number rests on where it was found."""
    running = engine.running_threads if engine is not None else None
    return {"threads": running, "threads_why": finder.why() if finder is not None else None}


def finder_for(engine: _core.Engine, before: ThreadFinder | None, *, is_wanted: bool) -> ThreadFinder | None:
    """The one that a loader has, or a new one for an engine with another number of threads. Not wanted: all threads run."""
    if not is_wanted:
        engine.run_on(engine.threads)
        return None
    return before if before is not None and before.most == engine.threads else ThreadFinder(engine.threads)
