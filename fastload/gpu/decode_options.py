"""Who is to decode: what was asked for, and what can be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload.batches import LoaderSettings, Mode, Way
from fastload.gpu.dali_library import why_missing

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
    why = why_unavailable(given, device)
    if why and given.how != "auto":
        raise ValueError(f"decode={given.how!r}: {why}; decode='auto' would use the CPU")
    return given


def why_unavailable(decode: GpuDecode, device: torch.device | None) -> str:
    if decode.backend == "gpu" and (device is None or device.type != "cuda"):
        return "it needs a CUDA device: device='cuda'"
    if decode.backend == "cpu" and (device is None or device.type != "cpu"):
        return "DALI's CPU backend needs device='cpu'"
    return why_missing()


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
    """ "gpu" leaves two thirds of the cores alone, unless the loader was told how many threads to have."""
    count = settings.thread_count
    return math.ceil(count / 3) if decode.how == "gpu" and settings.threads is None else count
