"""Batches whose images are made on the GPU: of their windows' codes, of coefficients that threads read, or of files by its
hardware.

The engine opens, draws and orders every sample, so windows, flips, order and errors are its own. Of a file whose entry points are
known it reads the bytes of the window's codes, and kernels make the pixels; of others it reads the codes themselves, three quarters
of what decoding costs, and the kernels do the rest. Both are Pillow's, bit for bit. Where there is DALI, the files of some batches
go to the hardware, and the decoded images through fastload's own resize into the batch; what DALI refuses is taken back and decoded
by the engine, with the window that was drawn. Files of other kinds are decoded by the engine.

Note [who decodes a batch]
Without DALI the kernels have all batches, but with "hybrid", while enough batches are waiting for the consumer, the threads leave
nothing to the GPU, which has its own work. With DALI each batch goes, when it is sent, to who will have it sooner: by what each
still has to do, at the pace that it has had of late. So each does as much as it can, and both go from batch to batch in the order
in which they will be asked for. The threads get all until DALI is there, which takes seconds. With "gpu" there are only a third of
the threads.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Sequence
from concurrent.futures import wait
from typing import Any

from fastload import _core
from fastload.batches import LoaderSettings, Mode, PendingBatch
from fastload.engine import Cancellation
from fastload.gpu.dali_pipeline import MOST_FILES
from fastload.gpu.decode_resources import DecodeResources
from fastload.gpu.device_copy import Destination
from fastload.gpu.device_iterator import DeviceIterator

# Images that are read ahead. All bytes of those that were left are in memory.
_AHEAD = 16 * MOST_FILES
# Batches, however large: two for each decoder.
_FEWEST_AHEAD = 4
# With each batch that it does not get DALI is taken for faster by this, or a time in which it was slow would last for ever.
_FORGETTING = 0.999


class GpuDecodeIterator(DeviceIterator):
    """Native batches on a device, all or some of whose images are decoded there."""

    def __init__(
        self, settings: LoaderSettings, *given: Any, destination: Destination, decoding: DecodeResources
    ) -> None:
        self._decoding = decoding
        self._begin_anew_on_gpu()
        batch_size = settings.batch_size or MOST_FILES
        self._most_ahead = max(_FEWEST_AHEAD, math.ceil(_AHEAD / batch_size))
        self._threads_were_free = 0.0
        super().__init__(settings, *given, destination=destination)

    def _begin_anew_on_gpu(self) -> None:
        self._cancellation = Cancellation()
        self._cancel = weakref.finalize(self, self._cancellation.cancel)

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        if not first_iter:  # what was asked for is not wanted any more
            self._cancel()
            self._begin_anew_on_gpu()
        super()._reset(loader, first_iter)

    def _adopt(self, mode: Mode) -> None:
        super()._adopt(mode)
        self._ahead = min(self._ahead, self._most_ahead)

    def _leave(self, images: int) -> _core.Leave:
        if self._decoding.decode.how == "hybrid" and self._num_workers and self._count_ready() > self._ahead // 2:
            return _core.Leave.nothing
        return _core.Leave.bytes if self._is_for_decoder(images) else self._decoding.rest

    def _is_for_decoder(self, images: int) -> bool:
        """See Note [who decodes a batch]."""
        decoding = self._decoding
        if decoding.decoder is None:
            return False
        if decoding.decode.how in ("gpu", "dali") and decoding.rest == _core.Leave.nothing:
            return True
        if decoding.rest == _core.Leave.windows and not decoding.decoder.is_ready:
            return False
        decoder, threads = decoding.decoder.pace, decoding.threads_pace
        with_decoder, with_threads = decoding.decoder.files + images, images
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

    def _send_ahead(self, indices: Sequence[Any], order: _core.DrawOrder | None) -> PendingBatch:
        job = super()._send_ahead(indices, order)
        self._decoding.pipeline.begin(job, self._cancellation, self._engine)
        return job

    def _complete(self, job: PendingBatch) -> float:
        made = job.made
        if made is None:
            waited = self._wait_for(job.batch.wait)
            self._decoding.pipeline.do(job, self._engine)
        else:
            waited = self._wait_for(lambda timeout: bool(wait([made], None if timeout < 0 else timeout).done))
            made.result()
        if job.leave != _core.Leave.bytes:
            self._note_pace(job)
        return waited

    def _note_pace(self, job: PendingBatch) -> None:
        """Threads finish batches in about the order in which they were sent."""
        finished = job.batch.finished_at
        began = max(job.sent_at, self._threads_were_free)
        if job.leave == self._decoding.rest:
            self._decoding.threads_pace.add(max(0.0, finished - began), len(job.samples.indices))
        self._threads_were_free = max(finished, self._threads_were_free)

    def _is_complete(self, job: PendingBatch) -> bool:
        return job.made is not None and job.made.done() and job.pixels is not None

    def _deliver(self, job: PendingBatch, waited: float) -> Any:
        statistics, left, reasons = self._record.statistics, job.batch.deferred_count, job.batch.kept
        match job.leave:
            case _core.Leave.bytes:
                statistics.add_decoders(left, 0, 0, reasons)
                for slot in job.left.culprits:
                    index = job.samples.indices[slot]
                    statistics.refuse(index, job.samples.path(slot), self._decoding.pipeline.refused[index])
            case _core.Leave.windows:
                codes = job.batch.left_codes
                statistics.add_decoders(0, codes, left - codes, reasons)
            case _:
                statistics.add_decoders(0, 0, 0, {"balance": len(job.samples.indices)})
        return super()._deliver(job, waited)

    def _shutdown_workers(self) -> None:
        self._cancel()
        super()._shutdown_workers()
