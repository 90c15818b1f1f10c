"""This process's share of the cores: what it may run on, what its control groups grant, and who it divides that with."""

from __future__ import annotations

import os

import torch.utils.data

from fastload.machine import usable_cores


def share_of_cores() -> int:
    """How many threads this process may keep busy, at least one: its usable cores, divided among the ranks of this machine and,
    in one of torch's worker processes, among the workers."""
    worker = torch.utils.data.get_worker_info()
    workers = worker.num_workers if worker is not None else 1
    return max(1, usable_cores() // (workers * _local_ranks()))


def thread_count(threads: int | str | None, workers: int) -> int:
    """Of a loader's engine: what it was told, else as many as it has workers, else this process's share; that, too, for "auto"."""
    if isinstance(threads, int):
        return threads
    return (threads is None and workers) or share_of_cores()


def _local_ranks() -> int:
    ranks = os.environ.get("LOCAL_WORLD_SIZE", "")  # set by torchrun
    return int(ranks) if ranks.isascii() and ranks.isdigit() and int(ranks) > 0 else 1
