"""What the engine left of a batch -> its uint8 pixels on a device.

Note [two threads]
One thread gives DALI files as soon as they are planned, one makes pixels of what is there. Both take the batches in their order,
so neither has to look about. It could all be done when the consumer asks for a batch, but the consumer's thread launches the
training's kernels: what a batch costs here, some milliseconds of Python and CUDA calls, is time in which a GPU with a small model
runs dry.
"""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
import torch

from fastload import _core
from fastload.batches import PendingBatch
from fastload.engine import BackgroundThread, Cancellation
from fastload.gpu import resize_images
from fastload.gpu.coefficients_to_rgb import Coded, windows_in_torch, windows_on_gpu
from fastload.gpu.dali_decoder import Decoder
from fastload.gpu.dali_files import SAMPLINGS, Part
from fastload.gpu.device_copy import Destination
from fastload.gpu.files_for_dali import DeferredFiles

# Of images that DALI has, or has decoded for batches whose pixels are not made yet: 1.6 GB of a GPU's memory, and one batch more.
_MOST_PIXELS = 1 << 29


class DecodePipeline:
    """Makes pixels for one loader, all its epochs long.

    Args:
        decoder: of files.
        destination: where the pixels will be.

    Attributes:
        refused: why DALI refused a file, by its index in the data set; each is looked for once.
    """

    def __init__(self, decoder: Decoder, destination: Destination) -> None:
        self.refused: dict[int, str] = {}
        self._decoder = decoder
        self._destination = destination
        self._pixels = 0  # see _MOST_PIXELS
        self._room = threading.Condition()
        self._held: deque[tuple[torch.cuda.Event, list[Part]]] = deque()
        self._handing = BackgroundThread("fastload-files")
        self._making = BackgroundThread("fastload-pixels")

    def __del__(self) -> None:
        for event, _ in self._held:
            event.synchronize()

    def begin(self, job: PendingBatch, cancellation: Cancellation, engine: _core.Engine) -> None:
        """Sets ``job.made``, a future, whose result is there when ``job.pixels`` are."""
        if job.leave == _core.Leave.bytes:
            job.handed = self._handing.submit(self._hand_over, job, cancellation)
        job.made = self._making.submit(self._make, job, cancellation, engine)

    def do(self, job: PendingBatch, engine: _core.Engine) -> None:
        """The same, at once and on the caller's thread."""
        cancellation = Cancellation()
        if job.leave == _core.Leave.bytes:
            self._hand_over(job, cancellation)
        self._make(job, cancellation, engine)

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

    def _make(self, job: PendingBatch, cancellation: Cancellation, engine: _core.Engine) -> None:
        try:
            if job.leave == _core.Leave.bytes:
                if job.handed is not None:
                    job.handed.result()
                if job.left is None or not cancellation.wait(job.left.request.wait):
                    return
            if not cancellation.wait(job.batch.wait):
                return
            if job.left is not None:
                job.left.sort_out()
                for part, slots in job.left.refused:
                    self._take_back(job, part, slots, engine)
                    if not cancellation.wait(job.batch.wait):
                        return
            with self._destination.on_stream():
                job.pixels = self._made(job)
        finally:
            if job.left is not None:
                self._let_go(job.left)

    def _take_back(self, job: PendingBatch, part: Part, slots: dict[int, int], engine: _core.Engine) -> None:
        """``slots``: by the file's number in the part."""
        engine.take_back(job.batch, list(slots.values()))
        known, indices = self.refused, job.samples.indices
        if not any(indices[slot] in known for slot in slots.values()):
            culprits = self._decoder.culprits(part)
            known.update({indices[slots[number]]: reason for number, reason in culprits if number in slots})
        job.left.culprits += [slot for slot in slots.values() if indices[slot] in known]

    def _made(self, job: PendingBatch) -> torch.Tensor:
        count, channels, height, width = job.images.shape
        pixels = self._destination.pixels((count, height, width, channels), job.batch.take_block())
        if job.left is not None:
            if job.left.decoded:
                self._resize(job.left, pixels)
        elif job.batch.deferred_count > 0:
            self._decode(job, pixels)
        return pixels

    def _decode(self, job: PendingBatch, pixels: torch.Tensor) -> None:
        """The images whose codes the engine read."""
        taps = self._taps(job)
        samples, passes, planes, slabs = job.batch.coefficients(taps.numpy())
        coded = Coded.of(samples, passes, taps, planes)
        staging = self._destination.staging
        memory = [staging.memory(block)[:used] for block, used in slabs]
        event = None
        if pixels.is_cuda:
            memory = [self._destination.copy(slab) for slab in memory]
            event = self._destination.event()
            # All memory here is the stream's own: it may be let go while the kernels still cancellation.
            windows, addresses = windows_on_gpu(coded, memory)
            resize_images.resize_on_gpu(addresses, coded.deferred, pixels)
            del windows
        else:
            resize_images.resize(windows_in_torch(coded, memory), coded.deferred, pixels)
        for block, _ in slabs:
            staging.give_after(block, event)
        # After the first batch's kernels were launched: DALI keeps everybody else waiting while it comes up.
        self._decoder.prepare(samples[np.isin(samples[:, resize_images.SAMPLING], SAMPLINGS), resize_images.SAMPLING])

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
