"""Counters of the machine as they stand, and what it did between two samples of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from fastload.machine import allowed_cores, group_counters, pressure, runnable, shared_memory, virtual_memory
from fastload.reports import needs


@dataclass(frozen=True)
class Counters:
    """As they stand at one time; what only grows is in seconds, bytes, pages or periods since the machine started."""

    at: float  # time.perf_counter()
    cores: tuple[tuple[float, float], ...]  # busy and all seconds of each
    steal: float
    runnable: int  # threads that run or want to
    allowed: int  # cores that the job may run on
    quota: float | None  # cores
    periods: int
    throttled: int
    memory_available: int
    memory_total: int
    swapped: int  # pages, in and out
    faults: int  # that read a disk
    read: int
    disks: dict[str, float]  # seconds in which each was busy
    pressure: dict[str, float]  # seconds in which some task waited
    shm_free: int
    shm_size: int


@dataclass(frozen=True)
class MachineNow:
    """Between two samples. Rates are a second, shares 0 to 1; None: this system does not tell."""

    seconds: float
    cores: tuple[float, ...]  # how busy each was
    steal: float
    usable_cores: float  # that the job may use, by affinity and quota
    runnable: float
    throttled: float | None  # share of the quota's periods
    memory_available: int
    memory_total: int
    swapped_pages: float
    faults: float
    read_bytes: float
    busiest_disk: tuple[str, float] | None  # name, share of the time
    pressure: dict[str, float] = field(default_factory=dict)
    shm_free: int = 0
    shm_size: int = 0


def sample(process: int) -> Counters:
    """Of the machine, and of the control groups and the affinity of one process."""
    psutil = needs("psutil", "profile", "fastload monitor")
    times, memory = psutil.cpu_times(percpu=True), psutil.virtual_memory()
    disks = psutil.disk_io_counters(perdisk=True) or {}
    whole = psutil.disk_io_counters()
    vm, group, shm = virtual_memory(), group_counters(process), shared_memory()
    return Counters(
        at=time.perf_counter(),
        cores=tuple((sum(core) - core.idle - getattr(core, "iowait", 0.0), sum(core)) for core in times),
        steal=sum(getattr(core, "steal", 0.0) for core in times),
        runnable=runnable(),
        allowed=allowed_cores(process),
        quota=group.get("quota_cores") or None,
        periods=int(group.get("periods", 0)),
        throttled=int(group.get("throttled", 0)),
        memory_available=memory.available,
        memory_total=memory.total,
        swapped=vm.get("pswpin", 0) + vm.get("pswpout", 0),
        faults=vm.get("pgmajfault", 0),
        read=whole.read_bytes if whole is not None else 0,
        disks={name: getattr(disk, "busy_time", 0) / 1e3 for name, disk in disks.items()},
        pressure={name: waited / 1e6 for name, waited in pressure().items()},
        shm_free=shm[0],
        shm_size=shm[1],
    )


def between_samples(before: Counters, after: Counters, runnable: float | None = None) -> MachineNow:
    """``runnable``: on average, of who looked more often; None: as in ``after``."""
    seconds = max(1e-6, after.at - before.at)
    busy = {name: (spent - before.disks.get(name, spent)) / seconds for name, spent in after.disks.items()}
    busiest = max(busy, key=lambda name: busy[name], default=None)
    periods = after.periods - before.periods
    cores = tuple(
        max(0.0, min(1.0, (busy_after - busy_before) / max(1e-6, all_after - all_before)))
        for (busy_before, all_before), (busy_after, all_after) in zip(before.cores, after.cores, strict=False)
    )
    return MachineNow(
        seconds=seconds,
        cores=cores,
        steal=(after.steal - before.steal) / seconds / max(1, len(cores)),
        usable_cores=min(float(after.allowed), after.quota or float("inf")),
        runnable=after.runnable if runnable is None else runnable,
        throttled=(after.throttled - before.throttled) / periods if periods > 0 and after.quota else None,
        memory_available=after.memory_available,
        memory_total=after.memory_total,
        swapped_pages=(after.swapped - before.swapped) / seconds,
        faults=(after.faults - before.faults) / seconds,
        read_bytes=(after.read - before.read) / seconds,
        busiest_disk=(busiest, min(1.0, busy[busiest])) if busiest is not None else None,
        pressure={
            name: min(1.0, (waited - before.pressure.get(name, waited)) / seconds)
            for name, waited in after.pressure.items()
        },
        shm_free=after.shm_free,
        shm_size=after.shm_size,
    )
