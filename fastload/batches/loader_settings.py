"""What an iterator needs of a loader, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.utils.data

from fastload.engine import SampleCache, ThreadFinder
from fastload.entries import EntryPoints
from fastload.resume import EpochLog, Sampling


@dataclass(frozen=True)
class LoaderSettings:
    """A loader as it is at one moment; ``DataLoader`` makes it, and nothing below that reads a loader.

    Attributes:
        torch_loader: only for the constructors of torch's own iterators, which take their part from it.
        dataset, num_workers, collate_fn, worker_init_fn, pin_memory, drop_last, in_order, prefetch_factor: torch's parameters.
        batch_size: of the loader or its batch sampler; None where neither tells it.
        in_batches: whether it gives batches, not single samples.
        has_thread_workers: whether torch would run user code in threads of this process.
        threads: of the engine, as the loader was told; None: it was not, or is to find the number.
        thread_count: of the engine.
        rng, on_error, dtype, memory_format: this package's parameters.
        device: where batches arrive; None: where torch leaves them.
        cache: where samples are kept; None: nowhere, or there is none yet.
        sampling: which samples come next.
        record: what the loader and its iterators both write down.
        entries: entry points of the samples; None: they are not wanted, or there can be none.
        finder: of how many of the engine's threads run; None: all do.
    """

    torch_loader: torch.utils.data.DataLoader[Any]
    dataset: Any
    num_workers: int
    collate_fn: Callable[[Any], Any]
    worker_init_fn: Callable[[int], None] | None
    pin_memory: bool
    drop_last: bool
    in_order: bool
    prefetch_factor: int | None
    batch_size: int | None
    in_batches: bool
    has_thread_workers: bool
    threads: int | None
    thread_count: int
    rng: str
    on_error: str
    dtype: torch.dtype | None
    memory_format: torch.memory_format | None
    device: torch.device | None
    cache: SampleCache | None
    sampling: Sampling
    record: EpochLog
    entries: EntryPoints | None = None
    finder: ThreadFinder | None = None

    @property
    def seed(self) -> int:
        """Of ``rng="index"``."""
        return self.sampling.seed
