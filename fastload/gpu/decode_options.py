"""Who is to decode: what was asked for, and what can be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload.batches import LoaderSettings, Mode, Way
from fastload.gpu.dali_library import why_missing
from fastload.gpu.kernel_program import why_no_kernels

HOW = ("gpu", "hybrid", "dali", "auto")
_NOT_ON_GPU = tuple(getattr(version, name) for version in (v1, v2) for name in ("Grayscale", "RandomGrayscale", "Pad"))


@dataclass(frozen=True)
class GpuDecode:
    """How the GPU decodes; ``decode="gpu"`` is ``decode=GpuDecode("gpu")``.

    Args:
        how: "gpu": from their codes on, images whose entry points are known (``entries=``); of others the CPU reads the codes, with
            a third of the threads, and the GPU does the rest. "hybrid": the same with all threads, which do all of it while enough
            batches are waiting. "dali": as "gpu", but the hardware decoder, through DALI, decodes as many images as it manages,
            whose pixels may differ by a level. "auto": the fastest of "gpu", "hybrid" and the CPU alone, by a short measurement
            before the first epoch. Where DALI is installed, "gpu" and "hybrid" use it as "dali" does as long as less than half of
            the samples have entry points.
        hw_decoder_load: the part of DALI's images that the hardware decoder gets; the rest is for DALI's threads and the GPU's
            multiprocessors. None: 1, whose pixels are off by a level at most. The others' are off by up to 3 levels.
        threads: DALI's. None: 4 beside the hardware decoder alone, otherwise as many as the engine's.
        backend: "gpu", or "cpu": the same kernels and DALI's CPU backend on the CPU, for tests on machines without a GPU.
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
    why = why_unavailable(given, device)
    if why and given.how != "auto":
        raise ValueError(f"decode={given.how!r}: {why}; decode='auto' would use the CPU")
    return given


def why_unavailable(decode: GpuDecode, device: torch.device | None) -> str:
    """Why it cannot be used on that device; empty if it can."""
    if decode.backend == "gpu" and (device is None or device.type != "cuda"):
        return "it needs a CUDA device: device='cuda'"
    if decode.backend == "cpu" and (device is None or device.type != "cpu"):
        return "the CPU backend needs device='cpu'"
    no_dali = why_missing()
    if not no_dali:
        return ""
    if decode.how == "dali":
        return no_dali
    return "" if decode.backend == "cpu" else why_no_kernels()


def uses_dali(settings: LoaderSettings, mode: Mode, decode: GpuDecode) -> bool:
    """Whether batches may go to the hardware. Where most samples have entry points, what it takes away would be slower there."""
    return decode.how == "dali" or (not why_missing() and not has_entries(settings, mode))


def has_entries(settings: LoaderSettings, mode: Mode) -> bool:
    """Whether the entry points of at least half of the samples are known."""
    if settings.entries is None or mode.find is None:
        return False
    length = len(settings.dataset)
    return 2 * settings.entries.known_of(mode.find, length) >= length


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


def engine_threads(settings: LoaderSettings, decode: GpuDecode) -> int:
    """ "gpu" and "dali" leave two thirds of the cores alone, unless the loader was told how many threads to have."""
    count = settings.thread_count
    return math.ceil(count / 3) if decode.how in ("gpu", "dali") and settings.threads is None else count
