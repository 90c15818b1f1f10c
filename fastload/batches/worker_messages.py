"""What travels between a loader and torch's workers: indices there, a batch and what is known about it back."""

from __future__ import annotations

from typing import Any

import torch
from torch._utils import ExceptionWrapper

from fastload.batches.lent_blocks import blocks_of
from fastload.batches.worker_blocks import send_blocks_from_this_thread
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
        entered: … that were decoded by entry points, of which some were kept, and whose were of no use.
        token: of the iterator whose blocks it may lie in; 0: it has none.
    """

    def __init__(
        self,
        batch: Any,
        failed: tuple[list[SampleError], list[int], int] = ([], [], 0),
        worker: int = 0,
        state_after: dict[str, Any] | None = None,
        cached: tuple[int, int] = (0, 0),
        entered: tuple[int, ...] = (0, 0, 0),
        token: int = 0,
    ) -> None:
        self.batch = batch
        self.failed = failed
        self.worker = worker
        self.state_after = state_after
        self.cached = cached
        self.entered = entered
        self.token = token

    def __reduce__(self) -> Any:
        if self.token:
            send_blocks_from_this_thread()
        facts = (self.failed, self.worker, self.state_after, self.cached, self.entered)
        return type(self), (self.batch, *facts, self.token)

    def pin_memory(self) -> WorkerBatch:
        """Called by torch's pinning thread. The shared memory that the batch came in is free from then on."""
        batch, self.batch = self.batch, None
        if not isinstance(batch, ExceptionWrapper):
            batch = torch.utils.data._utils.pin_memory.pin_memory(batch)
        blocks = blocks_of(self.token)
        if blocks is not None:
            blocks.reclaim()
        return WorkerBatch(batch, self.failed, self.worker, self.state_after, self.cached, self.entered)
