"""torch's own iterators, made by torch, that keep the books of a loader: how long each batch was waited for."""

from __future__ import annotations

import functools
import weakref
from typing import Any

from fastload.reports import Statistics
from fastload.resume import EpochLog


class HasQueue:
    """Mixed into torch's iterators over worker processes."""

    def _queue(self) -> tuple[int, int]:
        """Batches that are ready, and those that were asked for."""
        waiting = getattr(self, "_data_queue", None)
        if waiting is None:
            return 0, 0  # torch's iterator without workers
        out_of_turn = sum(len(task) == 2 for task in list(self._task_info.values()))  # type: ignore[attr-defined]
        return waiting.qsize() + out_of_turn, self._tasks_outstanding  # type: ignore[attr-defined]


class _KeepsBooks(HasQueue):
    _record: EpochLog

    def _next_data(self) -> Any:
        return self._record.statistics.take(super()._next_data)  # type: ignore[misc]

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        super()._reset(loader, first_iter)  # type: ignore[misc]
        self._record.statistics = Statistics()  # workers that stay for another epoch
        self._record.epoch += 1


def keeps_books(iterator: Any, record: EpochLog) -> Any:
    """The same iterator, which from now on writes down its batches."""
    theirs: Any = type(iterator)
    iterator.__class__ = _class_over(theirs)
    iterator._record = record
    record.queue = weakref.WeakMethod(iterator._queue)
    return iterator


@functools.cache
def _class_over(theirs: type) -> type:
    return type(theirs.__name__, (_KeepsBooks, theirs), {"__module__": theirs.__module__})
