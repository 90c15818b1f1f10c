"""What a loader tells ``fastload monitor``."""

from __future__ import annotations

from typing import Any

import torch.utils.data
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

from fastload.resume import EpochLog

_KNOW_THEIR_LENGTH = (BatchSampler, DistributedSampler, RandomSampler, SequentialSampler)
_OF_STATS = (
    "mode",
    "threads",
    "batches",
    "images",
    "seconds",
    "wait_seconds",
    "first_batch_seconds",
    "images_per_second",
    "stages",
    "fallbacks",
    "errors",
    "all_errors",
)


def loader_figures(loader: torch.utils.data.DataLoader[Any], record: EpochLog, stats: dict[str, Any]) -> dict[str, Any]:
    """Plain values.

    Args:
        stats: as ``DataLoader.stats`` gives them.
    """
    queue = record.queue() if record.queue is not None else None
    ready, asked = queue() if queue is not None else (0, 0)
    if record.expected is None or record.expected[0] != record.epoch:
        record.expected = (record.epoch, _batches_in_epoch(loader))
    return {
        "dataset": type(loader.dataset).__name__,
        "batch_size": loader.batch_size,
        "num_workers": loader.num_workers,
        "epoch": record.epoch,
        "ended": record.statistics.has_ended,
        "expected_batches": record.expected[1],
        "ready_batches": ready,
        "asked_batches": asked,
        **{name: stats[name] for name in _OF_STATS},
    }


def _batches_in_epoch(loader: torch.utils.data.DataLoader[Any]) -> int | None:
    """None where only code of the user's knows: it is not called for this."""
    sampler = loader.batch_sampler if loader.batch_sampler is not None else loader.sampler
    over = getattr(sampler, "sampler", sampler)
    if type(sampler) not in _KNOW_THEIR_LENGTH or type(over) not in _KNOW_THEIR_LENGTH:
        return None
    try:
        return len(sampler)  # type: ignore[arg-type]
    except TypeError:
        return None
