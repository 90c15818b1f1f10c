"""Facts about the machine, or the part of it that this process may use: cores, memory, shared memory, limits."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from fastload.diagnosis.machine_facts import Cores, Memory, OpenFiles, SharedMemory
from fastload.machine import cpu_quota, limiting_groups, read_memory_limits
from fastload.reports import needs

ROOT = Path("/")


def read_cores(root: Path = ROOT) -> Cores:
    """Counts, and the time that control groups grant."""
    import torch

    quota = cpu_quota(root)
    return Cores(
        visible=os.cpu_count() or 1,
        allowed=len(allowed_cores()),
        quota=quota if quota != float("inf") else None,
        throttled=throttled_share(root),
        torch_threads=torch.get_num_threads(),
    )


def allowed_cores() -> frozenset[int]:
    """By this process's affinity."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def throttled_share(root: Path = ROOT) -> float | None:
    """Of the periods in which this process's control group ran, those in which its quota was used up; None: no quota."""
    for group in limiting_groups("cpu", root):
        try:
            counts = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
            periods = int(counts["nr_periods"])
            if periods > 0:
                return int(counts["nr_throttled"]) / periods
        except (OSError, ValueError, KeyError):
            continue
    return None


def read_memory(root: Path = ROOT) -> Memory:
    """RAM, swap, and the limit of the control groups."""
    psutil = needs("psutil", "profile", "what the memory holds")
    ram, swap = psutil.virtual_memory(), psutil.swap_memory()
    groups = [limit for limit in read_memory_limits(root) if limit.total < ram.total]
    available = min([ram.available, *(group.free for group in groups)])
    limit = min((group.total for group in groups), default=None)
    return Memory(ram.total, available, limit, swap.total, swap.used, swap.sin)


def read_shared_memory(folder: str = "/dev/shm") -> SharedMemory:
    """Where worker processes leave their batches."""
    found = os.statvfs(folder)
    return SharedMemory(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


def read_open_files() -> OpenFiles:
    """How many files this process may have open at once, and how far it may raise that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OpenFiles(*(limit if limit != resource.RLIM_INFINITY else 1 << 40 for limit in (soft, hard)))


def read_container(root: Path = ROOT) -> str | None:
    """What kind of container this process runs in, if it runs in one and that shows."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    for name, mark in (("docker", ".dockerenv"), ("podman", "run/.containerenv")):
        if (root / mark).exists():
            return name
    for name in ("singularity", "apptainer"):
        if f"{name.upper()}_CONTAINER" in os.environ:
            return name
    return None


def read_nodes(root: Path = ROOT) -> dict[int, frozenset[int]]:
    """NUMA nodes and their cores; empty where the kernel knows none."""
    nodes = {}
    for node in sorted((root / "sys/devices/system/node").glob("node[0-9]*")):
        nodes[int(node.name.removeprefix("node"))] = frozenset(_numbers((node / "cpulist").read_text()))
    return nodes


def _numbers(text: str) -> list[int]:
    """``0-3,8`` as the kernel lists cores."""
    numbers: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers
