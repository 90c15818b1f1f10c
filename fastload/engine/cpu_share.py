"""This process's share of the cores: what it may run on, what its control groups grant, and who it divides that with."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import torch.utils.data

_ROOT = Path("/")


def share_of_cores() -> int:
    """How many threads this process may keep busy, at least one: its usable cores, divided among the ranks of this machine and,
    in one of torch's worker processes, among the workers."""
    worker = torch.utils.data.get_worker_info()
    workers = worker.num_workers if worker is not None else 1
    return max(1, usable_cores() // (workers * _local_ranks()))


def usable_cores(root: Path = _ROOT) -> int:
    """The cores that this process may run on, or fewer where its control groups grant less time; part of a core counts as one.

    Args:
        root: where ``/proc`` and the control groups' file systems are found.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = min(_quotas(root), default=math.inf)
    return cores if quota >= cores else max(1, math.ceil(quota))


def _local_ranks() -> int:
    ranks = os.environ.get("LOCAL_WORLD_SIZE", "")  # set by torchrun
    return int(ranks) if ranks.isascii() and ranks.isdigit() and int(ranks) > 0 else 1


def _quotas(root: Path) -> Iterator[float]:
    """In cores: of this process's control group and of every one that it lies in."""
    for group in _groups(root):
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


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the control groups that limit this process's time, each before the one that it lies in."""
    try:
        memberships = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except (OSError, ValueError):
        return
    for membership in memberships:
        # "0::/path" of version 2; "4:cpu,cpuacct:/path" of version 1
        number, _, rest = membership.partition(":")
        controllers, _, path = rest.partition(":")
        if number != "0" and "cpu" not in controllers.split(","):
            continue
        for mount in mounts:
            # "31 23 0:28 <the group that is seen> <where> options … - <file system> <source> <its options>"
            own, _, system = mount.partition(" - ")
            if not system.startswith("cgroup2 " if number == "0" else "cgroup "):
                continue
            if number != "0" and "cpu" not in system.split()[-1].split(","):
                continue
            seen, where = map(_unescaped, own.split()[3:5])
            top, inside = root / where.lstrip("/"), PurePosixPath(path)
            # In a container the path may be the host's, of which nothing but the mount is seen.
            below = inside.relative_to(seen) if inside.is_relative_to(seen) else PurePosixPath()
            yield from (top / step for step in (below, *below.parents))


def _unescaped(path: str) -> str:
    """As mountinfo writes it: a space is \\040."""
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
