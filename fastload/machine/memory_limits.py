"""How much memory this process may have: what the machine has, or less where its control groups allow less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastload.machine.control_groups import ROOT, limiting_groups

# Version 1 says so for "no limit".
_NO_LIMIT = 1 << 60
# What the kernel gives back when somebody needs it; memory that processes share is not among it.
_GIVEN_BACK = ("inactive_file", "active_file", "slab_reclaimable")


@dataclass(frozen=True)
class MemoryLimit:
    """Bytes that are there at all, and that are free; and who says so."""

    total: int
    free: int
    whose: str


def read_memory_limits(root: Path = ROOT) -> list[MemoryLimit]:
    """The machine's, and that of every control group which has one. Empty where the system does not say.

    Args:
        root: where ``/proc`` and the control groups' file systems are found.
    """
    return [*_of_machine(root), *_of_groups(root)]


def _of_machine(root: Path) -> Iterator[MemoryLimit]:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        yield MemoryLimit(sizes["MemTotal"], sizes["MemAvailable"], "this machine")
    except (OSError, ValueError, KeyError, IndexError):
        return


def _of_groups(root: Path) -> Iterator[MemoryLimit]:
    for group in limiting_groups("memory", root):
        try:
            names = ("memory.max", "memory.current", "") if (group / "memory.max").exists() else _OF_VERSION_1
            limit = (group / names[0]).read_text().strip()
            if limit == "max" or int(limit) >= _NO_LIMIT:
                continue
            used = int((group / names[1]).read_text())
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            used -= sum(int(stat.get(names[2] + kind, 0)) for kind in _GIVEN_BACK)
            yield MemoryLimit(int(limit), max(0, int(limit) - used), f"the control group {group}")
        except (OSError, ValueError):
            continue  # the root of version 2 has no limit, and a file that cannot be read sets none


_OF_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
