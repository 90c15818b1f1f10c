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
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fastload import _core, dali, ragged
from fastload.coefficients import Coded, windows_in_torch, windows_on_gpu
from fastload.destination import Destination
from fastload.errands import Errands, Run

if TYPE_CHECKING:
    from fastload.native import Job

# Of images that DALI has, or has decoded for batches whose pixels are not made yet: 1.6 GB of a GPU's memory, and one batch more.
_MOST_PIXELS = 1 << 29


class Assembly:
    """Makes pixels for one loader, all its epochs long.

    Args:
        decoder: of files.
        destination: where the pixels will be.

    Attributes:
        refused: why DALI refused a file, by its index in the data set; each is looked for once.
    """

    def __init__(self, decoder: dali.Decoder, destination: Destination) -> None:
        self.refused: dict[int, str] = {}
        self._decoder = decoder
        self._destination = destination
        self._pixels = 0  # see _MOST_PIXELS
        self._room = threading.Condition()
        self._held: deque[tuple[torch.cuda.Event, Any]] = deque()
        self._handing = Errands("fastload-files")
        self._making = Errands("fastload-pixels")

    def __del__(self) -> None:
        for event, _ in self._held:
            event.synchronize()

    def begin(self, job: Job, run: Run, engine: _core.Engine) -> None:
        """Sets ``job.made``, a future, whose result is there when ``job.pixels`` are."""
        if job.leave == _core.Leave.bytes:
            job.handed = self._handing.submit(self._hand_over, job, run)
        job.made = self._making.submit(self._make, job, run, engine)

    def do(self, job: Job, engine: _core.Engine) -> None:
        """The same, at once and on the caller's thread."""
        run = Run()
        if job.leave == _core.Leave.bytes:
            self._hand_over(job, run)
        self._make(job, run, engine)

    def _hand_over(self, job: Job, run: Run) -> None:
        """Gives DALI the batch's files."""
        if not run.wait(job.batch.wait_planned):
            return
        pixels = job.batch.deferred_pixels
        with self._room:
            if not run.wait(lambda timeout: self._room.wait_for(lambda: self._fits(pixels), timeout)):
                return
            self._pixels += pixels
        try:
            job.left = self._submitted(job, pixels)
        except BaseException:  # no memory: the batch fails, others want its room
            self._free(pixels)
            raise

    def _submitted(self, job: Job, pixels: int) -> Left:
        with self._destination.on_stream():
            taps = self._taps(job)
        samples, passes, encoded = job.batch.deferred(taps.numpy())
        sizes, samplings = samples[:, [ragged.WIDTH, ragged.HEIGHT]], samples[:, ragged.SAMPLING]
        request = self._decoder.submit(encoded, sizes, samplings)
        return Left(ragged.Deferred(samples, passes, taps, encoded), request, pixels)

    def _free(self, pixels: int) -> None:
        with self._room:
            self._pixels -= pixels
            self._room.notify_all()

    def _fits(self, pixels: int) -> bool:
        return self._pixels == 0 or self._pixels + pixels <= _MOST_PIXELS

    def _make(self, job: Job, run: Run, engine: _core.Engine) -> None:
        try:
            if job.leave == _core.Leave.bytes:
                if job.handed is not None:
                    job.handed.result()
                if job.left is None or not run.wait(job.left.request.wait):
                    return
            if not run.wait(job.batch.wait):
                return
            if job.left is not None:
                job.left.sort_out()
                for part, slots in job.left.refused:
                    self._take_back(job, part, slots, engine)
                    if not run.wait(job.batch.wait):
                        return
            with self._destination.on_stream():
                job.pixels = self._made(job)
        finally:
            if job.left is not None:
                self._let_go(job.left)

    def _take_back(self, job: Job, part: dali.Part, slots: dict[int, int], engine: _core.Engine) -> None:
        """``slots``: by the file's number in the part."""
        engine.take_back(job.batch, list(slots.values()))
        known, indices = self.refused, job.samples.indices
        if not any(indices[slot] in known for slot in slots.values()):
            culprits = self._decoder.culprits(part)
            known.update({indices[slots[number]]: reason for number, reason in culprits if number in slots})
        job.left.culprits += [slot for slot in slots.values() if indices[slot] in known]

    def _made(self, job: Job) -> torch.Tensor:
        count, channels, height, width = job.images.shape
        pixels = self._destination.pixels((count, height, width, channels), job.batch.take_block())
        if job.left is not None:
            if job.left.decoded:
                self._resize(job.left, pixels)
        elif job.batch.deferred_count > 0:
            self._decode(job, pixels)
        return pixels

    def _decode(self, job: Job, pixels: torch.Tensor) -> None:
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
            # All memory here is the stream's own: it may be let go while the kernels still run.
            windows, addresses = windows_on_gpu(coded, memory)
            ragged.resize_on_gpu(addresses, coded.deferred, pixels)
            del windows
        else:
            ragged.resize(windows_in_torch(coded, memory), coded.deferred, pixels)
        for block, _ in slabs:
            staging.give_after(block, event)
        # After the first batch's kernels were launched: DALI keeps everybody else waiting while it comes up.
        self._decoder.prepare(samples[np.isin(samples[:, ragged.SAMPLING], dali.SAMPLINGS), ragged.SAMPLING])

    def _resize(self, left: Left, pixels: torch.Tensor) -> None:
        """The images that DALI decoded."""
        if pixels.is_cuda:
            addresses = np.concatenate([part.addresses(which) for part, which in left.decoded])
            if ragged.resize_on_gpu(addresses, left.deferred, pixels):
                return
        images = [image for part, which in left.decoded for image in part.tensors(which)]
        on_cpu = torch.empty(pixels.shape, dtype=torch.uint8, device="cpu")
        ragged.resize(images, left.deferred, on_cpu)
        slots = torch.from_numpy(left.slots).long()
        pixels[slots.to(pixels.device)] = on_cpu[slots].to(pixels.device)

    def _taps(self, job: Job) -> torch.Tensor:
        """Memory for those of what was left."""
        pinned = self._destination.stream is not None
        return torch.empty(job.batch.deferred_taps, dtype=torch.int32, device="cpu", pin_memory=pinned)

    def _let_go(self, left: Left) -> None:
        """Keeps decoded images only until the kernels that read them are over."""
        event = self._destination.event()
        with self._room:  # the consumer's thread may be here, too
            while self._held and self._held[0][0].query():
                self._held.popleft()
            if event is not None:
                self._held.append((event, [part for part, _ in left.decoded]))
        left.decoded, left.request.parts = [], []
        self._free(left.pixels)


class Left:
    """What the engine left of one batch to DALI, and what became of it.

    Attributes:
        deferred: all of it, until sort_out(); then what DALI decoded, in the order of ``decoded``.
        request: to DALI, for all of it.
        pixels: of its images.
        decoded: parts, and which of their images are this batch's.
        refused: (part, {number in the part: slot}) of what DALI could not decode, or what came with it.
        culprits: slots of the first.
    """

    def __init__(self, deferred: ragged.Deferred, request: dali.Request, pixels: int) -> None:
        self.deferred = deferred
        self.request = request
        self.pixels = pixels
        self.decoded: list[tuple[dali.Part, np.ndarray]] = []
        self.refused: list[tuple[dali.Part, dict[int, int]]] = []
        self.culprits: list[int] = []

    def sort_out(self) -> None:
        """What became of the files, once the request is over."""
        kept = [np.empty(0, np.int64)]
        for part, which, positions in self.request.parts:
            if part.error is None:
                self.decoded.append((part, which))
                kept.append(positions)
            else:
                slots = self.slots[positions]
                self.refused.append((part, dict(zip(which.tolist(), slots.tolist(), strict=True))))
        self.deferred = self.deferred.only(np.concatenate(kept))

    @property
    def slots(self) -> np.ndarray:
        """Of the samples in ``deferred``, int32."""
        return self.deferred.samples[:, ragged.SLOT]
