"""torch's own iterators, made by torch, that keep the books of a loader: how long each batch was waited for."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import torch.utils.data
from torch.utils.data import IterableDataset, default_collate
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from fastload.batches.lent_blocks import LentBlocks
from fastload.batches.worker_collate import CollateAlone, Initialise
from fastload.batches.worker_dataset import DatasetInWorker
from fastload.batches.worker_messages import WorkerBatch
from fastload.batches.worker_state import WorkerState
from fastload.reports import Statistics
from fastload.resume import EpochLog

# Of iterators whose workers are not ended yet. What is garbage together ends in any order: were an iterator, which an error's
# traceback may hold in a cycle, garbage together with its queues, their threads would have ended before it tells its workers
# to end, and it would wait 5 s for each of them.
_index_queues: dict[int, Any] = {}


class EndsWorkers:
    """Mixed into torch's iterators over worker processes."""

    def _keep_queues(self) -> None:
        _index_queues[id(self)] = self._index_queues  # type: ignore[attr-defined]

    def _shutdown_workers(self) -> None:
        try:
            super()._shutdown_workers()  # type: ignore[misc]
        finally:
            _index_queues.pop(id(self), None)


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
    _lent_blocks: LentBlocks | None

    def _next_data(self) -> Any:
        if self._lent_blocks is not None:
            self._record.statistics.add_blocks(*self._lent_blocks.next_turn())
        return self._record.statistics.take(self._next_unpacked)

    def _next_unpacked(self) -> Any:
        data = super()._next_data()  # type: ignore[misc]
        return data.batch if isinstance(data, WorkerBatch) else data

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        self._record.statistics = Statistics()  # workers that stay for another epoch
        super()._reset(loader, first_iter)  # type: ignore[misc]
        self._record.epoch += 1


class _SendsBlocks:
    """A loader as torch's iterators see it, whose batches come in memory that is used again."""

    def __init__(self, loader: Any, lent_blocks: LentBlocks) -> None:
        self._loader = loader
        self.collate_fn = CollateAlone(loader.collate_fn, lent_blocks.table.token)
        self.dataset = loader.dataset
        own = None
        if (
            loader.batch_sampler is not None
            and loader.collate_fn is default_collate
            and _has_plain_items(loader.dataset)
        ):
            own = self.dataset = DatasetInWorker(loader.dataset, WorkerState(False, {}), collated=True)
        self.worker_init_fn = Initialise(loader.worker_init_fn, own, lent_blocks.table)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _has_plain_items(dataset: Any) -> bool:
    """Whether torch asks a data set for items, and for nothing else."""
    pipes = tuple(getattr(torch.utils.data, name) for name in ("MapDataPipe",) if hasattr(torch.utils.data, name))
    return not isinstance(dataset, (IterableDataset, *pipes))


def iterate_as_torch(loader: Any, record: EpochLog, otherwise: Any = None) -> Any:
    """torch's own iterator over a loader, or over what stands for one, which writes down its batches. ``otherwise`` is the method
    that would make it, to be called if it is not torch's."""
    if getattr(otherwise, "__func__", None) not in (None, torch.utils.data.DataLoader._get_iterator):
        return _keeps_books(otherwise(), record, None)
    lent_blocks = None
    if getattr(loader, "worker_method", "multiprocessing") == "multiprocessing":
        lent_blocks = LentBlocks.for_iterator(loader.num_workers, loader.prefetch_factor)
    seen: Any = loader if lent_blocks is None else _SendsBlocks(loader, lent_blocks)
    return _keeps_books(torch.utils.data.DataLoader._get_iterator(seen), record, lent_blocks)


def _keeps_books(iterator: Any, record: EpochLog, lent_blocks: LentBlocks | None) -> Any:
    """The same iterator, which from now on writes down its batches."""
    theirs: Any = type(iterator)
    iterator.__class__ = _class_over(theirs)
    iterator._record = record
    iterator._lent_blocks = lent_blocks
    record.queue = weakref.WeakMethod(iterator._queue)
    if isinstance(iterator, _MultiProcessingDataLoaderIter):
        iterator._keep_queues()  # type: ignore[attr-defined]
    return iterator


@functools.cache
def _class_over(theirs: type) -> type:
    mixed = (_KeepsBooks, EndsWorkers) if issubclass(theirs, _MultiProcessingDataLoaderIter) else (_KeepsBooks,)
    return type(theirs.__name__, (*mixed, theirs), {"__module__": theirs.__module__})
