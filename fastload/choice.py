"""Who decodes the images of a loader: the CPU, the GPU or both; what was asked for, what can be, and what is fastest."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload import dali
from fastload.errors import FastloadError
from fastload.generators import as_they_were
from fastload.modes import Mode, Way

if TYPE_CHECKING:
    from fastload.destination import Destination
    from fastload.loader import DataLoader
    from fastload.sharing import Sharing

HOW = ("gpu", "hybrid", "auto")
_NOT_ON_GPU = tuple(getattr(version, name) for version in (v1, v2) for name in ("Grayscale", "RandomGrayscale", "Pad"))


@dataclass(frozen=True)
class GpuDecode:
    """How the GPU decodes; ``decode="gpu"`` is ``decode=GpuDecode("gpu")``.

    Args:
        how: "gpu": its hardware decodes as many images as it manages; of the others the CPU reads the codes, with a third of the
            threads, and the GPU does the rest. "hybrid": the same with all threads, which do all of it while enough batches are
            waiting. "auto": the fastest of these and the CPU alone, by a short measurement before the first epoch.
        hw_decoder_load: the part of DALI's images that the hardware decoder gets; the rest is for DALI's threads and the GPU's
            multiprocessors. None: 1, whose pixels are off by a level at most. The others' are off by up to 3 levels.
        threads: DALI's. None: 4 beside the hardware decoder alone, otherwise as many as the engine's.
        backend: "gpu", or "cpu": DALI's CPU backend, for tests on machines without a GPU.
    """

    how: str = "gpu"
    hw_decoder_load: float | None = None
    threads: int | None = None
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


def sharing_of(loader: DataLoader[Any], mode: Mode, destination: Destination, threads: int) -> Sharing | None:
    """Who decodes for an iterator that begins now; None: the engine alone. "auto" is measured here, once a loader."""
    decode = checked_decode(loader.decode, destination.device)
    if decode is None or why_not(mode) or _why_unavailable(decode, destination.device):
        return None
    if decode.how == "auto":
        if loader._measured is None:
            if len(loader.dataset) == 0:  # type: ignore[arg-type]
                return None
            with as_they_were():
                loader._measured = measure(loader, decode)
        decode = loader._measured.best
        if decode is None:
            return None
    from fastload.sharing import Sharing

    threads = engine_threads(loader, decode, threads)
    if loader._sharing is None or not loader._sharing.serves(decode, destination, threads):
        loader._sharing = Sharing(decode, destination, threads, before=loader._sharing)
    return loader._sharing


def engine_threads(loader: DataLoader[Any], decode: GpuDecode, threads: int) -> int:
    """Of so many: "gpu" leaves two thirds of the cores alone, unless the loader was told how many threads to have."""
    return math.ceil(threads / 3) if decode.how == "gpu" and loader.threads is None else threads


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
    if decode.how == "auto":
        return [f"  decode: {loader._measured or 'to be chosen by a short measurement when the first epoch begins'}"]
    threads = engine_threads(loader, decode, loader._thread_count())
    return [
        f"  decode: on the GPU, by its hardware (through DALI) and of codes that {threads} threads read; else on the CPU"
    ]


@dataclass(frozen=True)
class Measured:
    """What "auto" found: images a second of each way, and the best; None: the CPU alone."""

    rates: dict[str, float]
    best: GpuDecode | None

    def __str__(self) -> str:
        rates = ", ".join(f"{how} {rate:.0f}" for how, rate in self.rates.items())
        if not self.rates:
            return "cpu, since no file could be read to measure others"
        return f"{self.best.how if self.best else 'cpu'}, the fastest of {rates} images/s"


# A measurement of one way: first DALI comes up, and its memory, then it counts. On an H100 with 16 cores the first 12,000
# images came 15 % slower than the next.
_WARM_SECONDS = 2.0
_TIMED_SECONDS = 1.5


def measure(loader: DataLoader[Any], decode: GpuDecode) -> Measured:
    """Runs each way over batches of the data set. Draws from its own generator alone, and leaves the loader's samplers alone."""
    rates: dict[str, float] = {}
    ways: dict[str, Any] = {"cpu": "cpu"}
    for how in ("gpu", "hybrid"):
        ways[how] = replace(decode, how=how)
    sharing = None
    for how, way in ways.items():
        try:
            rates[how], sharing = _rate(loader, way, sharing)
        except FastloadError:  # hardly a file can be read, as the epoch will say
            return Measured(rates, None)
        except (RuntimeError, OSError) as error:  # a driver or a library that DALI lacks: the CPU goes on
            if how == "cpu":
                raise
            rates[f"{how} (failed: {error})"] = 0.0
    best = max(rates, key=lambda how: rates[how])
    if best == "cpu":
        return Measured(rates, None)
    loader._sharing = sharing  # its decoder goes on
    return Measured(rates, ways[best])


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


def _rate(loader: DataLoader[Any], decode: Any, before: Sharing | None) -> tuple[float, Sharing | None]:
    """Images a second, and what decoded them; ``before``: what another way had, whose decoder is warm."""
    length = len(loader.dataset)  # type: ignore[arg-type]
    size = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None) or dali.MOST_FILES
    from fastload.loader import DataLoader  # not a subclass, whose constructor may want other things

    twin: DataLoader[Any] = DataLoader(
        loader.dataset,
        batch_sampler=_Batches(length, min(length, size)),
        num_workers=loader.num_workers,
        prefetch_factor=loader.prefetch_factor,
        generator=torch.Generator("cpu").manual_seed(0),
        threads=loader.threads,
        rng="index",
        on_error="replace",
        device=loader.device,
        decode=decode,
        dtype=loader.dtype,
        memory_format=loader.memory_format,
    )
    twin._sharing = before
    images, began, counted_from = 0, time.perf_counter(), 0.0
    for batch in twin:
        pixels = batch[0] if isinstance(batch, list) else batch
        if pixels.is_cuda:
            torch.cuda.current_stream(pixels.device).synchronize()
        now = time.perf_counter()
        if twin._sharing is not None and twin._sharing.decoder.is_starting:
            began = now
        if counted_from:
            images += len(pixels)
            if now - counted_from > _TIMED_SECONDS:
                break
        elif now - began > _WARM_SECONDS:
            counted_from = now
    return images / (now - counted_from), twin._sharing
