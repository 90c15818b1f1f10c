"""Batches from native threads, in the order, with the random numbers and with the errors of torch's loader."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data.dataloader import _BaseDataLoaderIter, default_collate

from fastload import _core
from fastload.errors import SampleError
from fastload.memory import BatchMemory
from fastload.modes import Mode
from fastload.samples import BatchSamples, pixel_limit
from fastload.statistics import Statistics

if TYPE_CHECKING:
    from fastload.loader import DataLoader


def index_seed(loader: DataLoader[Any]) -> int:
    """The seed of ``rng="index"``: the one that the generator was seeded with. Draws nothing."""
    return (loader.generator or torch.default_generator).initial_seed()


class _Job:
    """One batch under way: its samples, its images (or, on the meta device, only what they will be), its engine batch."""

    def __init__(self, samples: BatchSamples, images: torch.Tensor, batch: _core.Batch) -> None:
        self.samples = samples
        self.images = images
        self.batch = batch
        self.upload: Any = None  # for a device: what was begun before the batch was asked for


class NativeIterator(_BaseDataLoaderIter):
    """torch's iterator protocol over the engine.

    Draws from torch's generators exactly what torch's own iterators draw. With workers, batch k belongs to emulated worker
    ``k % num_workers``, whose generator is seeded and consumed as the process's would be; without, the caller's generator is
    used and nothing is read ahead.
    """

    def __init__(
        self, loader: DataLoader[Any], mode: Mode, engine: _core.Engine, memory: BatchMemory, statistics: Statistics
    ) -> None:
        super().__init__(loader)
        assert mode.reading is not None and mode.reading.size is not None
        if self._num_workers == 0 and self._timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        if self._num_workers > 0 and loader.prefetch_factor <= 0:
            raise AssertionError("prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter")
        self._mode = mode
        self._engine = engine
        self._statistics = statistics
        self._on_error = loader.on_error
        self._ledger = loader._errors
        self._length = len(loader.dataset)
        self._has_targets = mode.located.leaves[0].has_targets if mode.located else False
        self._seed = index_seed(loader) if loader.rng == "index" else 0
        self._epoch = loader._epoch
        self._ahead = loader.prefetch_factor * self._num_workers if self._num_workers else 0
        self._choose_output(loader, memory)
        self._jobs: deque[_Job] = deque()
        self._orders: list[_core.DrawOrder] | None = None
        if loader.rng == "stock":
            self._orders = [_order((self._base_seed + worker) & 0xFFFFFFFF) for worker in range(self._num_workers)]
        if self._num_workers > 0:
            self._reset(loader, first_iter=True)

    def _choose_output(self, loader: DataLoader[Any], memory: BatchMemory) -> None:
        """What the engine writes, and where."""
        assert self._mode.reading is not None
        pixelwise = self._mode.reading.pixelwise
        self._channels_last = loader.memory_format == torch.channels_last
        self._dtype = loader.dtype or pixelwise.table.dtype
        self._target = pixelwise.target("hwc" if self._channels_last else "chw", self._dtype)
        self._share: _core.Share | None = None  # all images are decoded by the engine
        self._memory: Any = memory if BatchMemory.serves(pinned=self._pin_memory) else None

    def _reset(self, loader: DataLoader[Any], first_iter: bool = False) -> None:
        # As worker processes do, finish what was asked for: the emulated generators have moved on by just that much.
        for job in self._jobs:
            job.batch.wait()
        self._jobs.clear()
        super()._reset(loader, first_iter)
        if not first_iter:
            loader._epoch += 1
            self._epoch = loader._epoch
            self._statistics = loader._statistics = Statistics()
        self._sent = 0
        for _ in range(self._ahead):
            self._send_next()

    def _send_next(self) -> None:
        try:
            indices = self._next_index()
        except StopIteration:
            return
        order = self._orders[self._sent % self._num_workers] if self._orders is not None else None
        self._sent += 1
        self._jobs.append(self._send(indices, order))

    def _send(self, indices: Sequence[Any], order: _core.DrawOrder | None) -> _Job:
        assert self._mode.reading is not None and self._mode.reading.size is not None
        samples = BatchSamples(self._mode.located.find, indices, self._length)
        height, width = self._mode.reading.size
        images = torch.empty(
            (len(samples.indices), self._target.channels, height, width),
            dtype=self._dtype,
            memory_format=torch.channels_last if self._channels_last else torch.contiguous_format,
            device="cpu" if self._memory is None else "meta",
            pin_memory=self._pin_memory,
        )
        batch = self._engine.submit(
            samples.sources,
            [index % 2**64 for index in samples.indices],
            recipe=self._mode.reading.recipe,
            target=self._target,
            size=(height, width),
            out=_in_memory_order(images) if self._memory is None else self._memory.native,
            order=order,
            seed=self._seed % 2**64,
            epoch=self._epoch,
            stop_at_failure=self._on_error == "raise",
            max_pixels=pixel_limit(),
            load=samples.load,
            share=self._share,
        )
        return _Job(samples, images, batch)

    def _next_data(self) -> Any:
        while True:
            if self._memory is not None:
                self._memory.reclaim(remember=self._ahead + 3)
            data = self._next_from_workers() if self._num_workers else self._next_without_workers()
            if data is not None:
                return data

    def _next_from_workers(self) -> Any:
        if not self._jobs:
            raise StopIteration
        waited = self._wait(self._jobs[0])
        job = self._jobs.popleft()
        self._send_next()
        data = self._deliver(job, waited)
        self._look_ahead()
        return data

    def _look_ahead(self) -> None:
        """Begins what can be begun with batches that were not asked for yet."""

    def _next_without_workers(self) -> Any:
        indices = self._next_index()
        if self._orders is None:
            job = self._send(indices, None)
            return self._deliver(job, self._wait(job))
        state = torch.get_rng_state()
        order = _core.DrawOrder(_core.Mt19937.from_torch(state.numpy()))
        job = self._send(indices, order)
        waited = self._wait(job)
        order.generator().export_torch(state.numpy())
        torch.set_rng_state(state)
        return self._deliver(job, waited)

    def _wait(self, job: _Job) -> float:
        began = time.perf_counter()
        if not job.batch.wait(self._timeout if self._timeout > 0 else -1.0):
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        return time.perf_counter() - began

    def _deliver(self, job: _Job, waited: float) -> Any:
        """The collated batch; None when no sample of it is left; raises what the policy wants raised."""
        failures = job.samples.failures(job.batch, self._mode.reading)
        targets = job.samples.targets
        self._statistics.add(job.batch, len(targets) - len(failures), len(failures), waited)
        take: list[int] | None = None  # the slot of each sample; None: all in order
        if failures:
            for slot in sorted(failures):
                error = failures[slot]
                self._ledger.append(SampleError(error.index, error.path, error.reason))
            take = [slot for slot in range(len(targets)) if slot not in failures]
            if self._on_error == "raise" or (self._on_error == "replace" and not take):
                raise failures[min(failures)]
            if not take:
                return None
            if self._on_error == "replace":
                kept = take
                take = [next((other for other in kept if other >= slot), kept[0]) for slot in range(len(targets))]
            targets = [targets[slot] for slot in take]
        images = self._images(job, take)
        if not targets:
            default_collate([])  # torch's error for an empty batch
        return [images, self._placed(default_collate(targets))] if self._has_targets else images

    def _images(self, job: _Job, take: list[int] | None) -> torch.Tensor:
        """The images of these slots, where the consumer wants them."""
        images = self._finished(job)
        if take is None:
            return images
        images = images[take]
        if self._channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return images.pin_memory() if self._pin_memory else images

    def _placed(self, collated: Any) -> Any:
        """The targets, where the consumer wants them."""
        return torch.utils.data._utils.pin_memory.pin_memory(collated) if self._pin_memory else collated

    def _finished(self, job: _Job) -> torch.Tensor:
        if self._memory is None or job.images.numel() == 0:
            return job.images
        return self._memory.lend(job.batch.take_block(), job.images.shape, self._dtype, job.images.stride())


def _in_memory_order(images: torch.Tensor) -> np.ndarray:
    flat = images.permute(0, 2, 3, 1) if images.is_contiguous(memory_format=torch.channels_last) else images
    return (flat if flat.is_contiguous() else images).view(torch.uint8).numpy()


def _order(seed: int) -> _core.DrawOrder:
    return _core.DrawOrder(_core.Mt19937(seed))
