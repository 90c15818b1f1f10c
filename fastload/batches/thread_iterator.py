"""Batches from native threads, in the order, with the random numbers and with the errors of torch's loader."""

from __future__ import annotations

import functools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch.utils.data._utils.collate import collate, default_collate, default_collate_fn_map
from torch.utils.data.dataloader import _BaseDataLoaderIter
from torchvision import tv_tensors

from fastload import _core
from fastload.batches.forked_iterators import OfOneProcess
from fastload.batches.loader_settings import LoaderSettings
from fastload.batches.native_or_stock import Mode, Way, choose
from fastload.batches.pending_batch import PendingBatch
from fastload.batches.worker_iterator import fetch_in_caller
from fastload.batches.worker_seeds import seeds_of_workers
from fastload.batches.worker_streams import WorkerSeeds, streams_where_left
from fastload.engine import (
    AtWork,
    BatchMemory,
    BatchSamples,
    drawing,
    engine_of,
    pixel_limit,
    stand_in_indices,
    streams_to_json,
)
from fastload.reports import FastloadError, SampleError, Statistics, counted_in
from fastload.resume import KeepsProgress
from fastload.transforms import as_it_is_now, gives_tv_tensors


class ThreadIterator(OfOneProcess, KeepsProgress, _BaseDataLoaderIter):
    """torch's iterator protocol over the engine.

    Draws from torch's generators exactly what torch's own iterators draw. With workers, batch k belongs to emulated worker
    ``k % num_workers``, whose generator is seeded and consumed as the process's would be; without, the caller's generator is
    used and nothing is read ahead. Threads that share an iterator get its batches one after the other.
    """

    _workers: list[Any] = []  # there are no processes
    newest_cost: tuple[float, tuple[float, int, str | None]] | None = None
    """Of the newest batch: the threads' seconds, and of the sample that took longest the seconds, the index and the name."""

    def __init__(
        self,
        settings: LoaderSettings,
        mode: Mode,
        resumed: dict[str, Any] | None,
        engine: _core.Engine,
        memory: BatchMemory,
        settings_now: Callable[[], LoaderSettings],
    ) -> None:
        self._one_at_a_time = threading.RLock()
        self._made_here()
        # Without workers changes to the loader count at once. With them it may hold this iterator, so it is not held.
        self._settings_now = settings_now if settings.num_workers == 0 else None
        self._engine = engine
        with AtWork():
            self._begin_epochs(settings, mode, resumed, memory)

    def _begin_epochs(
        self, settings: LoaderSettings, mode: Mode, resumed: dict[str, Any] | None, memory: BatchMemory
    ) -> None:
        loader = settings.torch_loader
        self._begin(settings.record, settings.sampling, resumed)
        super().__init__(loader)
        if self._num_workers == 0 and self._timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        if self._num_workers > 0:
            assert settings.prefetch_factor is not None
            if settings.prefetch_factor <= 0:
                raise AssertionError("prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter")
            loader.check_worker_number_rationality()
        self._on_error = settings.on_error
        self._length = len(settings.dataset)
        self._seed = settings.seed if settings.rng == "index" else self._base_seed
        self._wanted_dtype = settings.dtype
        self._channels_last = settings.memory_format == torch.channels_last
        self._cache = settings.cache
        self._entries = settings.entries
        self._finder = settings.finder
        self._ahead = (settings.prefetch_factor or 0) * self._num_workers
        self._pixel_limit: Callable[[], int] = pixel_limit
        self._collate: Callable[[Any], Any] = default_collate
        if self._num_workers > 0:  # which have copies of what these look up
            limit, kinds = pixel_limit(), dict(default_collate_fn_map)
            self._pixel_limit = lambda: limit
            self._collate = functools.partial(collate, collate_fn_map=kinds)
        self._memory: Any = memory if BatchMemory.serves(pinned=self._pin_memory) else None
        self._adopt(mode)
        self._jobs: deque[PendingBatch] = deque()
        self._record.queue = weakref.WeakMethod(self._queue)
        self._orders: list[_core.DrawOrder] | None = None
        if settings.rng == "stock":
            recipe = self._reading.recipe
            seeds = seeds_of_workers(settings.worker_init_fn, self._base_seed, self._num_workers, recipe)
            self._orders = [self._order_of(worker, of_worker) for worker, of_worker in enumerate(seeds)]
        if self._num_workers > 0:
            self._reset(loader, first_iter=True)
        elif self._finder is not None:
            self._finder.begin(self._engine)
        self._begun()

    def _adopt(self, mode: Mode) -> None:
        assert mode.located is not None and mode.reading is not None and mode.reading.size is not None
        self._mode = mode
        self._find, self._reading, self._size = mode.located.find, mode.reading, mode.reading.size
        file_datasets = mode.located.file_datasets
        self._has_targets = file_datasets[0].has_targets
        # With workers later changes count from the next iterator.
        self._target_transforms = {
            id(one.dataset): as_it_is_now(t) if self._num_workers > 0 else t
            for one in file_datasets
            if (t := one.target_transform) is not None
        }
        self._dtype = self._wanted_dtype or mode.reading.pixelwise.table.dtype
        self._target = mode.reading.pixelwise.target("hwc" if self._channels_last else "chw", self._dtype)
        collate = mode.collate
        self._gives_tuples = (
            collate is not None and collate.gives_tuples and not self._pin_memory
        )  # of which torch makes lists
        self._mixing = collate.mixing if collate is not None else None
        self._shape: tuple[int, torch.Tensor] | None = None  # of the newest batch
        self._mix: dict[str, Any] = {}
        if self._mixing is not None:
            self._mix = {"mix": self._mixing.of_size(self._size), "mix_stage": self._mixing.name}

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        with self._one_at_a_time:
            self._begin_anew(loader, first_iter)

    def _begin_anew(self, loader: Any, first_iter: bool) -> None:
        # As worker processes do, finish what was asked for: the emulated generators have moved on by just that much.
        while self._jobs:
            self._wait_for(self._jobs[0].batch.wait)
            self._left_behind(self._jobs.popleft())
        super()._reset(loader, first_iter)
        if not first_iter:
            self._record.statistics = Statistics()
            if self._entries is not None:
                self._entries.begin_epoch()
        self._sent = self._received = self._progress.next_worker if self._progress is not None else 0
        if self._finder is not None:
            self._finder.begin(self._engine)
        for _ in range(self._ahead):
            self._send_next()

    def _order_of(self, worker: int, seeds: WorkerSeeds) -> _core.DrawOrder:
        """The generators that this worker's process would have, seeded so when it begins."""
        kept = self._progress.workers.get(worker) if self._progress is not None else None
        if kept is None:
            return _core.DrawOrder(seeds.streams(self._reading.recipe))
        return _core.DrawOrder(streams_where_left(kept(), self._reading.recipe))

    def _send_next(self) -> None:
        try:
            indices = self._next_index()
        except StopIteration:
            return
        order = self._orders[self._sent % self._num_workers] if self._orders is not None else None
        self._sent += 1
        self._jobs.append(self._send_ahead(indices, order))

    def _send_ahead(self, indices: Sequence[Any], order: _core.DrawOrder | None) -> PendingBatch:
        """Of a batch that is not asked for yet."""
        return self._send(indices, order)

    def _send(self, indices: Sequence[Any], order: _core.DrawOrder | None) -> PendingBatch:
        with counted_in(self._record.statistics.remote):
            samples = BatchSamples(self._find, indices, self._length, self._cache, self._target_transforms)
        images = self._room_for(len(samples.indices))
        leave = self._leave(len(samples.indices))
        batch = self._engine.submit(
            samples.sources,
            samples.numbers,
            recipe=self._reading.recipe,
            target=self._target,
            size=self._size,
            out=_in_memory_order(images) if self._memory is None else self._memory.native,
            order=order,
            seed=self._seed % 2**64,
            epoch=self._record.epoch,
            stop_at_failure=self._on_error == "raise",
            max_pixels=self._pixel_limit(),
            load=samples.load,
            leave=leave,
            entries=None if self._entries is None else self._entries.native,
            **({} if self._cache is None else self._cache.asked_for(samples)),
            **self._mix,
        )
        return PendingBatch(samples, images, batch, leave)

    def _room_for(self, count: int) -> torch.Tensor:
        """Memory for the images of a batch; or, where the engine takes it from what there is, its shape and no memory."""
        if self._shape is not None and self._shape[0] == count:
            return self._shape[1]
        made = torch.empty(
            (count, self._target.channels, *self._size),
            dtype=self._dtype,
            memory_format=torch.channels_last if self._channels_last else torch.contiguous_format,
            device="cpu" if self._memory is None else "meta",
            pin_memory=self._pin_memory,
        )
        self._shape = None if self._memory is None else (count, made)
        return made

    def _leave(self, images: int) -> _core.Leave:
        """What the next batch, of so many, leaves to somebody else."""
        return _core.Leave.nothing

    def __next__(self) -> Any:
        if self.is_inherited:
            self._go_on_here()
        with AtWork(), self._one_at_a_time:
            try:
                return super().__next__()
            except StopIteration:
                self._record.statistics.end()
                raise

    def _queue(self) -> tuple[int, int]:
        """Batches that are ready, and those that were asked for."""
        return sum(job.batch.done for job in list(self._jobs)), len(self._jobs)

    def _go_on_here(self) -> None:
        """In a forked process: without workers nothing is under way between two batches."""
        if self._num_workers > 0:
            self._refuse_if_inherited()
        self._one_at_a_time = threading.RLock()
        self._engine = engine_of(None, self._engine.threads, self._engine.niceness)
        if self._finder is not None:
            self._finder.begin(self._engine)
        if self._memory is not None:
            self._memory = BatchMemory()
        self._made_here()

    def _next_data(self) -> Any:
        self.newest_cost = None
        if self._memory is not None:
            self._memory.reclaim(remember=self._ahead + 3)
        return self._next_from_workers() if self._num_workers else self._next_without_workers()

    def _next_from_workers(self) -> Any:
        if not self._jobs:
            raise StopIteration
        waited = self._complete(self._jobs[0])
        job = self._jobs.popleft()
        self._left_behind(job)
        self._send_next()
        data = self._deliver(job, waited)
        self._look_ahead()
        return data

    def _look_ahead(self) -> None:
        """Begins what can be begun with batches that were not asked for yet."""

    def _left_behind(self, job: PendingBatch) -> None:
        """Notes where the worker's generator is after this batch."""
        worker = self._received % self._num_workers
        self._received += 1
        self._taken(worker)
        if self._progress is not None and self._orders is not None and job.samples.indices:
            after = job.batch.generators_after
            self._progress.workers[worker] = lambda: streams_to_json(after)

    def _next_without_workers(self) -> Any:
        indices = self._next_index()
        self._taken()
        if self._settings_now is not None and not self._mode.holds():  # the transforms were changed
            settings = self._settings_now()
            mode = choose(settings)
            if mode.way is not Way.native or mode.in_workers:
                return self._moved(fetch_in_caller(settings, mode, indices, pin_memory=self._pin_memory))
            self._adopt(mode)
        if self._orders is None:
            job = self._send(indices, None)
            return self._deliver(job, self._complete(job))
        with drawing(self._reading.recipe) as drawn:
            order = _core.DrawOrder(drawn.native)
            job = self._send(indices, order)
            waited = self._complete(job)
            drawn.keep(order.generators())
        return self._deliver(job, waited)

    def _wait_for(self, event: Callable[[float], bool]) -> float:
        """The seconds that it took; torch's error where they are too many."""
        began = time.perf_counter()
        if not event(self._timeout if self._timeout > 0 else -1.0):
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        return time.perf_counter() - began

    def _complete(self, job: PendingBatch) -> float:
        """Waits for all images of the batch, whoever decodes them; the seconds."""
        return self._wait_for(job.batch.wait)

    def _deliver(self, job: PendingBatch, waited: float) -> Any:
        """The collated batch, or the error that the policy wants raised."""
        failures = job.samples.failures(job.batch, self._reading)
        targets = job.samples.targets
        if self._finder is not None:
            self._finder.delivered(self._engine, waited, ahead=self._ahead, asked=len(self._jobs))
        self._record.statistics.add(job.batch, len(targets) - len(failures), waited)
        self._note_cost(job)
        if self._cache is not None:
            self._record.statistics.add_cached(job.batch.cached, len(targets))
        errors = [
            SampleError(failures[slot].index, failures[slot].path, failures[slot].reason) for slot in sorted(failures)
        ]
        self._record.note(errors, failures, len(targets))
        if failures:
            if self._on_error == "raise":
                raise failures[min(failures)]
            kept = [slot for slot in range(len(targets)) if slot not in failures]
            if not kept:
                image, target = self._stand_in(failures)
                count = len(targets) if self._on_error == "replace" else 1
                images, targets = image.repeat(count, 1, 1, 1), [target] * count
            else:
                take = kept
                if self._on_error == "replace":
                    take = [next((other for other in kept if other >= slot), kept[0]) for slot in range(len(targets))]
                images = self._images(job, take)
                targets = [targets[slot] for slot in take]
            if self._channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            if self._pin_memory and not images.is_pinned():
                images = images.pin_memory()
        else:
            images = self._images(job)
        if not targets:
            self._collate([])  # torch's error for an empty batch
        if self._num_workers == 0 and gives_tv_tensors() and self._reading.pixelwise.kind is tv_tensors.Image:
            images = tv_tensors.Image(images)
        if not self._has_targets:
            return images
        # With workers the consumer's modes, such as a default device, have no say.
        with torch._C.DisableTorchFunction() if self._num_workers else nullcontext():
            collated = self._collate(tuple(targets))  # as torch has it after transposing: text stays a tuple
            if self._mixing is not None:
                collated = self._mixing.targets(job.batch.mixing, collated)
        if self._pin_memory:
            collated = torch.utils.data._utils.pin_memory.pin_memory(collated)
        collated = self._moved(collated)
        return (images, collated) if self._gives_tuples else [images, collated]

    def _note_cost(self, job: PendingBatch) -> None:
        slot, longest, seconds = job.batch.slowest
        if not longest:
            return
        slowest = longest, job.samples.indices[slot], job.samples.path(slot)
        self._record.statistics.add_slowest(*slowest)
        self.newest_cost = seconds, slowest

    def _images(self, job: PendingBatch, take: list[int] | None = None) -> torch.Tensor:
        """The images of these slots, None: of all, where the consumer wants them."""
        images = self._finished(job)
        return images if take is None else images[take]

    def _moved(self, data: Any) -> Any:
        """What was made on the CPU, where the consumer wants it."""
        return data

    def _stand_in(self, failures: dict[int, FastloadError]) -> tuple[torch.Tensor, Any]:
        """The next readable sample: no batch is ever empty, or ranks would take different numbers of steps."""
        for index in stand_in_indices(list(failures.values()), self._length):
            job = self._send([index], None)
            self._complete(job)
            if not job.samples.failures(job.batch, self._reading):
                return self._images(job), job.samples.targets[0]
        raise failures[min(failures)]

    def _shutdown_workers(self) -> None:
        """Nothing further is made; what torch's iterators do on being dropped, and what some callers ask for."""
        self._jobs.clear()

    def _finished(self, job: PendingBatch) -> torch.Tensor:
        if self._memory is None or job.images.numel() == 0:
            return job.images
        lent: torch.Tensor = self._memory.lend(
            job.batch.take_block(), job.images.shape, self._dtype, job.images.stride()
        )
        return lent


def _in_memory_order(images: torch.Tensor) -> np.ndarray:
    """Its bytes, flat: uint8. Where sides are 1, strides say little about the order."""
    return images.as_strided((images.numel(),), (1,)).view(torch.uint8).numpy()
