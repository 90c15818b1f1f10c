"""What goes to torch's workers in the place of a collate_fn and a worker_init_fn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch._utils import ExceptionWrapper
from torch.utils.data import get_worker_info
from torch.utils.data._utils import worker as torch_worker
from torch.utils.data._utils.collate import default_convert

from fastload.batches.batch_in_place import ItemsInPlace
from fastload.batches.block_moves import move_into_blocks
from fastload.batches.block_table import BlockTable
from fastload.batches.worker_batches import MadeBatch
from fastload.batches.worker_blocks import blocks_of_this_worker, use_blocks
from fastload.batches.worker_messages import ReadableItems, WorkerBatch
from fastload.batches.worker_state import value_or_failure, worker_id
from fastload.engine import keep_freed_memory


class Collate:
    """The loader's collate_fn, and what goes along with its batch."""

    def __init__(self, collate_fn: Callable[[Any], Any], dataset: Any, token: int = 0) -> None:
        self._collate_fn = collate_fn
        self._dataset = dataset  # as it is served
        self._token = token

    def __call__(self, items: Any) -> WorkerBatch:
        failed = (items.failures, items.slots, items.samples) if isinstance(items, ReadableItems) else ([], [], 0)
        state, batch = self._dataset.worker_state, items
        if not isinstance(items, ExceptionWrapper):
            plain = list(items) if isinstance(items, ReadableItems) else items
            collate_fn = MadeBatch.collated if isinstance(items, MadeBatch) else self._collate_fn
            batch = value_or_failure(state, lambda: in_blocks(collate_fn, plain))
        after = state.after_batch(self._dataset.dataset)
        counts = self._dataset.take_cached(), self._dataset.take_entered()
        return WorkerBatch(batch, failed, worker_id(), after, *counts, self._token)


class CollateAlone:
    """The loader's collate_fn, of whose batches nothing but their memory is known."""

    def __init__(self, collate_fn: Callable[[Any], Any], token: int) -> None:
        self._collate_fn = collate_fn
        self._token = token

    def __call__(self, items: Any) -> WorkerBatch:
        return WorkerBatch(in_blocks(self._collate_fn, items), token=self._token)


class Initialise:
    """The loader's worker_init_fn, for a worker whose ``get_worker_info().dataset`` is the user's own.

    Args:
        dataset: as it is served; None: it is the user's own.
        table: of the blocks that batches are sent in; None: torch's way.
    """

    def __init__(
        self, worker_init_fn: Callable[[int], None] | None, dataset: Any, table: BlockTable | None = None
    ) -> None:
        self._worker_init_fn = worker_init_fn
        self._dataset = dataset
        self._table = table

    def __call__(self, worker: int) -> None:
        info = get_worker_info()
        assert info is not None  # torch calls this in a worker
        if self._table is not None:
            keep_freed_memory()
            use_blocks(self._table, worker)
        if self._dataset is not None:
            torch_worker._worker_info = torch_worker.WorkerInfo(
                id=info.id, num_workers=info.num_workers, seed=info.seed, dataset=self._dataset.dataset
            )
        if self._worker_init_fn is not None:
            self._worker_init_fn(worker)


def in_blocks(collate_fn: Callable[[Any], Any], items: Any) -> Any:
    """The batch, its memory in blocks of this worker where that can be."""
    made = [items.collated() if isinstance(items, ItemsInPlace) else collate_fn(items)]
    blocks = blocks_of_this_worker()
    if blocks is not None:
        move_into_blocks(made, blocks, items if collate_fn is default_convert else None)
    return made[0]
