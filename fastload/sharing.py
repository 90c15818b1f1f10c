"""Batches that two decoders share: the GPU's hardware through DALI, and the engine's threads, which leave arithmetic to the GPU.

The engine opens, draws and orders every sample, so windows, flips, order and errors are its own. Of some batches the files that the
hardware can take go to DALI, and the decoded images through fastload's own resize into the batch. What DALI refuses is taken back
and decoded by the engine, with the window that was drawn. Of the others the engine reads the codes, three quarters of what decoding
costs, and the GPU makes pixels of the coefficients, bit for bit Pillow's. Files of other kinds are decoded by the engine.

Note [who decodes a batch]
Each batch goes, when it is sent, to who will have it sooner: by what each still has to do, at the pace that it has had of late. So
each does as much as it can, and both go from batch to batch in the order in which they will be asked for. The threads get all until
DALI is there, which takes seconds. With "hybrid" they also get all, and leave nothing to the GPU, while enough batches are waiting
for the consumer: the GPU has its own work. With "gpu" there are only a third of the threads.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Sequence
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from fastload import _core, dali
from fastload.assembly import Assembly
from fastload.choice import GpuDecode
from fastload.destination import Destination
from fastload.device import DeviceIterator
from fastload.errands import Run
from fastload.finish import kernels
from fastload.modes import Mode
from fastload.native import Job
from fastload.pace import Pace

if TYPE_CHECKING:
    from fastload.loader import DataLoader

# Images that are read ahead. All bytes of those that were left are in memory.
_AHEAD = 16 * dali.MOST_FILES
# Batches, however large: two for each decoder.
_FEWEST_AHEAD = 4
# Of each of DALI's pipelines, where they only parse: 2, 4 and 16 gave 16,600, 17,300 and 17,800 images/s on an H200.
_THREADS_BESIDE_HARDWARE = 4
# An image on one thread, until it is known.
_SECONDS_A_THREAD = 1e-3
# Of the engine's threads beside DALI's, which wait for the hardware thousands of times a second. With all 16 cores busy DALI got
# 10,500 images/s from an H200's decoder, with this 15,000 (hybrid: 14,800 to 19,200, and 22,100 to 23,000).
NICENESS = 10
# With each batch that it does not get DALI is taken for faster by this, or a time in which it was slow would last for ever.
_FORGETTING = 0.999


class Sharing:
    """What one loader keeps for all its epochs.

    ``threads``: of the engine. ``rest``: what it leaves of the batches that do not go to the decoder. ``before``: the decoder of
    what was there before goes on, if it is the same.
    """

    def __init__(
        self, decode: GpuDecode, destination: Destination, threads: int, before: Sharing | None = None
    ) -> None:
        self.decode = decode
        self.destination = destination
        self.threads = threads
        can_finish = destination.device.type == "cpu"
        if destination.stream is not None and (triton := kernels()) is not None:
            can_finish = True
            with destination.on_stream():
                triton.prepare(destination.device)
        self.rest = _core.Leave.coefficients if can_finish else _core.Leave.nothing
        hardware_alone = decode.backend == "gpu" and decode.hw_decoder_load in (None, 1)
        device_id = destination.device.index if decode.backend == "gpu" else None
        dali_threads = decode.threads or (_THREADS_BESIDE_HARDWARE if hardware_alone else threads)
        load = 1.0 if decode.hw_decoder_load is None else decode.hw_decoder_load
        if before is not None and before.decoder.serves(device_id, dali_threads, load):
            self.decoder = before.decoder
        else:
            self.decoder = dali.Decoder(device_id, dali_threads, load)
        self.assembly = Assembly(self.decoder, destination)
        self.threads_pace = Pace(_SECONDS_A_THREAD / threads)

    def serves(self, decode: GpuDecode, destination: Destination, threads: int) -> bool:
        """Whether this is what an iterator that begins now needs."""
        asked = (decode, destination, threads)
        return asked == (self.decode, self.destination, self.threads) and not self.decoder.is_forked_copy


class SharingIterator(DeviceIterator):
    """Native batches on a device, all or some of whose images are decoded there."""

    def __init__(self, loader: DataLoader[Any], *given: Any, destination: Destination, sharing: Sharing) -> None:
        self._sharing = sharing
        self._begin_run()
        batch_size = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None) or dali.MOST_FILES
        self._most_ahead = max(_FEWEST_AHEAD, math.ceil(_AHEAD / batch_size))
        self._threads_were_free = 0.0
        super().__init__(loader, *given, destination=destination)

    def _begin_run(self) -> None:
        self._run = Run()
        self._end_run = weakref.finalize(self, self._run.end)

    def _reset(self, loader: DataLoader[Any], first_iter: bool = False) -> None:
        if not first_iter:  # what was asked for is not wanted any more
            self._end_run()
            self._begin_run()
        super()._reset(loader, first_iter)

    def _adopt(self, mode: Mode) -> None:
        super()._adopt(mode)
        self._ahead = min(self._ahead, self._most_ahead)

    def _leave(self, images: int) -> _core.Leave:
        if self._sharing.decode.how == "hybrid" and self._num_workers and self._count_ready() > self._ahead // 2:
            return _core.Leave.nothing
        return _core.Leave.bytes if self._is_for_decoder(images) else self._sharing.rest

    def _is_for_decoder(self, images: int) -> bool:
        """See Note [who decodes a batch]."""
        sharing = self._sharing
        if sharing.decode.how == "gpu" and sharing.rest == _core.Leave.nothing:
            return True
        if sharing.rest == _core.Leave.coefficients and not sharing.decoder.is_ready:
            return False
        decoder, threads = sharing.decoder.pace, sharing.threads_pace
        with_decoder, with_threads = sharing.decoder.files + images, images
        for job in self._jobs:
            if job.leave != _core.Leave.bytes:
                with_threads += job.batch.remaining
            elif job.left is None:
                with_decoder += len(job.samples.indices)
        sooner = with_decoder * decoder.per_image < with_threads * threads.per_image
        if not sooner:
            decoder.fade(_FORGETTING)
        return sooner

    def _count_ready(self) -> int:
        """Batches that could be delivered now, one after the other."""
        return sum(1 for _ in itertools.takewhile(lambda job: job.upload or self._is_complete(job), self._jobs))

    def _send_ahead(self, indices: Sequence[Any], order: _core.DrawOrder | None) -> Job:
        job = super()._send_ahead(indices, order)
        self._sharing.assembly.begin(job, self._run, self._engine)
        return job

    def _complete(self, job: Job) -> float:
        if job.made is None:
            waited = self._wait_for(job.batch.wait)
            self._sharing.assembly.do(job, self._engine)
        else:
            waited = self._wait_for(lambda timeout: bool(wait([job.made], None if timeout < 0 else timeout).done))
            job.made.result()
        if job.leave != _core.Leave.bytes:
            self._note_pace(job)
        return waited

    def _note_pace(self, job: Job) -> None:
        """Threads finish batches in about the order in which they were sent."""
        finished = job.batch.finished_at
        began = max(job.sent_at, self._threads_were_free)
        if job.leave == self._sharing.rest:
            self._sharing.threads_pace.add(max(0.0, finished - began), len(job.samples.indices))
        self._threads_were_free = max(finished, self._threads_were_free)

    def _is_complete(self, job: Job) -> bool:
        return job.made is not None and job.made.done() and job.pixels is not None

    def _deliver(self, job: Job, waited: float) -> Any:
        statistics, left, reasons = self._record.statistics, job.batch.deferred_count, job.batch.kept
        match job.leave:
            case _core.Leave.bytes:
                statistics.add_decoders(left, 0, reasons)
                for slot in job.left.culprits:
                    index = job.samples.indices[slot]
                    statistics.refuse(index, job.samples.paths[slot], self._sharing.assembly.refused[index])
            case _core.Leave.coefficients:
                statistics.add_decoders(0, left, reasons)
            case _:
                statistics.add_decoders(0, 0, {"balance": len(job.samples.indices)})
        return super()._deliver(job, waited)

    def _shutdown_workers(self) -> None:
        self._end_run()
        super()._shutdown_workers()
