"""What one epoch cost, and where."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping
from typing import Any

from fastload import _core
from fastload.reports.job_file import own_job_file
from fastload.reports.own_counts import REMOTE, counted_in, counts_now

_SLOWEST = 10


class Statistics:
    """Adds up one iterator's figures; all times in seconds.

    Attributes:
        remote: of the reads from afar that it asked for in this process.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._last = self._began
        self._first_batch: float | None = None
        self._batches = self._images = self._fallbacks = 0
        self._waited = 0.0
        self._ended = False
        self._stages: dict[str, float] = {}
        self._on_gpu = self._of_codes = self._split = 0
        self._cached = self._looked_up = 0
        self._entered = self._noted = self._refused_entries = 0
        self.remote = dict.fromkeys(REMOTE, 0)
        self._counted_before = counts_now()
        self._blocks_made = self._blocks_used_again = 0
        self._reasons: dict[str, int] = {}
        self._refused: list[tuple[int, str | None, str]] = []
        self._slowest: list[tuple[float, int, str | None]] = []  # a heap

    def add(self, batch: _core.Batch, images: int, waited: float) -> None:
        """One delivered batch of the engine's."""
        self._fallbacks += batch.fallbacks
        self.add_entries(*batch.entries)
        for stage, seconds in batch.stage_seconds.items():
            self._stages[stage] = self._stages.get(stage, 0.0) + seconds
        self._delivered(images, waited)

    def take(self, next_data: Callable[[], Any]) -> Any:
        """The next batch of somebody else's: torch's workers', or what the caller's thread makes; its end is passed on."""
        began = time.perf_counter()
        try:
            with counted_in(self.remote):
                data = next_data()
        except StopIteration:
            self.end()
            raise
        self._delivered(_first_length(data), time.perf_counter() - began)
        return data

    def _delivered(self, images: int, waited: float) -> None:
        self._last = time.perf_counter()
        if self._first_batch is None:
            self._first_batch = self._last - self._began
        self._batches += 1
        self._images += images
        self._waited += waited
        own_job_file().tick(self._last)

    def add_slowest(self, seconds: float, index: int, path: str | None) -> None:
        """The sample of a batch that took longest."""
        if len(self._slowest) < _SLOWEST:
            heapq.heappush(self._slowest, (seconds, index, path))
        elif seconds > self._slowest[0][0]:
            heapq.heapreplace(self._slowest, (seconds, index, path))

    def end(self) -> None:
        """The epoch is over."""
        self._ended = True
        own_job_file().at_the_end(time.perf_counter())

    def add_decoders(self, gpu: int, codes: int, split: int, reasons: dict[str, int]) -> None:
        """How many images of a batch the GPU's hardware decoded, of how many it read the codes, of how many the CPU read them for
        it, and why the CPU had the others."""
        self._on_gpu += gpu
        self._of_codes += codes
        self._split += split
        for reason, count in reasons.items():
            self._reasons[reason] = self._reasons.get(reason, 0) + count

    def add_cached(self, found: int, looked_up: int) -> None:
        """How many of the samples of a batch the cache had."""
        self._cached += found
        self._looked_up += looked_up

    def add_entries(self, used: int, made: int, ignored: int) -> None:
        """How many images were decoded by entry points, of how many some were kept, and whose were of no use."""
        self._entered += used
        self._noted += made
        self._refused_entries += ignored

    def since_it_began(self, name: str, now: dict[str, int]) -> dict[str, int]:
        """Of such a part of the figures what was added since, in all of this process."""
        before = self._counted_before.get(name, {})
        return {kind: count - before.get(kind, 0) for kind, count in now.items()}

    def entry_figures(self) -> dict[str, int]:
        """The entry points' part of the figures."""
        return {"used": self._entered, "made": self._noted, "ignored": self._refused_entries}

    def add_blocks(self, made: int, used_again: int) -> None:
        """Of the blocks of shared memory that tensors came in from workers, those that were new and those that had come before."""
        self._blocks_made += made
        self._blocks_used_again += used_again

    def cache_figures(self) -> dict[str, Any]:
        """The cache's part of the figures of a loader that has one."""
        rate = self._cached / self._looked_up if self._looked_up else 0.0
        return {"hits": self._cached, "misses": self._looked_up - self._cached, "hit_rate": rate}

    def refuse(self, index: int, path: str | None, reason: str) -> None:
        """An image that the GPU's decoder was given and could not decode."""
        self._refused.append((index, path, reason))

    @property
    def has_ended(self) -> bool:
        return self._ended

    def figures(self) -> dict[str, Any]:
        """A fresh dictionary; see ``DataLoader.stats``."""
        seconds = self._last - self._began
        return {
            "batches": self._batches,
            "images": self._images,
            "seconds": seconds,
            "images_per_second": self._images / seconds if seconds > 0 else 0.0,
            "wait_seconds": self._waited,
            "first_batch_seconds": self._first_batch,
            "stages": dict(self._stages),
            "slowest_samples": sorted(self._slowest, reverse=True),
            "fallbacks": self._fallbacks,
            "shared_blocks": {"made": self._blocks_made, "used_again": self._blocks_used_again},
            "decoders": {
                "cpu": self._images - self._on_gpu - self._of_codes - self._split,
                "gpu": self._on_gpu,
                "codes": self._of_codes,
                "split": self._split,
                "reasons": dict(self._reasons),
                "refused": list(self._refused),
            },
        }


def _first_length(data: Any) -> int:
    """How many samples a batch has, as its first tensor or list of texts says; one where nothing does."""
    while isinstance(data, (Mapping, tuple, list)) and data:
        first = next(iter(data.values())) if isinstance(data, Mapping) else data[0]
        if isinstance(first, str | bytes | int | float):
            return len(data)
        data = first
    shape = getattr(data, "shape", ())
    return int(shape[0]) if shape else 1
