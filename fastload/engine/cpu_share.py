"""This process's share of the cores: what it may run on, what its control groups grant, and who it divides that with."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import torch.utils.data

from fastload.engine.control_groups import ROOT, limiting_groups


def share_of_cores() -> int:
    """How many threads this process may keep busy, at least one: its usable cores, divided among the ranks of this machine and,
    in one of torch's worker processes, among the workers."""
    worker = torch.utils.data.get_worker_info()
    workers = worker.num_workers if worker is not None else 1
    return max(1, usable_cores() // (workers * _local_ranks()))


def usable_cores(root: Path = ROOT) -> int:
    """The cores that this process may run on, or fewer where its control groups grant less time; part of a core counts as one.

    Args:
        root: where ``/proc`` and the control groups' file systems are found.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(root)
    return cores if quota >= cores else max(1, math.ceil(quota))


def cpu_quota(root: Path = ROOT, process: int | str = "self") -> float:
    """The time that a process's control groups grant, in cores; infinite where they set no limit."""
    return min(_quotas(root, process), default=math.inf)


def _local_ranks() -> int:
    ranks = os.environ.get("LOCAL_WORLD_SIZE", "")  # set by torchrun
    return int(ranks) if ranks.isascii() and ranks.isdigit() and int(ranks) > 0 else 1


def _quotas(root: Path, process: int | str) -> Iterator[float]:
    """In cores: of a process's control group and of every one that it lies in."""
    for group in limiting_groups("cpu", root, process):
        try:
            if (group / "cpu.max").exists():  # version 2
                quota, period = (group / "cpu.max").read_text().split()
            else:
                quota = (group / "cpu.cfs_quota_us").read_text()
                period = (group / "cpu.cfs_period_us").read_text()
            if quota != "max" and int(quota) > 0 and int(period) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError):
            continue  # the root of version 2 has no limit, and a file that cannot be read sets none
