"""The loaders that are compared, one file each.

An arm is a class: ``Arm(options)`` raises ImportError, with the reason, where its library is missing; ``epoch()`` gives the
batches of one epoch, float32 [batch, 3, side, side] normalised and int64 [batch]. ``CLAIMS_EQUALITY``: its batches are those of
``stock_pil`` for the same seed, bit for bit.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE, RESIZED = 224, 256

NAMES = ("stock_pil", "stock_v2", "dali_cpu", "ffcv", "spdl", "stock_items", "fastload")


@dataclass(frozen=True)
class Options:
    """What all arms share."""

    data: Path
    workload: str = "train"  # RandomResizedCrop and flip; "eval": Resize and CenterCrop
    batch_size: int = 64
    workers: int = 2


class Arm(Protocol):
    """See the module's docstring."""

    CLAIMS_EQUALITY: bool

    def epoch(self) -> Iterator[Any]: ...


def make(name: str, options: Options) -> Arm:
    """The arm of that name."""
    return importlib.import_module(f"benchmarks.arms.{name}").Arm(options)
