"""Batches that two decoders share: the GPU's hardware through DALI, and the engine's threads, which leave the arithmetic to the GPU.

The engine opens, draws and orders every sample, so windows, flips, order and errors are its own. Of some batches the files that the
hardware can take go to DALI, and the decoded images through fastload's own resize into the batch. What DALI refuses is taken back and
decoded by the engine, with the window that was drawn. Of the others the engine reads the codes, three quarters of what decoding
costs, and the GPU makes pixels of the coefficients, bit for bit Pillow's. Files of other kinds are decoded by the engine.

Note [who decodes a batch]
Each batch goes, when it is sent, to who will have it sooner: by what each still has to do, at the pace that it has had of late. So
each does as much as it can, and both go from batch to batch in the order in which they will be asked for. "hybrid" gives the threads
all while enough batches are waiting for the consumer: the GPU has its own work to do. "gpu" has half of the threads.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fastload import _core, dali, ragged
from fastload.choice import GpuDecode
from fastload.coefficients import Coded, windows_in_torch, windows_on_gpu
from fastload.destination import Destination
from fastload.device import DeviceIterator
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
# Of images that DALI has, or has decoded for batches that nobody asked for yet: 1.6 GB of a GPU's memory, and one batch more.
_MOST_PIXELS = 1 << 29
# Of each of DALI's pipelines, where they only parse: 2, 4 and 16 gave 16,600, 17,300 and 17,800 images/s on an H200.
_THREADS_BESIDE_HARDWARE = 4
# An image on one thread, until it is known.
_SECONDS_A_THREAD = 1e-3
# Of the engine's threads beside DALI's, which wait for the hardware thousands of times a second. With all 16 cores busy DALI got
# 10,500 images/s from an H200's decoder, with this 15,000 (hybrid: 14,800 to 19,200, and 22,100 to 23,000).
NICENESS = 10
# With each batch that it does not get DALI is taken for faster by this, or a time in which it was slow would last for ever.
_FORGETTING = 0.999
# While the consumer waits, further batches are planned and DALI can have them.
_LOOK_AGAIN_SECONDS = 0.005


class Sharing:
    """What one loader keeps for all its epochs: the decoder, and which files it refused.

    ``threads``: of the engine. ``rest``: what it leaves of the batches that do not go to the decoder.
    """

    def __init__(self, decode: GpuDecode, destination: Destination, threads: int) -> None:
        self.decode = decode
        self.destination = destination
        self.threads = threads
        can_finish = destination.device.type == "cpu" or kernels() is not None
        self.rest = _core.Leave.coefficients if can_finish else _core.Leave.nothing
        hardware_alone = decode.backend == "gpu" and decode.hw_decoder_load in (None, 1)
        self.decoder = dali.Decoder(
            device_id=destination.device.index if decode.backend == "gpu" else None,
            threads=decode.threads or (_THREADS_BESIDE_HARDWARE if hardware_alone else threads),
            hw_decoder_load=1.0 if decode.hw_decoder_load is None else decode.hw_decoder_load,
        )
        self.threads_pace = Pace(_SECONDS_A_THREAD / threads)
        self.refused: dict[int, str] = {}  # why, by index in the data set: each is looked for once
        self._held: deque[tuple[torch.cuda.Event, Any]] = deque()
        self._pid = os.getpid()

    def serves(self, decode: GpuDecode, destination: Destination, threads: int) -> bool:
        asked = (decode, destination, threads)
        return asked == (self.decode, self.destination, self.threads) and self._pid == os.getpid()

    def __del__(self) -> None:
        for event, _ in self._held:
            event.synchronize()

    def hold(self, event: torch.cuda.Event | None, what: Any) -> None:
        """Keeps decoded images until the kernels that read them are over."""
        while self._held and self._held[0][0].query():
            self._held.popleft()
        if event is not None:
            self._held.append((event, what))


class SharingIterator(DeviceIterator):
    """Native batches on a device, some of their images decoded there."""

    def __init__(self, loader: DataLoader[Any], *given: Any, destination: Destination, sharing: Sharing) -> None:
        self._sharing = sharing
        batch_size = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None) or dali.MOST_FILES
        self._most_ahead = max(_FEWEST_AHEAD, math.ceil(_AHEAD / batch_size))
        self._threads_were_free = 0.0
        super().__init__(loader, *given, destination=destination)

    def _adopt(self, mode: Mode) -> None:
        super()._adopt(mode)
        self._ahead = min(self._ahead, self._most_ahead)

    def _leave(self, images: int) -> _core.Leave:
        return _core.Leave.bytes if self._is_for_decoder(images) else self._sharing.rest

    def _is_for_decoder(self, images: int) -> bool:
        """See Note [who decodes a batch]."""
        sharing, is_gpu = self._sharing, self._sharing.decode.how == "gpu"
        if is_gpu and sharing.rest == _core.Leave.nothing:
            return True
        if not is_gpu and self._num_workers and self._count_ready() > self._ahead // 2:
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
        return sum(1 for _ in itertools.takewhile(self._is_complete, self._jobs))

    def _complete(self, job: Job) -> float:
        waited = self._wait_for(self._looking_again(job.batch.wait))
        if job.leave != _core.Leave.bytes:
            self._note_pace(job)
            return waited
        if job.left is None:
            self._hand_to_dali(job)
        waited += self._wait_for(self._looking_again(job.left.request.wait))
        job.left.sort_out()
        for part, slots in job.left.refused:
            self._take_back(job, part, slots)
        return waited

    def _looking_again(self, event: Callable[[float], bool]) -> Callable[[float], bool]:
        """``event``; while it is waited for, DALI gets what is planned."""

        def happened(timeout: float) -> bool:
            until = math.inf if timeout < 0 else time.perf_counter() + timeout
            self._hand_over()
            while not event(min(_LOOK_AGAIN_SECONDS, max(0.0, until - time.perf_counter()))):
                if time.perf_counter() >= until:
                    return False
                self._hand_over()
            return True

        return happened

    def _note_pace(self, job: Job) -> None:
        """Threads finish batches in about the order in which they were sent."""
        finished = job.batch.finished_at
        began = max(job.sent_at, self._threads_were_free)
        self._sharing.threads_pace.add(max(0.0, finished - began), len(job.samples.indices))
        self._threads_were_free = max(finished, self._threads_were_free)

    def _hand_over(self) -> None:
        """Gives DALI what is planned."""
        leaving = [job for job in self._jobs if job.leave == _core.Leave.bytes]
        pixels = sum(job.left.pixels for job in leaving if job.left is not None and job.pixels is None)
        for job in leaving:
            if job.left is not None:
                continue
            if not job.batch.planned or pixels > _MOST_PIXELS:
                break
            self._hand_to_dali(job)
            pixels += job.left.pixels

    def _hand_to_dali(self, job: Job) -> None:
        taps = self._taps(job)
        samples, passes, encoded = job.batch.deferred(taps.numpy())
        sizes, samplings = samples[:, [ragged.WIDTH, ragged.HEIGHT]], samples[:, ragged.SAMPLING]
        request = self._sharing.decoder.submit(encoded, sizes, samplings)
        job.left = _Left(ragged.Deferred(samples, passes, taps, encoded), request, job.batch.deferred_pixels)

    def _taps(self, job: Job) -> torch.Tensor:
        """Memory for those of what was left."""
        pinned = self._destination.stream is not None
        return torch.empty(job.batch.deferred_taps, dtype=torch.int32, pin_memory=pinned)

    def _take_back(self, job: Job, part: dali.Part, slots: dict[int, int]) -> None:
        """``slots``: by the file's number in the part."""
        self._engine.take_back(job.batch, list(slots.values()))
        known, indices = self._sharing.refused, job.samples.indices
        if not any(indices[slot] in known for slot in slots.values()):
            culprits = self._sharing.decoder.culprits(part)
            known.update({indices[slots[number]]: reason for number, reason in culprits if number in slots})
        for slot in slots.values():
            if indices[slot] in known:
                self._record.statistics.refuse(indices[slot], job.samples.paths[slot], known[indices[slot]])
        self._wait_for(job.batch.wait)

    def _look_ahead(self) -> None:
        self._hand_over()
        for job in self._jobs:  # pinned memory and DALI's is wanted again
            if (
                job.leave != _core.Leave.nothing
                and job.pixels is None
                and job.upload is None
                and self._is_complete(job)
            ):
                job.pixels = self._pixels(job)
        super()._look_ahead()

    def _is_complete(self, job: Job) -> bool:
        if job.leave != _core.Leave.bytes or not job.batch.done:
            return job.batch.done
        if job.left is None or not job.left.request.over.is_set():
            return False
        job.left.sort_out()
        return not job.left.refused

    def _deliver(self, job: Job, waited: float) -> Any:
        left, reasons = job.batch.deferred_count, job.batch.kept
        match job.leave:
            case _core.Leave.bytes:
                self._record.statistics.add_decoders(left, 0, reasons)
            case _core.Leave.coefficients:
                self._record.statistics.add_decoders(0, left, reasons)
            case _:
                self._record.statistics.add_decoders(0, 0, {"balance": len(job.samples.indices)})
        return super()._deliver(job, waited)

    def _pixels(self, job: Job) -> torch.Tensor:
        pixels = super()._pixels(job)
        with self._destination.on_stream():
            if job.leave == _core.Leave.bytes and job.left.decoded:
                self._resize(job.left, pixels)
            elif job.leave == _core.Leave.coefficients and job.batch.deferred_count > 0:
                self._decode(job, pixels)
        if job.leave == _core.Leave.bytes:
            self._sharing.hold(self._destination.event(), job.left.let_go())
        return pixels

    def _decode(self, job: Job, pixels: torch.Tensor) -> None:
        """What the engine read of the codes."""
        taps = self._taps(job)
        samples, passes, planes, slabs = job.batch.coefficients(taps.numpy())
        coded = Coded.of(samples, passes, taps, planes)
        staging = self._destination.staging
        memory = [staging.memory(block)[:used] for block, used in slabs]
        if pixels.is_cuda:
            memory = [self._destination.copy(slab) for slab in memory]
            event = self._destination.event()
            windows, addresses = windows_on_gpu(coded, memory)
            ragged.resize_on_gpu(addresses.tolist(), coded.deferred, pixels)
            del windows  # its memory is this stream's, so nobody writes there before
        else:
            event = None
            ragged.resize(windows_in_torch(coded, memory), coded.deferred, pixels)
        for block, _ in slabs:
            staging.give_after(block, event)

    def _resize(self, left: _Left, pixels: torch.Tensor) -> None:
        if pixels.is_cuda:
            addresses = [address for part, which in left.decoded for address in part.addresses(which)]
            if ragged.resize_on_gpu(addresses, left.deferred, pixels):
                return
        images = [image for part, which in left.decoded for image in part.tensors(which)]
        on_cpu = torch.empty(pixels.shape, dtype=torch.uint8)
        ragged.resize(images, left.deferred, on_cpu)
        slots = torch.from_numpy(left.deferred.samples[:, ragged.SLOT]).long()
        pixels[slots.to(pixels.device)] = on_cpu[slots].to(pixels.device)


class _Left:
    """What the engine left of one batch, and what became of it.

    Attributes:
        deferred: all of it, until sort_out(); then what DALI decoded, in the order of ``decoded``.
        request: to DALI, for all of it.
        pixels: of its images.
        decoded: parts, and which of their images are this batch's.
        refused: (part, {number in the part: slot}) of what DALI could not decode, or what came with it.
    """

    def __init__(self, deferred: ragged.Deferred, request: dali.Request, pixels: int) -> None:
        self.deferred = deferred
        self.request = request
        self.pixels = pixels
        self.decoded: list[tuple[dali.Part, np.ndarray]] = []
        self.refused: list[tuple[dali.Part, dict[int, int]]] = []
        self._is_sorted = False

    def sort_out(self) -> None:
        """What became of the files, once the request is over."""
        if self._is_sorted:
            return
        self._is_sorted, kept = True, [np.empty(0, np.int64)]
        for part, which, positions in self.request.parts:
            if part.error is None:
                self.decoded.append((part, which))
                kept.append(positions)
            else:
                slots = self.slots[positions]
                self.refused.append((part, dict(zip(which.tolist(), slots.tolist(), strict=True))))
        self.deferred = self.deferred.only(np.concatenate(kept))

    def let_go(self) -> list[dali.Part]:
        """What holds the decoded images: nobody else does from here on."""
        parts = [part for part, _ in self.decoded]
        self.decoded, self.request.parts = [], []
        return parts

    @property
    def slots(self) -> np.ndarray:
        """Of the samples in ``deferred``, int32."""
        return self.deferred.samples[:, ragged.SLOT]
