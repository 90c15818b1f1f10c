"""Batches whose images two decoders share: the engine's threads, and the GPU's hardware through DALI.

The engine opens, draws and orders every sample, so windows, flips, order and errors are its own. A part of each batch is left to
the GPU if its decoder can take them; the bytes go to DALI, the decoded images through fastload's own resize into the batch.
What DALI refuses is taken back and decoded by the engine, with the window that was drawn.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fastload import _core, dali, ragged
from fastload.balance import Balance
from fastload.choice import GpuDecode
from fastload.destination import Destination
from fastload.device import DeviceIterator, Upload
from fastload.modes import Mode

if TYPE_CHECKING:
    from fastload.loader import DataLoader

# Batches that DALI has at a time: what it overlaps inside needs two, one more is being asked for, one is being handed to it.
_DEPTH = 4
# Beyond this the engine would leave so far behind what the balance says now that it swings.
_MOST_AHEAD = 8
# Of each of DALI's pipelines, where they only parse: 2, 4 and 16 gave 16,600, 17,300 and 17,800 images/s on an H200.
_THREADS_BESIDE_HARDWARE = 4


class Sharing:
    """What one loader keeps for all its epochs: the decoder, the share and what was found out."""

    def __init__(self, decode: GpuDecode, destination: Destination, threads: int) -> None:
        self.decode = decode
        self.destination = destination
        self.share = _core.Share()
        hardware_alone = decode.backend == "gpu" and decode.hw_decoder_load in (None, 1)
        self.balance = Balance() if decode.how == "hybrid" else None
        self.share.of_batch = self.balance.share if self.balance else 1.0
        self.decoder = dali.Decoder(
            device_id=destination.device.index if decode.backend == "gpu" else None,
            threads=decode.threads or (_THREADS_BESIDE_HARDWARE if hardware_alone else threads),
            hw_decoder_load=1.0 if decode.hw_decoder_load is None else decode.hw_decoder_load,
            depth=_DEPTH,
        )
        self.refused: dict[int, str] = {}  # by index in the data set
        self._held: deque[tuple[torch.cuda.Event, Any]] = deque()

    def serves(self, decode: GpuDecode, destination: Destination) -> bool:
        return decode == self.decode and destination is self.destination

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
        super().__init__(loader, *given, destination=destination)

    def _adopt(self, mode: Mode) -> None:
        super()._adopt(mode)
        self._share = self._sharing.share
        if self._sharing.balance is not None:
            self._ahead = min(self._ahead, _MOST_AHEAD)

    def _next_from_workers(self) -> Any:
        if not self._jobs:
            raise StopIteration
        # The next batches must be on their way through DALI before this one is waited for, or the two decoders take turns.
        waited = sum(self._hand_to_dali(job) for job in list(self._jobs)[: _DEPTH - 1])
        waited += self._wait(self._jobs[0])
        job = self._jobs.popleft()
        self._left_behind(job)
        self._send_next()
        return self._deliver(job, waited)

    def _complete(self, job: Any) -> float:
        waited = self._hand_to_dali(job) + self._wait(job)
        self._collect(job)
        return waited

    def _deliver(self, job: Any, waited: float) -> Any:
        self._hand_to_dali(job)
        began = time.perf_counter()
        self._collect(job)
        ended = time.perf_counter()
        self._record.statistics.add_decoders(len(job.upload.slots), job.batch.kept)
        if self._sharing.balance is not None:
            self._weigh(job, self._sharing.balance, waited, began, ended)
        return super()._deliver(job, waited + ended - began)

    def _weigh(self, job: Any, balance: Balance, waited_for_cpu: float, began: float, ended: float) -> None:
        left: _Left = job.upload
        gpu_images = len(left.slots)
        balance.add(
            cpu_images=len(job.samples.indices) - gpu_images,
            cpu_seconds=sum(job.batch.stage_seconds.values()) / self._engine.threads,
            gpu_images=gpu_images,
            begun=left.begun,
            ended=ended,
            waited_for_cpu=waited_for_cpu,
            waited_for_gpu=ended - began,
        )
        self._sharing.share.of_batch = balance.share

    def _hand_to_dali(self, job: Any) -> float:
        """Hands what the engine leaves of a batch to DALI, as soon as that is known; the seconds waited."""
        if job.upload is not None:
            return 0.0
        waited = self._wait_for(job.batch.wait_planned)
        job.upload = left = _Left()
        taps = torch.empty(job.batch.deferred_taps, dtype=torch.int32, pin_memory=self._destination.stream is not None)
        if len(taps) == 0:
            return waited
        samples, passes, encoded = job.batch.deferred(taps.numpy())
        left.deferred = ragged.Deferred(samples, passes, taps, encoded)
        sizes, samplings = samples[:, [ragged.WIDTH, ragged.HEIGHT]], samples[:, ragged.SAMPLING]
        left.parts = self._sharing.decoder.submit(encoded, sizes, samplings, len(job.samples.indices))
        left.begun = time.perf_counter()  # not before: the first time, DALI is set up
        return waited

    def _collect(self, job: Any) -> None:
        """Waits for DALI; takes back what it refused."""
        left: _Left = job.upload
        if left.deferred is None:
            return
        self._sharing.decoder.collect(left.parts)
        refused = [part for part in left.parts if part.error is not None]
        left.parts = [part for part in left.parts if part.error is None]
        for part in refused:
            self._take_back(job, left.deferred, part)
        left.deferred = left.deferred.only(np.concatenate([_NOTHING, *(part.positions for part in left.parts)]))

    def _take_back(self, job: Any, deferred: ragged.Deferred, part: dali.Part) -> None:
        slots = deferred.samples[:, ragged.SLOT]
        self._engine.take_back(job.batch, slots[part.positions].tolist())
        refused = self._sharing.refused
        if not any(job.samples.indices[slot] in refused for slot in slots[part.positions]):
            for position, reason in self._sharing.decoder.culprits(part):
                index, path = job.samples.indices[slots[position]], job.samples.paths[slots[position]]
                refused[index] = reason
                self._record.statistics.refuse(index, path, reason)
        self._wait(job)

    def _look_ahead(self) -> None:
        """Copies are begun when a batch is asked for: by then its other part has been decoded."""

    def _images(self, job: Any, take: list[int] | None = None) -> torch.Tensor:
        upload = self._assemble(job, job.upload, take)
        return self._destination.hand_over(upload.images, upload.event)

    def _assemble(self, job: Any, left: _Left, take: list[int] | None) -> Upload:
        count, channels, height, width = job.images.shape
        block = job.batch.take_block()
        destination = self._destination
        with destination.on_stream():
            pixels = torch.empty((count, height, width, channels), dtype=torch.uint8, device=destination.device)
            if block >= 0:
                host = destination.staging.memory(block).view(count, height, width, channels)
                pixels.copy_(
                    host, non_blocking=destination.stream is not None
                )  # all: what is not the CPU's is written next
                destination.staging.give_after(block, destination.event())
            if left.parts and left.deferred is not None:
                self._resize(left.parts, left.deferred, pixels)
            images = self._finish(pixels, self._slots(take))
        event = destination.event()
        self._sharing.hold(event, left)
        return Upload(images, event)

    def _resize(self, parts: list[dali.Part], deferred: ragged.Deferred, pixels: torch.Tensor) -> None:
        if pixels.is_cuda and ragged.resize_on_gpu(
            [address for part in parts for address in part.addresses()], deferred, pixels
        ):
            return
        on_cpu = torch.empty(pixels.shape, dtype=torch.uint8)
        ragged.resize([image for part in parts for image in part.tensors()], deferred, on_cpu)
        slots = torch.from_numpy(deferred.samples[:, ragged.SLOT]).long()
        pixels[slots.to(pixels.device)] = on_cpu[slots].to(pixels.device)


_NOTHING = np.empty(0, np.int64)


class _Left:
    """What the engine left of one batch, and what became of it: once collected, what DALI decoded, in the order of its parts."""

    def __init__(self) -> None:
        self.deferred: ragged.Deferred | None = None
        self.begun = 0.0
        self.parts: list[dali.Part] = []

    @property
    def slots(self) -> set[int]:
        """Of the samples in ``deferred``."""
        return set() if self.deferred is None else set(self.deferred.samples[:, ragged.SLOT].tolist())
