"""What a loader and its iterators both write down."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from fastload.reports import Ledger, SampleError, Statistics, Tolerance
from fastload.resume.epoch_progress import Progress


@dataclass
class EpochLog:
    """Of one loader, in one process. Iterators hold this and never the loader, which may hold them: dropping it ends them.

    Attributes:
        ledger: of samples that failed.
        tolerance: of the newest iterator's epoch.
        epoch: number of the newest iterator's epoch, from 0; -1 before.
        statistics: of the newest iterator.
        keeps_progress: whether iterators are to write down how far they are.
        progress: of the newest iterator, if so.
        queue: of the newest iterator, while it is there: batches that are ready, and those that are asked for or ready.
        expected: (epoch, batches that it has, where that is known).
    """

    keeps_progress: bool
    ledger: Ledger = field(default_factory=Ledger)
    tolerance: Tolerance = field(default_factory=Tolerance)
    epoch: int = -1
    statistics: Statistics = field(default_factory=Statistics)
    progress: Progress | None = None
    queue: weakref.WeakMethod[Callable[[], tuple[int, int]]] | None = None
    expected: tuple[int, int | None] | None = None

    def for_another_process(self) -> EpochLog:
        """What of it goes along with a pickle or a copy of the loader."""
        return EpochLog(self.keeps_progress, copy.deepcopy(self.ledger), epoch=self.epoch)

    def note(self, errors: Collection[SampleError], slots: Collection[int], count: int) -> None:
        """A batch of ``count`` samples has arrived, of which those in ``slots`` failed.

        Raises:
            TooManyErrors: there were too many of them.
        """
        self.ledger.add(errors)
        self.tolerance.add(count, slots, self.ledger.newest[-1] if self.ledger.newest else None)
