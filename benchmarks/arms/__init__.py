"""The loaders that are compared, one file each.

An arm is a class: ``Arm(options)`` raises ImportError, with the reason, where its library is missing; ``epoch()`` gives the
batches of one epoch, float32 [batch, 3, side, side] normalised and int64 [batch]. ``CLAIMS_EQUALITY``: its batches are those of
``stock_pil`` for the same seed, bit for bit. ``SQUEEZES``: its evaluation makes the whole picture a square, so that is what
its pictures are compared with.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE, RESIZED = 224, 256

# Each arm, what it is, and when it was last seen to run, with which version.
NAMES = {
    "stock_pil": ("torch's loader, PIL", "2026-11-26: torch 2.11.0, torchvision 0.26.0, Pillow 13.0.0"),
    "stock_v2": ("torch's loader, v2 tensors", "2026-11-26: torch 2.11.0, torchvision 0.26.0"),
    "torchcodec": ("torch's loader, torchcodec, v2 tensors", "2026-11-26: torchcodec 0.17.0"),
    "dali_cpu": ("DALI on the CPU", "2026-11-26: nvidia-dali-cuda130 2.4.0"),
    "spdl": ("SPDL's threads, v2 tensors", "2026-11-26: spdl-io 0.8.0, spdl-core 0.8.0"),
    "spdl-ffmpeg": ("SPDL with its FFmpeg (no random crop)", "2026-11-26: spdl-io 0.8.0, spdl-core 0.8.0"),
    "webdataset": ("WebDataset, v2 tensors", "2026-11-26: webdataset 1.0.2"),
    "litdata": ("LitData, optimised, v2 tensors", "2026-11-26: litdata 0.2.76"),
    "litdata-raw": ("LitData over the folder, v2 tensors", "2026-11-26: litdata 0.2.76"),
    "parquet": ("HF datasets, Parquet, v2 tensors", "2026-11-26: datasets 5.2.0, pyarrow 26.0.1"),
    "ffcv": ("FFCV, its ImageNet recipe (half JPEG q90, half raw; 500 px)", "2026-11-26: ffcv 1.0.2, numba 0.68.1"),
    "ffcv-q90": ("FFCV, JPEG q90", "2026-11-26: ffcv 1.0.2, numba 0.68.1"),
    "ffcv-raw": ("FFCV, raw pixels", "2026-11-26: ffcv 1.0.2, numba 0.68.1"),
    "ffcv-raw256": ("FFCV, raw pixels shrunk to 256 px", "2026-11-26: ffcv 1.0.2, numba 0.68.1"),
    "turboloader": ("TurboLoader", "2026-11-26: turboloader 2.39.0"),
    "turboloader-antialias": ("TurboLoader, antialias", "2026-11-26: turboloader 2.39.0"),
    "turboloader-raw256": ("TurboLoader, raw pixels shrunk to 256 px", "2026-11-26: turboloader 2.39.0"),
    "stock_items": ("torch's loader over fastload.ImageFolder", "2026-11-26: torch 2.11.0"),
    "fastload": ("**fastload**", "2026-11-26: torch 2.11.0"),
}


@dataclass(frozen=True)
class Options:
    """What all arms share."""

    data: Path
    workload: str = "train"  # RandomResizedCrop and flip; "eval": Resize and CenterCrop
    batch_size: int = 64
    workers: int = 2
    build: Path = Path("build/rivals")  # where the files of other formats are written, once

    def converted(self, name: str, write: Callable[[Path], None]) -> Path:
        """The data in another format: ``write(path)`` makes the file or folder unless it is there, whole."""
        files = sorted(str(path) for path in self.data.rglob("*") if path.is_file())
        key = hashlib.blake2b("\n".join([str(self.data.resolve()), *files]).encode(), digest_size=6).hexdigest()
        path = self.build / key / name
        if not path.exists():
            half = path.with_name("half-" + name)
            shutil.rmtree(half, ignore_errors=True)
            half.unlink(missing_ok=True)
            half.parent.mkdir(parents=True, exist_ok=True)
            write(half)
            half.rename(path)
        return path


class Arm(Protocol):
    """See the module's docstring."""

    CLAIMS_EQUALITY: bool

    def epoch(self) -> Iterator[Any]: ...


def make(name: str, options: Options) -> Arm:
    """The arm of that name: ``ffcv`` is ``Arm`` in ``ffcv.py``, ``ffcv-raw`` is ``Raw`` in it."""
    module, _, variant = name.partition("-")
    return getattr(importlib.import_module(f"benchmarks.arms.{module}"), variant.capitalize() or "Arm")(options)
