"""Batches whose images two decoders share: the engine's threads, and the GPU's hardware through DALI.

The engine opens, draws and orders every sample, so windows, flips, order and errors are its own. The first images of each batch are
left to the GPU if its decoder can take them; the bytes go to DALI, the decoded images through fastload's own resize into the batch.
What DALI refuses is taken back and decoded by the engine, with the window that was drawn.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload import _core, dali, ragged
from fastload.device import DeviceIterator, Place, Upload
from fastload.modes import Mode, Way

if TYPE_CHECKING:
    from fastload.loader import DataLoader

HOW = ("gpu", "hybrid", "auto")
# Batches that DALI has at a time: what it overlaps inside needs two, one more is being asked for, one is being handed to it.
_DEPTH = 4
# Beyond this the engine would leave so far behind what the balance says now that it swings.
_MOST_AHEAD = 8
# Of the difference between the waits for both decoders, as part of the time of a batch, this goes into the next batch's share.
_GAIN = 0.15
# Runs of images that the CPU decoded; more than these are copied as the whole batch.
_MOST_COPIES = 16

_NOT_ON_GPU = tuple(getattr(version, name) for version in (v1, v2) for name in ("Grayscale", "RandomGrayscale"))


@dataclass(frozen=True)
class GpuDecode:
    """How the GPU decodes; ``decode="gpu"`` is ``decode=GpuDecode("gpu")``.

    Args:
        how: "gpu": all images that it can; "hybrid": shared with the CPU's threads, as much each as it manages; "auto": the
            fastest of these and the CPU alone, by a short measurement before the first epoch.
        hw_decoder_load: the part of the GPU's images that its hardware decoder gets, the rest is for DALI's threads and the GPU's
            multiprocessors. None: 0.65 for "gpu" (the best of 0 to 1 on an H200 with 16 cores), 1 for "hybrid", where the
            engine has the cores.
        threads: DALI's. None: as many as the engine for "gpu", 2 for "hybrid".
        windows: let DALI decode each image's window alone, not the whole image.
        backend: "gpu", or "cpu": DALI's CPU backend, for tests on machines without a GPU.
    """

    how: str = "gpu"
    hw_decoder_load: float | None = None
    threads: int | None = None
    windows: bool = False
    backend: str = "gpu"

    def __post_init__(self) -> None:
        if self.how not in HOW:
            raise ValueError(f"how should be one of {HOW}, but got how={self.how!r}")
        if self.hw_decoder_load is not None and not 0 <= self.hw_decoder_load <= 1:
            raise ValueError(f"hw_decoder_load lies between 0 and 1, but got {self.hw_decoder_load!r}")
        if self.threads is not None and (type(self.threads) is not int or self.threads < 1):
            raise ValueError(f"threads should be a positive integer or None, but got threads={self.threads!r}")
        if self.backend not in ("gpu", "cpu"):
            raise ValueError(f"backend should be 'gpu' or 'cpu', but got backend={self.backend!r}")


def checked_decode(decode: str | GpuDecode, device: torch.device | None) -> GpuDecode | None:
    """None for "cpu"; raises ValueError for what cannot work here. "auto" always can: it may choose the CPU."""
    if decode == "cpu":
        return None
    if not isinstance(decode, GpuDecode) and decode not in HOW:
        raise ValueError(f"decode should be 'cpu' or one of {HOW} or a GpuDecode, but got decode={decode!r}")
    given = decode if isinstance(decode, GpuDecode) else GpuDecode(decode)
    why = _why_unavailable(given, device)
    if why and given.how != "auto":
        raise ValueError(f"decode={given.how!r}: {why}; decode='auto' would use the CPU")
    return given


def _why_unavailable(decode: GpuDecode, device: torch.device | None) -> str:
    if decode.backend == "gpu" and (device is None or device.type != "cuda"):
        return "it needs a CUDA device: device='cuda'"
    if decode.backend == "cpu" and (device is None or device.type != "cpu"):
        return "DALI's CPU backend needs device='cpu'"
    return dali.why_missing()


def why_not(mode: Mode) -> str:
    """Why the GPU cannot decode for a loader; empty if it can."""
    if mode.way is Way.stock or mode.in_workers or mode.reading is None:
        return f"batches do not come from native threads ({mode.reason})"
    for transform in mode.reading.native:
        if isinstance(transform, _NOT_ON_GPU):
            return f"{type(transform).__name__} is not done on the GPU"
    resizes = [t for t in mode.reading.native if type(t).__name__ in ("RandomResizedCrop", "Resize")]
    if len(resizes) > 1:
        return "there is more than one resize"
    return ""


class Sharing:
    """What one loader keeps for all its epochs: the decoder, the share and what was found out."""

    def __init__(self, decode: GpuDecode, place: Place, threads: int) -> None:
        self.decode = decode
        self.place = place
        self.share = _core.Share()
        hybrid = decode.how == "hybrid"
        self.share.of_batch = 0.5 if hybrid else 1.0
        load = decode.hw_decoder_load if decode.hw_decoder_load is not None else (1.0 if hybrid else 0.65)
        self.decoder = dali.Decoder(
            device_id=place.device.index if decode.backend == "gpu" else None,
            threads=decode.threads or (2 if hybrid else threads),
            hw_decoder_load=load,
            depth=_DEPTH,
            windows=decode.windows,
        )
        self.refused: dict[int, str] = {}  # by index in the data set
        self._held: deque[tuple[torch.cuda.Event, Any]] = deque()
        self._last = 0.0

    def serves(self, decode: GpuDecode, place: Place) -> bool:
        return decode == self.decode and place is self.place

    def balance(self, waited_for_cpu: float, waited_for_gpu: float) -> None:
        """Moves the share towards the decoder that was waited for less."""
        now = time.perf_counter()
        interval, self._last = now - self._last, now
        if self.decode.how != "hybrid" or interval <= 0 or interval > 10:
            return
        difference = (waited_for_cpu - waited_for_gpu) / interval
        self.share.of_batch = min(0.98, max(0.02, self.share.of_batch + _GAIN * max(-1.0, min(1.0, difference))))

    def hold(self, event: torch.cuda.Event | None, what: Any) -> None:
        """Keeps decoded images until the kernels that read them are over."""
        while self._held and self._held[0][0].query():
            self._held.popleft()
        if event is not None:
            self._held.append((event, what))


class SharingIterator(DeviceIterator):
    """Native batches on a device, some of their images decoded there."""

    def __init__(self, loader: DataLoader[Any], *given: Any, place: Place, sharing: Sharing) -> None:
        self._sharing = sharing
        super().__init__(loader, *given, place=place)

    def _choose_output(self, loader: DataLoader[Any], memory: Any) -> None:
        super()._choose_output(loader, memory)
        self._share = self._sharing.share
        if self._sharing.decode.how == "hybrid":
            self._ahead = min(self._ahead, _MOST_AHEAD)

    def _next_from_workers(self) -> Any:
        if not self._jobs:
            raise StopIteration
        # The batch after this one must be on its way through DALI before this one is waited for, or the two decoders take turns.
        waited = 0.0
        for job in list(self._jobs)[: _DEPTH - 1]:
            waited += self._wait(job)
            self._begin(job)
        job = self._jobs.popleft()
        self._send_next()
        return self._deliver(job, waited)

    def _deliver(self, job: Any, waited: float) -> Any:
        self._begin(job)
        began = time.perf_counter()
        self._collect(job)
        waited_for_gpu = time.perf_counter() - began
        self._sharing.balance(waited, waited_for_gpu)
        return super()._deliver(job, waited + waited_for_gpu)

    def _begin(self, job: Any) -> None:
        """Hands what the engine left to DALI."""
        if job.upload is not None:
            return
        job.upload = left = _Left()
        if self._on_error == "raise" and job.batch.failures:
            return
        taps = torch.empty(job.batch.deferred_taps, dtype=torch.int32, pin_memory=self._place.stream is not None)
        if len(taps) == 0:
            return
        samples, passes, encoded = job.batch.deferred(taps.numpy())
        left.deferred = ragged.Deferred(samples, passes, taps, encoded)
        left.regions = left.deferred.regions(windows=self._sharing.decode.windows)
        left.ticket = self._sharing.decoder.submit(encoded, left.regions, len(job.samples.indices))

    def _collect(self, job: Any) -> None:
        """Waits for DALI; takes back what it refused."""
        left: _Left = job.upload
        gpu = 0
        if left.ticket is not None and left.deferred is not None:
            ticket = self._sharing.decoder.collect(left.ticket)
            if ticket.error is None:
                left.images = ticket.images
                gpu = len(left.deferred.encoded)
            else:
                self._take_back(job, left.deferred, left.regions)
        self._statistics.add_decoders(gpu, job.batch.kept)

    def _take_back(self, job: Any, deferred: ragged.Deferred, regions: np.ndarray) -> None:
        self._engine.take_back(job.batch)
        slots = deferred.samples[:, ragged.SLOT]
        refused = self._sharing.refused
        if not any(job.samples.indices[slot] in refused for slot in slots):
            for number, reason in self._sharing.decoder.culprits(deferred.encoded, regions):
                index, path = job.samples.indices[slots[number]], job.samples.paths[slots[number]]
                refused[index] = reason
                self._statistics.refuse(index, path, reason)
        self._wait(job)

    def _look_ahead(self) -> None:
        """Copies are begun when a batch is asked for: by then its other part has been decoded."""

    def _images(self, job: Any, take: list[int] | None) -> torch.Tensor:
        upload = self._assemble(job, job.upload, take)
        return self._place.hand_over(upload.images, upload.event)

    def _assemble(self, job: Any, left: _Left, take: list[int] | None) -> Upload:
        count, channels, height, width = job.images.shape
        block = job.batch.take_block()
        place = self._place
        with place.on_stream():
            pixels = torch.empty((count, height, width, channels), dtype=torch.uint8, device=place.device)
            if block >= 0:
                host = place.staging.memory(block).view(count, height, width, channels)
                for start, end in _runs(count, left.slots):
                    pixels[start:end].copy_(host[start:end], non_blocking=place.stream is not None)
                place.staging.give_after(block, place.event())
            if left.images is not None and left.deferred is not None:
                self._resize(left.images, left.regions, left.deferred, pixels)
            images = self._finish(pixels, self._slots(take))
        event = place.event()
        self._sharing.hold(event, left)
        return Upload(images, event)

    def _resize(
        self, images: dali.Images, regions: np.ndarray, deferred: ragged.Deferred, pixels: torch.Tensor
    ) -> None:
        if pixels.is_cuda and ragged.resize_on_gpu(images.addresses(), regions, deferred, pixels):
            return
        on_cpu = torch.empty(pixels.shape, dtype=torch.uint8)
        ragged.resize(images.tensors(), regions, deferred, on_cpu)
        slots = torch.from_numpy(deferred.samples[:, ragged.SLOT]).long()
        pixels[slots.to(pixels.device)] = on_cpu[slots].to(pixels.device)


class _Left:
    """What the engine left of one batch, and what became of it."""

    def __init__(self) -> None:
        self.deferred: ragged.Deferred | None = None
        self.regions = np.empty((0, 4), np.int32)
        self.ticket: dali.Ticket | None = None
        self.images: dali.Images | None = None

    @property
    def slots(self) -> set[int]:
        """Those that the GPU decoded."""
        if self.images is None or self.deferred is None:
            return set()
        return set(self.deferred.samples[:, ragged.SLOT].tolist())


def _runs(count: int, elsewhere: set[int]) -> list[tuple[int, int]]:
    """[start, end) of the slots that are in host memory."""
    runs: list[tuple[int, int]] = []
    for slot in range(count):
        if slot in elsewhere:
            continue
        if runs and runs[-1][1] == slot:
            runs[-1] = (runs[-1][0], slot + 1)
        else:
            runs.append((slot, slot + 1))
    return runs if len(runs) <= _MOST_COPIES else [(0, count)]


def sharing_of(loader: DataLoader[Any], mode: Mode, place: Place, threads: int) -> Sharing | None:
    """Who decodes for an iterator that begins now; None: the engine alone. "auto" is measured here, once a loader."""
    decode = checked_decode(loader.decode, place.device)
    if decode is None or why_not(mode) or _why_unavailable(decode, place.device):
        return None
    if decode.how == "auto":
        if loader._measured is None:
            loader._measured = measure(loader, decode)
        decode = loader._measured.best
        if decode is None:
            return None
    if loader._sharing is None or not loader._sharing.serves(decode, place):
        loader._sharing = Sharing(decode, place, threads)
    return loader._sharing


def describe(loader: DataLoader[Any], mode: Mode) -> list[str]:
    """Lines of ``explain()`` about who decodes."""
    decode = loader.decode if isinstance(loader.decode, GpuDecode) else None
    if loader.decode in HOW:
        decode = GpuDecode(loader.decode)
    if decode is None:
        return []
    device = None if loader.device is None else torch.device(loader.device)
    why = why_not(mode) or _why_unavailable(decode, device)
    if why:
        return [f"  decode: on the CPU, because {why}"]
    if decode.how == "gpu":
        return ["  decode: on the GPU, through DALI; what it cannot decode on the CPU"]
    if decode.how == "hybrid":
        return ["  decode: on the GPU (through DALI) and the CPU, as much each as it manages"]
    if loader._measured is None:
        return ["  decode: to be chosen by a short measurement when the first epoch begins"]
    return [f"  decode: {loader._measured}"]


@dataclass(frozen=True)
class Measured:
    """What "auto" found: images a second of each way, and the best; None: the CPU alone."""

    rates: dict[str, float]
    best: GpuDecode | None

    def __str__(self) -> str:
        rates = ", ".join(f"{how} {rate:.0f}" for how, rate in self.rates.items())
        return f"{self.best.how if self.best else 'cpu'}, the fastest of {rates} images/s"


# A measurement of one way: first DALI's memory and the balance come up, then it counts. On an H100 with 16 cores the first 12,000
# images came 15 % slower than the next.
_WARM_SECONDS = 2.0
_TIMED_SECONDS = 1.0


def measure(loader: DataLoader[Any], decode: GpuDecode) -> Measured:
    """Runs each way over batches of the data set, under random numbers of its own: nobody else's generator moves."""
    rates: dict[str, float] = {}
    ways: dict[str, Any] = {"cpu": "cpu"}
    for how in ("gpu", "hybrid"):
        ways[how] = replace(decode, how=how)
    for how, way in ways.items():
        try:
            rates[how] = _rate(loader, way)
        except (RuntimeError, OSError) as error:  # a driver or a library that DALI lacks: the CPU goes on
            if how == "cpu":
                raise
            rates[f"{how} (failed: {error})"] = 0.0
    best = max(rates, key=lambda how: rates[how])
    return Measured(rates, ways[best] if best != "cpu" else None)


class _Batches:
    """Lists of indices without end, spread over the data set."""

    def __init__(self, length: int, size: int) -> None:
        self._length, self._size = length, size
        self._stride = next(
            stride for stride in range(length * 7 // 11 + 1, 2 * length + 2) if math.gcd(stride, length) == 1
        )

    def __iter__(self) -> Iterator[list[int]]:
        for first in itertools.count(0, self._size):
            yield [(first + slot) * self._stride % self._length for slot in range(self._size)]


def _rate(loader: DataLoader[Any], decode: Any) -> float:
    length = len(loader.dataset)  # type: ignore[arg-type]
    size = min(length, loader.batch_size or len(next(iter(loader.batch_sampler))))  # type: ignore[call-overload]
    twin = type(loader)(
        loader.dataset,
        batch_sampler=_Batches(length, size),
        num_workers=loader.num_workers,
        prefetch_factor=loader.prefetch_factor,
        generator=torch.Generator().manual_seed(0),
        threads=loader.threads,
        rng="index",
        on_error="replace",
        device=loader.device,
        decode=decode,
        dtype=loader.dtype,
        memory_format=loader.memory_format,
    )
    images, began, counted_from = 0, time.perf_counter(), 0.0
    for batch in twin:
        pixels = batch[0] if isinstance(batch, list) else batch
        if pixels.is_cuda:
            torch.cuda.current_stream(pixels.device).synchronize()
        now = time.perf_counter()
        if counted_from:
            images += len(pixels)
            if now - counted_from > _TIMED_SECONDS:
                break
        elif now - began > _WARM_SECONDS:
            counted_from = now
    return images / (now - counted_from)
