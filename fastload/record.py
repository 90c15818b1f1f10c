"""What a loader and its iterators both write down."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastload.errors import SampleError
from fastload.progress import Progress
from fastload.statistics import Statistics


@dataclass
class Record:
    """Of one loader, in one process. Iterators hold this and never the loader, which may hold them: dropping it ends them.

    Attributes:
        errors: the ledger of samples that failed.
        epoch: number of the newest iterator's epoch, from 0; -1 before.
        statistics: of the newest iterator.
        keeps_progress: whether iterators are to write down how far they are.
        progress: of the newest iterator, if so.
    """

    keeps_progress: bool
    errors: list[SampleError] = field(default_factory=list)
    epoch: int = -1
    statistics: Statistics = field(default_factory=Statistics)
    progress: Progress | None = None

    def for_another_process(self) -> Record:
        """What of it goes along with a pickle or a copy of the loader."""
        return Record(self.keeps_progress, list(self.errors), self.epoch)
