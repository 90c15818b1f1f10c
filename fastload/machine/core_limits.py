"""The cores that a process may use: those that it may run on, or fewer where its control groups grant less time."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

from fastload.machine.control_groups import ROOT, limiting_groups


def usable_cores(root: Path = ROOT) -> int:
    """The cores that this process may run on, or fewer where its control groups grant less time; part of a core counts as one.

    Args:
        root: where ``/proc`` and the control groups' file systems are found.
    """
    cores = allowed_cores()
    quota = cpu_quota(root)
    return cores if quota >= cores else max(1, math.ceil(quota))


def allowed_cores(process: int = 0) -> int:
    """Those that a process, or this one (0), may run on; all where the system does not say."""
    with contextlib.suppress(OSError, AttributeError):
        return len(os.sched_getaffinity(process))
    return os.cpu_count() or 1


def cpu_quota(root: Path = ROOT, process: int | str = "self") -> float:
    """The time that a process's control groups grant, in cores; infinite where they set no limit."""
    return min(_quotas(root, process), default=math.inf)


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
