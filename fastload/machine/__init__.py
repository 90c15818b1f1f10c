"""What a process may use of its machine, and what the kernel counts. Nothing of torch is imported here."""

from fastload.machine.control_groups import limiting_groups, unescaped
from fastload.machine.core_limits import allowed_cores, cpu_quota, usable_cores
from fastload.machine.counters import (
    group_counters,
    pressure,
    runnable,
    shared_memory,
    virtual_memory,
)
from fastload.machine.memory_limits import MemoryLimit, read_memory_limits
from fastload.machine.nvidia_devices import has_gpu
from fastload.machine.pillow_arithmetic import pillow_blurs_as_the_engine
from fastload.machine.process_tree import processes_below

__all__ = [
    "MemoryLimit",
    "allowed_cores",
    "cpu_quota",
    "group_counters",
    "has_gpu",
    "limiting_groups",
    "pillow_blurs_as_the_engine",
    "pressure",
    "processes_below",
    "read_memory_limits",
    "runnable",
    "shared_memory",
    "unescaped",
    "usable_cores",
    "virtual_memory",
]
