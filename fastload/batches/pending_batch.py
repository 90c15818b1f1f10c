"""One batch between the sampler and the consumer."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

import torch

from fastload import _core
from fastload.engine import BatchSamples


class PendingBatch:
    """One batch under way: its samples, its images (or, on the meta device, only what they will be), its engine batch, and what
    that leaves to somebody else."""

    def __init__(self, samples: BatchSamples, images: torch.Tensor, batch: _core.Batch, leave: _core.Leave) -> None:
        self.samples = samples
        self.images = images
        self.batch = batch
        self.leave = leave
        self.handed: Future[None] | None = None  # its result is there when the other decoder has the files
        self.made: Future[None] | None = None  # … and the pixels are there
        self.left: Any = None  # of files, once the other decoder has them
        self.pixels: torch.Tensor | None = None  # uint8, once they are on a device
        self.behind: Any = None  # an event behind what makes these
        self.upload: Any = None  # for a device: what was begun before the batch was asked for
        self.sent_at = time.monotonic()
