"""What the engine left of a batch -> its uint8 pixels on a device.

Note [three threads]
One thread gives DALI files as soon as they are planned, one makes pixels of what is there, one looks whether the kernels could read
all codes, once they are over. All take the batches in their order, so none has to look about. It could all be done when the
consumer asks for a batch, but the consumer's thread launches the training's kernels: what a batch costs here is time in which a GPU
with a small model runs dry.

Note [images whose codes do not fit]
The kernels tell of each image whether its codes fit its entry points. One whose do not, as after a file was changed under its
record, goes back to the engine, which decodes the file as it is, with the window that was drawn, and reports what it cannot decode.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from concurrent.futures import Future

import numpy as np
import torch

from fastload import _core
from fastload.batches import PendingBatch
from fastload.engine import BackgroundThread, Cancellation
from fastload.gpu import resize_images
from fastload.gpu.dali_decoder import Decoder
from fastload.gpu.dali_files import SAMPLINGS, Part
from fastload.gpu.device_copy import Destination
from fastload.gpu.files_for_dali import DeferredFiles
from fastload.gpu.window_kernels import Faults, WindowKernels, take

# Of images that DALI has, or has decoded for batches whose pixels are not made yet: 1.6 GB of a GPU's memory, and one batch more.
_MOST_PIXELS = 1 << 29
# Batches whose windows are made at a time, on streams of their own: a batch's slowest intervals leave most of a GPU free.
_STREAMS = 2


class DecodePipeline:
    """Makes pixels for one loader, all its epochs long.

    Args:
        decoder: of files; None: there is none.
        kernels: that make windows; None: nothing is left as windows.
        destination: where the pixels will be.

    Attributes:
        refused: why DALI refused a file, by its index in the data set; each is looked for once.
    """

    def __init__(self, decoder: Decoder | None, kernels: WindowKernels | None, destination: Destination) -> None:
        self.refused: dict[int, str] = {}
        self._decoder = decoder
        self._kernels = kernels
        self._destination = destination
        self._pixels = 0  # see _MOST_PIXELS
        self._room = threading.Condition()
        self._held: deque[tuple[torch.cuda.Event, list[Part]]] = deque()
        self._handing = BackgroundThread("fastload-files")
        self._making = BackgroundThread("fastload-pixels")
        self._looking = BackgroundThread("fastload-faults")
        self._streams = itertools.cycle(destination.further_streams(_STREAMS))

    def __del__(self) -> None:
        for event, _ in self._held:
            event.synchronize()

    def begin(self, job: PendingBatch, cancellation: Cancellation, engine: _core.Engine) -> None:
        """Sets ``job.made``, a future, whose result is there when ``job.pixels`` are."""
        if job.leave == _core.Leave.bytes:
            job.handed = self._handing.submit(self._hand_over, job, cancellation)
        making = self._making.submit(self._make, job, cancellation, engine)
        if job.leave == _core.Leave.windows:
            making = self._looking.submit(self._mend, making, job, cancellation, engine)
        job.made = making

    def do(self, job: PendingBatch, engine: _core.Engine) -> None:
        """The same, at once and on the caller's thread."""
        cancellation = Cancellation()
        if job.leave == _core.Leave.bytes:
            self._hand_over(job, cancellation)
        self._take_back_faulty(job, self._make(job, cancellation, engine), cancellation, engine)

    def _hand_over(self, job: PendingBatch, cancellation: Cancellation) -> None:
        """Gives DALI the batch's files."""
        if not cancellation.wait(job.batch.wait_planned):
            return
        pixels = job.batch.deferred_pixels
        with self._room:
            if not cancellation.wait(lambda timeout: self._room.wait_for(lambda: self._fits(pixels), timeout)):
                return
            self._pixels += pixels
        try:
            job.left = self._submitted(job, pixels)
        except BaseException:  # no memory: the batch fails, others want its room
            self._free(pixels)
            raise

    def _submitted(self, job: PendingBatch, pixels: int) -> DeferredFiles:
        with self._destination.on_stream():
            taps = self._taps(job)
        assert self._decoder is not None
        samples, passes, encoded = job.batch.deferred(taps.numpy())
        sizes, samplings = samples[:, [resize_images.WIDTH, resize_images.HEIGHT]], samples[:, resize_images.SAMPLING]
        request = self._decoder.submit(encoded, sizes, samplings)
        return DeferredFiles(resize_images.Deferred(samples, passes, taps, encoded), request, pixels)

    def _free(self, pixels: int) -> None:
        with self._room:
            self._pixels -= pixels
            self._room.notify_all()

    def _fits(self, pixels: int) -> bool:
        return self._pixels == 0 or self._pixels + pixels <= _MOST_PIXELS

    def _make(self, job: PendingBatch, cancellation: Cancellation, engine: _core.Engine) -> Faults | None:
        """Sets ``job.pixels``; what may have gone wrong with windows."""
        try:
            if job.leave == _core.Leave.bytes:
                if job.handed is not None:
                    job.handed.result()
                if job.left is None or not cancellation.wait(job.left.request.wait):
                    return None
            if not cancellation.wait(job.batch.wait):
                return None
            if job.left is not None:
                job.left.sort_out()
                for part, slots in job.left.refused:
                    self._take_back(job, part, slots, engine)
                    if not cancellation.wait(job.batch.wait):
                        return None
            if job.leave == _core.Leave.windows:
                return self._make_windows(job)
            with self._destination.on_stream():
                job.pixels = self._made(job)
            return None
        finally:
            if job.left is not None:
                self._let_go(job.left)

    def _make_windows(self, job: PendingBatch) -> Faults | None:
        stream = next(self._streams)
        with self._destination.on_stream(stream):
            pixels = self._written(job)
            faults = None
            if job.batch.deferred_count > 0:
                assert self._kernels is not None
                faults = self._kernels.make(job.batch, pixels)
            job.behind = self._destination.lend(pixels, stream)
        job.pixels = pixels
        if self._decoder is not None:
            # After the first batch's kernels were launched: DALI keeps everybody else waiting while it comes up.
            self._decoder.prepare(np.array([one for one in job.batch.left_samplings if one in SAMPLINGS]))
        return faults

    def _mend(
        self, making: Future[Faults | None], job: PendingBatch, cancellation: Cancellation, engine: _core.Engine
    ) -> None:
        if not making.cancelled():
            self._take_back_faulty(job, making.result(), cancellation, engine)

    def _take_back_faulty(
        self, job: PendingBatch, faults: Faults | None, cancellation: Cancellation, engine: _core.Engine
    ) -> None:
        """See Note [images whose codes do not fit]."""
        slots = faults.slots() if faults is not None else []
        if not slots:
            return
        engine.take_back(job.batch, slots)
        pixels, job.pixels = job.pixels, None
        assert pixels is not None
        if cancellation.wait(job.batch.wait):
            with self._destination.on_stream():
                take(pixels, self._written(job), slots)
            job.pixels = pixels

    def _take_back(self, job: PendingBatch, part: Part, slots: dict[int, int], engine: _core.Engine) -> None:
        """``slots``: by the file's number in the part."""
        engine.take_back(job.batch, list(slots.values()))
        assert self._decoder is not None
        known, indices = self.refused, job.samples.indices
        if not any(indices[slot] in known for slot in slots.values()):
            culprits = self._decoder.culprits(part)
            known.update({indices[slots[number]]: reason for number, reason in culprits if number in slots})
        job.left.culprits += [slot for slot in slots.values() if indices[slot] in known]

    def _written(self, job: PendingBatch) -> torch.Tensor:
        """What the engine wrote; other slots are of any value."""
        count, channels, height, width = job.images.shape
        return self._destination.pixels((count, height, width, channels), job.batch.take_block())

    def _made(self, job: PendingBatch) -> torch.Tensor:
        pixels = self._written(job)
        if job.left is not None and job.left.decoded:
            self._resize(job.left, pixels)
        return pixels

    def _resize(self, left: DeferredFiles, pixels: torch.Tensor) -> None:
        """The images that DALI decoded."""
        if pixels.is_cuda:
            addresses = np.concatenate([part.addresses(which) for part, which in left.decoded])
            if resize_images.resize_on_gpu(addresses, left.deferred, pixels):
                return
        images = [image for part, which in left.decoded for image in part.tensors(which)]
        on_cpu = torch.empty(pixels.shape, dtype=torch.uint8, device="cpu")
        resize_images.resize(images, left.deferred, on_cpu)
        slots = torch.from_numpy(left.slots).long()
        pixels[slots.to(pixels.device)] = on_cpu[slots].to(pixels.device)

    def _taps(self, job: PendingBatch) -> torch.Tensor:
        """Memory for those of what was left."""
        pinned = self._destination.stream is not None
        return torch.empty(job.batch.deferred_taps, dtype=torch.int32, device="cpu", pin_memory=pinned)

    def _let_go(self, left: DeferredFiles) -> None:
        """Keeps decoded images only until the kernels that read them are over."""
        event = self._destination.event()
        with self._room:  # the consumer's thread may be here, too
            while self._held and self._held[0][0].query():
                self._held.popleft()
            if event is not None:
                self._held.append((event, [part for part, _ in left.decoded]))
        left.decoded, left.request.parts = [], []
        self._free(left.pixels)
