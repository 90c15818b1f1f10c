"""Batches whose images two decoders share: the engine's threads, and the GPU's hardware through DALI.

The engine opens, draws and orders every sample, so windows, flips, order and errors are its own. A part of each batch is left to
the GPU if its decoder can take them; the bytes go to DALI, the decoded images through fastload's own resize into the batch.
What DALI refuses is taken back and decoded by the engine, with the window that was drawn.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fastload import _core, dali, ragged
from fastload.choice import GpuDecode
from fastload.destination import Destination
from fastload.device import DeviceIterator, Upload
from fastload.modes import Mode

if TYPE_CHECKING:
    from fastload.loader import DataLoader

# What DALI has at a time: one group of files is being decoded, one waits. Its own queue is longer, for groups that were left.
_GROUPS, _DEPTH = 2, 4
# A group is as many whole batches as have no more than this, or one. A hardware decoder's batch costs an H200 0.75 ms of 4:4:4 and
# 1.3 ms of 4:2:0 beside 0.057 and 0.034 ms an image; the pixels are 800 MB.
_MOST_IMAGES, _MOST_PIXELS = dali.MOST_FILES, 1 << 28
# Images that are read ahead, for some groups behind the two that DALI has. All their bytes are in memory.
_AHEAD = 12 * _MOST_IMAGES
# Of each of DALI's pipelines, where they only parse: 2, 4 and 16 gave 16,600, 17,300 and 17,800 images/s on an H200.
_THREADS_BESIDE_HARDWARE = 4


class Sharing:
    """What one loader keeps for all its epochs: the decoder, and which files it refused."""

    def __init__(self, decode: GpuDecode, destination: Destination, threads: int) -> None:
        self.decode = decode
        self.destination = destination
        hardware_alone = decode.backend == "gpu" and decode.hw_decoder_load in (None, 1)
        self.leave = _core.Leave.until_claimed if decode.how == "hybrid" else _core.Leave.all
        self.decoder = dali.Decoder(
            device_id=destination.device.index if decode.backend == "gpu" else None,
            threads=decode.threads or (_THREADS_BESIDE_HARDWARE if hardware_alone else threads),
            hw_decoder_load=1.0 if decode.hw_decoder_load is None else decode.hw_decoder_load,
            depth=_DEPTH,
        )
        self.refused: dict[int, str] = {}  # why, by index in the data set: each is looked for once
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
        batch_size = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None) or _MOST_IMAGES
        self._most_ahead = max(_GROUPS, math.ceil(_AHEAD / batch_size))
        self._groups: deque[_Group] = deque()  # that DALI has
        super().__init__(loader, *given, destination=destination)

    def _adopt(self, mode: Mode) -> None:
        super()._adopt(mode)
        self._leave = self._sharing.leave
        self._ahead = min(self._ahead, self._most_ahead)

    def _reset(self, loader: DataLoader[Any], first_iter: bool = False) -> None:
        self._groups.clear()
        for job in self._jobs:
            self._wait(job)
        super()._reset(loader, first_iter)

    def _wait(self, job: Any) -> float:
        waited = self._wait_for(job.batch.wait_planned)
        job.batch.claim()  # until then the engine goes on with it
        return waited + super()._wait(job)

    def _next_from_workers(self) -> Any:
        if not self._jobs:
            raise StopIteration
        # The next batches must be on their way through DALI before this one is waited for, or the two decoders take turns.
        waited = self._wait_for(self._jobs[0].batch.wait_planned)
        self._hand_over()
        waited += self._wait(self._jobs[0])
        job = self._jobs.popleft()
        self._left_behind(job)
        self._send_next()
        return self._deliver(job, waited)

    def _complete(self, job: Any) -> float:
        waited = self._wait(job)
        self._hand_to_dali([job])
        return self._collect(job, waited)

    def _deliver(self, job: Any, waited: float) -> Any:
        if job.upload is None:  # without workers
            self._hand_to_dali([job])
        waited = self._collect(job, waited)
        self._hand_over()
        self._record.statistics.add_decoders(len(job.upload.slots), job.batch.kept)
        return super()._deliver(job, waited)

    def _hand_over(self) -> None:
        """Gives DALI what the engine left of batches that are planned, unless it has enough."""
        while len(self._groups) < _GROUPS:
            jobs: list[Any] = []
            images = pixels = 0
            for job in self._jobs:
                if job.upload is not None:
                    continue
                fits = images + len(job.samples.indices) <= _MOST_IMAGES and pixels < _MOST_PIXELS
                if not job.batch.planned or (jobs and not fits):
                    break
                jobs.append(job)
                images += job.batch.claim()
                pixels += job.batch.deferred_pixels
            if not jobs:
                break
            self._hand_to_dali(jobs)

    def _hand_to_dali(self, jobs: list[Any]) -> None:
        """Hands what the engine left of these batches to DALI, together."""
        group = _Group()
        for job in jobs:
            pinned = self._destination.stream is not None
            taps = torch.empty(job.batch.deferred_taps, dtype=torch.int32, pin_memory=pinned)
            samples, passes, encoded = job.batch.deferred(taps.numpy())
            job.upload = _Left(ragged.Deferred(samples, passes, taps, encoded))
            group.lefts.append(job.upload)
        encoded = [data for left in group.lefts for data in left.deferred.encoded]
        if encoded:
            self._groups.append(group)
            samples = np.concatenate([left.deferred.samples for left in group.lefts])
            sizes, samplings = samples[:, [ragged.WIDTH, ragged.HEIGHT]], samples[:, ragged.SAMPLING]
            group.parts = self._sharing.decoder.submit(encoded, sizes, samplings)

    def _collect(self, job: Any, waited: float) -> float:
        """Waits for DALI, and takes back what it refused; the seconds that all was waited for."""
        left: _Left = job.upload
        waited_for_gpu = 0.0
        for group in self._groups:
            if left in group.lefts:
                waited_for_gpu = self._collect_group(group)
                self._groups.remove(group)
                break
        for refused in left.refused:
            self._take_back(job, refused)
        left.keep_decoded()
        return waited + waited_for_gpu

    def _collect_group(self, group: _Group) -> float:
        began = time.perf_counter()
        self._sharing.decoder.collect(group.parts)
        group.hand_out()
        return time.perf_counter() - began

    def _take_back(self, job: Any, refused: _Refused) -> None:
        slots = {
            number: int(job.upload.deferred.samples[position, ragged.SLOT])
            for number, position in refused.positions.items()
        }
        self._engine.take_back(job.batch, list(slots.values()))
        known, indices = self._sharing.refused, job.samples.indices
        if not any(indices[slot] in known for slot in slots.values()):
            culprits = self._sharing.decoder.culprits(refused.part)
            known.update({indices[slots[number]]: reason for number, reason in culprits if number in slots})
        for slot in slots.values():
            if indices[slot] in known:
                self._record.statistics.refuse(indices[slot], job.samples.paths[slot], known[indices[slot]])
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
            if left.decoded:
                self._resize(left, pixels)
            images = self._finish(pixels, self._slots(take))
        event = destination.event()
        self._sharing.hold(event, left)
        return Upload(images, event)

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


class _Group:
    """Batches whose files DALI was given together."""

    def __init__(self) -> None:
        self.lefts: list[_Left] = []
        self.parts: list[dali.Part] = []

    def hand_out(self) -> None:
        """Gives each batch what is its own of the parts."""
        starts = np.cumsum([0, *(len(left.deferred.encoded) for left in self.lefts)])
        for part in self.parts:
            owners = np.searchsorted(starts, part.positions, side="right") - 1
            for owner in np.unique(owners):
                which = np.flatnonzero(owners == owner)
                self.lefts[owner].take(part, which, part.positions[which] - starts[owner])


class _Refused:
    """A part that failed, and which of its files are a batch's: {number in the part's batch: position in ``deferred``}."""

    def __init__(self, part: dali.Part, positions: dict[int, int]) -> None:
        self.part = part
        self.positions = positions


class _Left:
    """What the engine left of one batch, and what became of it.

    Attributes:
        deferred: all of it, until keep_decoded(); then what DALI decoded, in the order of ``decoded``.
        decoded: parts, and which of their images are this batch's.
        refused: what DALI could not decode, or what came with it.
    """

    def __init__(self, deferred: ragged.Deferred) -> None:
        self.deferred = deferred
        self.decoded: list[tuple[dali.Part, np.ndarray]] = []
        self.refused: list[_Refused] = []
        self._positions = np.empty(0, np.int64)

    def take(self, part: dali.Part, which: np.ndarray, positions: np.ndarray) -> None:
        """These images of a part are those at ``positions`` in ``deferred``."""
        if part.error is None:
            self.decoded.append((part, which))
            self._positions = np.concatenate([self._positions, positions])
        else:
            numbers = part.positions[which].tolist()
            self.refused.append(_Refused(part, dict(zip(numbers, positions.tolist(), strict=True))))

    def keep_decoded(self) -> None:
        """Lets go of what DALI refused, once it was taken back."""
        self.deferred = self.deferred.only(self._positions)

    @property
    def slots(self) -> np.ndarray:
        """Of the samples in ``deferred``, int32."""
        return self.deferred.samples[:, ragged.SLOT]
