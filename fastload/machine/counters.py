"""What the kernel counts, as it stands now: of the machine, and of the control groups of one process. No torch, no library."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from fastload.machine.control_groups import limiting_groups
from fastload.machine.core_limits import cpu_quota

_OF_VMSTAT = ("pswpin", "pswpout", "pgmajfault", "workingset_refault_file", "workingset_refault_anon")
_OF_MEMORY = {
    "memory_used": ("memory.current", "memory.usage_in_bytes"),
    "memory_limit": ("memory.max", "memory.limit_in_bytes"),
    "memory_failures": ("memory.failcnt",),
}


def numbers_in(path: str | Path) -> dict[str, int]:
    """A file of the kernel with a name and a number a line; empty where there is none."""
    found = {}
    with contextlib.suppress(OSError):
        for line in Path(path).read_text().splitlines():
            name, _, rest = line.partition(" ")
            if rest.strip().isdigit():
                found[name] = int(rest)
    return found


def virtual_memory() -> dict[str, int]:
    """Pages swapped in and out, faults that read a disk, pages that were read again soon after they had left memory."""
    rows = numbers_in("/proc/vmstat")
    return {name: rows[name] for name in _OF_VMSTAT if name in rows}


def pressure() -> dict[str, int]:
    """Microseconds in which some task waited, for each of cpu, io and memory; without those that the kernel does not tell."""
    found = {}
    for name in ("cpu", "io", "memory"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            some = Path(f"/proc/pressure/{name}").read_text().splitlines()[0]
            found[name] = int(some.rpartition("total=")[2])
    return found


def runnable() -> int:
    """Threads that run or want to, on the whole machine."""
    return numbers_in("/proc/stat").get("procs_running", 0)


def shared_memory() -> tuple[int, int]:
    """Bytes of /dev/shm that are free, and all; (0, 0) where there is none."""
    with contextlib.suppress(OSError):
        found = os.statvfs("/dev/shm")
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    return 0, 0


def group_counters(process: int) -> dict[str, float]:
    """Of the innermost control groups that limit a process.

    ``periods`` and ``throttled`` (of them, those in which the quota was used up), ``throttled_s``, ``quota_cores`` (0: none);
    ``memory_used``, ``memory_limit`` (0: none), ``memory_failures``. Without those that the system does not tell.
    """
    found: dict[str, float] = {}
    for group in limiting_groups("cpu", process=process):
        rows = numbers_in(group / "cpu.stat")
        if "nr_periods" in rows:
            found.update(periods=rows["nr_periods"], throttled=rows.get("nr_throttled", 0))
            # Microseconds in version 2, nanoseconds in version 1.
            found["throttled_s"] = rows.get("throttled_usec", 0) / 1e6 or rows.get("throttled_time", 0) / 1e9
            break
    quota = cpu_quota(process=process)
    found["quota_cores"] = quota if quota != float("inf") else 0.0
    for group in limiting_groups("memory", process=process):
        for name, files in _OF_MEMORY.items():
            for file in files:
                with contextlib.suppress(OSError, ValueError):
                    text = (group / file).read_text().strip()
                    found[name] = 0.0 if text == "max" else float(text)
        if "max" in (events := numbers_in(group / "memory.events")):  # version 2: so often the limit was met
            found["memory_failures"] = events["max"]
        if "memory_used" in found:
            break
    return found
