"""torch's own iterators over samples that are made natively, or over data sets as they are.

A transform in Python, a collate_fn, a worker_init_fn: they run where torch runs them, in worker processes (or in the caller's
thread without workers), under torch's own random generators. Only the samples are made natively, each from the generator's state
as it is and leaving it as torchvision would.
"""

from __future__ import annotations

import warnings
import weakref
from typing import Any

import torch
from torch._utils import ExceptionWrapper
from torch.utils.data import IterableDataset
from torch.utils.data._utils.collate import default_collate
from torch.utils.data.dataloader import _DatasetKind, _MultiProcessingDataLoaderIter, _SingleProcessDataLoaderIter

from fastload.batches.forked_iterators import OfOneProcess
from fastload.batches.lent_blocks import LentBlocks
from fastload.batches.loader_settings import LoaderSettings
from fastload.batches.native_or_stock import Mode, Way
from fastload.batches.stock_iterator import EndsWorkers, HasQueue
from fastload.batches.worker_collate import Collate, Initialise
from fastload.batches.worker_dataset import DatasetInWorker, NativeSamples, StreamInWorker
from fastload.batches.worker_messages import Indices, WorkerBatch
from fastload.batches.worker_state import WorkerState, as_json
from fastload.engine import pins
from fastload.reports import Statistics
from fastload.resume import EpochLog, KeepsProgress, Progress, in_the_middle, outliving


class _LoaderView:
    """A loader as torch's iterators see it, with another data set, collate_fn and worker_init_fn."""

    def __init__(self, settings: LoaderSettings, dataset: Any, carries: bool) -> None:
        self._loader = settings.torch_loader
        self.dataset = dataset
        self.lent_blocks = LentBlocks.for_iterator(settings.num_workers, settings.prefetch_factor)
        table = self.lent_blocks.table if self.lent_blocks is not None else None
        self.collate_fn = settings.collate_fn
        if carries or table is not None:
            self.collate_fn = Collate(settings.collate_fn, dataset, table.token if table is not None else 0)
        self.worker_init_fn = Initialise(settings.worker_init_fn, dataset, table)
        self.pin_memory = settings.pin_memory or pins(settings.device)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class _Delivers(KeepsProgress):
    """Mixed into torch's iterators: epochs go out with indices; failures and the workers' places come back with batches."""

    _sends_epochs: bool

    def _next_index(self) -> Any:
        indices = super()._next_index()
        if self._sends_epochs and self._auto_collation:
            return Indices(indices, self._record.epoch)
        return indices

    def _note_place(self, data: Any) -> None:
        state = data.state_after if isinstance(data, WorkerBatch) else None
        if self._progress is not None and state:
            self._progress.workers[data.worker] = lambda: as_json(state)


class _WorkersIterator(OfOneProcess, _Delivers, EndsWorkers, HasQueue, _MultiProcessingDataLoaderIter):
    def __init__(self, view: _LoaderView, settings: LoaderSettings, resumed: dict[str, Any] | None) -> None:
        self._resetting = False
        self._sends_epochs = settings.rng == "index" or settings.entries is not None
        self._lent_blocks = view.lent_blocks
        settings.record.queue = weakref.WeakMethod(self._queue)
        self._made_here()
        self._begin(settings.record, settings.sampling, resumed)
        super().__init__(view)
        self._keep_queues()
        self._begun()

    def _shutdown_workers(self) -> None:
        if not self.is_inherited:  # they are somebody else's
            super()._shutdown_workers()

    def _begin_sampling(self, progress: Progress, *, alone: bool = True) -> None:
        super()._begin_sampling(progress, alone=alone)
        for _ in range(progress.next_worker % self._num_workers):
            next(self._worker_queue_idx_cycle)

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        # Batches that nobody takes any more: their workers have moved on all the same.
        self._resetting = not first_iter
        if not first_iter:
            for task in sorted(self._task_info):
                self._note_place(self._task_info[task][-1])
            self._record.statistics = Statistics()
        super()._reset(loader, first_iter)
        self._resetting = False

    def _get_data(self) -> Any:
        task, data = super()._get_data()
        if self._resetting:
            self._note_place(data)
        return task, data

    def _process_data(self, data: Any, *worker: int) -> Any:
        if self._progress is not None:
            self._taken(data.worker if isinstance(data, WorkerBatch) else self._progress.next_worker)
            self._note_place(data)
        return super()._process_data(data, *worker)

    def _next_data(self) -> Any:
        if self._lent_blocks is not None:
            self._record.statistics.add_blocks(*self._lent_blocks.next_turn())
        return self._record.statistics.take(self._next_unpacked)

    def _next_unpacked(self) -> Any:
        return _unpacked(super()._next_data(), self._record)


class _CallerIterator(_Delivers, _SingleProcessDataLoaderIter):
    def __init__(self, view: _LoaderView, settings: LoaderSettings, resumed: dict[str, Any] | None) -> None:
        self._sends_epochs = settings.rng == "index"
        self._begin(settings.record, settings.sampling, resumed)
        super().__init__(view)
        if resumed is not None and not isinstance(settings.dataset, IterableDataset):
            # before the sampler begins, which may draw from what this puts back
            view.dataset.worker_state.begin(settings.dataset)
        if self._progress is not None and resumed is None:
            left = view.dataset.worker_state.after_batch(settings.dataset)
            self._progress.workers = {0: lambda: left} if left else {}
        self._begun()

    def _next_index(self) -> Any:
        indices = super()._next_index()
        self._taken()
        return indices

    def _next_data(self) -> Any:
        return self._record.statistics.take(self._next_unpacked)

    def _next_unpacked(self) -> Any:
        data = super()._next_data()
        self._note_place(data)
        return _unpacked(data, self._record)


def iterate_in_workers(settings: LoaderSettings, mode: Mode, resumed: dict[str, Any] | None) -> Any:
    """torch's own iterator: over native samples, or over the data set as it is, for a loader that keeps its progress."""
    kept = resumed["workers"] if resumed is not None else {}
    if resumed is not None and not in_the_middle(resumed):
        kept = {worker: outliving(mine) for worker, mine in kept.items()}
    view = _view_of(settings, mode, WorkerState(settings.record.keeps_progress, kept))
    if settings.num_workers == 0:
        return _CallerIterator(view, settings, resumed)
    settings.torch_loader.check_worker_number_rationality()
    if settings.record.keeps_progress and not settings.in_order:
        warnings.warn("with in_order=False the state of a loader may miss batches or hold some twice", stacklevel=4)
    return _WorkersIterator(view, settings, resumed)


def fetch_in_caller(settings: LoaderSettings, mode: Mode, indices: Any, *, pin_memory: bool) -> Any:
    """One batch of a loader without workers."""
    view = _view_of(settings, mode, WorkerState(False, {}))
    kind = settings.torch_loader._dataset_kind
    fetcher = _DatasetKind.create_fetcher(kind, view.dataset, True, view.collate_fn, settings.drop_last)
    data = fetcher.fetch(Indices(indices, settings.record.epoch))
    return _unpacked(torch.utils.data._utils.pin_memory.pin_memory(data) if pin_memory else data, settings.record)


def _view_of(settings: LoaderSettings, mode: Mode, state: WorkerState) -> _LoaderView:
    dataset: Any
    collated = settings.in_batches and settings.num_workers > 0 and settings.collate_fn is default_collate
    if mode.way is Way.native:
        if settings.dtype is not None or settings.memory_format is not None:
            raise ValueError(f"dtype and memory_format need batches from native threads, but: {mode.reason}")
        if settings.on_error != "raise" and not settings.in_batches:
            raise ValueError(f"on_error={settings.on_error!r} needs batches, but batch_size is None")
        seed = settings.seed if settings.rng == "index" else 0
        dataset = NativeSamples(
            settings.dataset, state, settings.rng, seed, settings.on_error, settings.cache, settings.entries, collated
        )
    else:
        is_stream = isinstance(settings.dataset, IterableDataset)
        dataset = (
            StreamInWorker(settings.dataset, state)
            if is_stream
            else DatasetInWorker(settings.dataset, state, collated=collated)
        )
    carries = state.keeps or settings.on_error != "raise" or settings.cache is not None or settings.entries is not None
    return _LoaderView(settings, dataset, carries=carries)


def _unpacked(data: Any, record: EpochLog) -> Any:
    if not isinstance(data, WorkerBatch):
        return data
    record.note(*data.failed)
    record.statistics.add_cached(*data.cached)
    record.statistics.add_entries(*data.entered)
    if isinstance(data.batch, ExceptionWrapper):
        data.batch.reraise()
    return data.batch
