"""What travels between a loader and torch's workers: indices there, a batch and what is known about it back."""

from __future__ import annotations

from typing import Any

import torch
from torch._utils import ExceptionWrapper

from fastload.reports import SampleError


class Indices(list[Any]):
    """The indices of a batch with the epoch that they are drawn for."""

    def __init__(self, indices: Any, epoch: int) -> None:
        super().__init__(indices)
        self.epoch = epoch

    def __reduce__(self) -> tuple[type[Indices], tuple[list[Any], int]]:
        return type(self), (list(self), self.epoch)


class ReadableItems(list[Any]):
    """Items, and what became of the others."""

    def __init__(self, items: list[Any], failures: list[SampleError], slots: list[int], samples: int) -> None:
        super().__init__(items)
        self.failures = failures
        self.slots = slots
        self.samples = samples


class WorkerBatch:
    """A batch on its way from a worker.

    Attributes:
        batch: what the collate_fn gave, or the error of whatever failed.
        failed: of its samples the failures, in which slots these were, and the number of all samples.
        worker: whose it is.
        state_after: the worker's state after it, if that is kept.
        cached: of its samples those that the cache had, and all that were looked up there.
    """

    def __init__(
        self,
        batch: Any,
        failed: tuple[list[SampleError], list[int], int],
        worker: int,
        state_after: dict[str, Any] | None,
        cached: tuple[int, int] = (0, 0),
    ) -> None:
        self.batch = batch
        self.failed = failed
        self.worker = worker
        self.state_after = state_after
        self.cached = cached

    def pin_memory(self) -> WorkerBatch:
        """Called by torch's pinning thread."""
        batch = self.batch
        if not isinstance(batch, ExceptionWrapper):
            batch = torch.utils.data._utils.pin_memory.pin_memory(batch)
        return WorkerBatch(batch, self.failed, self.worker, self.state_after, self.cached)
