"""What goes to torch's workers in the place of a collate_fn and a worker_init_fn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch._utils import ExceptionWrapper
from torch.utils.data import get_worker_info
from torch.utils.data._utils import worker as torch_worker

from fastload.batches.worker_messages import ReadableItems, WorkerBatch
from fastload.batches.worker_state import value_or_failure, worker_id


class Collate:
    """The loader's collate_fn, and what goes along with its batch."""

    def __init__(self, collate_fn: Callable[[Any], Any], dataset: Any) -> None:
        self._collate_fn = collate_fn
        self._dataset = dataset  # as it is served

    def __call__(self, items: Any) -> WorkerBatch:
        failed = (items.failures, items.slots, items.samples) if isinstance(items, ReadableItems) else ([], [], 0)
        state, batch = self._dataset.worker_state, items
        if not isinstance(items, ExceptionWrapper):
            plain = list(items) if isinstance(items, ReadableItems) else items
            batch = value_or_failure(state, lambda: self._collate_fn(plain))
        after = state.after_batch(self._dataset.dataset)
        return WorkerBatch(batch, failed, worker_id(), after, self._dataset.take_cached())


class Initialise:
    """The loader's worker_init_fn, for a worker whose ``get_worker_info().dataset`` is the user's own."""

    def __init__(self, worker_init_fn: Callable[[int], None] | None, dataset: Any) -> None:
        self._worker_init_fn = worker_init_fn
        self._dataset = dataset

    def __call__(self, worker: int) -> None:
        info = get_worker_info()
        assert info is not None  # torch calls this in a worker
        torch_worker._worker_info = torch_worker.WorkerInfo(
            id=info.id, num_workers=info.num_workers, seed=info.seed, dataset=self._dataset.dataset
        )
        if self._worker_init_fn is not None:
            self._worker_init_fn(worker)
