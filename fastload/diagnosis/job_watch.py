"""Looks at running jobs and at the machine under them, again and again."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from dataclasses import dataclass
from typing import Any

from fastload.diagnosis.contention_warnings import contention
from fastload.diagnosis.gpu_now import GpuNow, Gpus
from fastload.diagnosis.machine_now import Counters, MachineNow, between_samples, sample
from fastload.diagnosis.running_jobs import Job, LoaderNow, between, find_jobs
from fastload.reports import needs

SCHEMA = 1
_LOOKS_AT_THE_RUN_QUEUE = 10


@dataclass(frozen=True)
class JobNow:
    pid: int
    rank: int | None
    command: str
    silent: float  # seconds since it last wrote: it has taken no batch in that time
    processes: int  # it and all below it
    cores: float  # that all of them kept busy
    memory: int  # bytes resident, what they share counted in each
    loaders: tuple[LoaderNow, ...]


@dataclass(frozen=True)
class Snapshot:
    jobs: tuple[JobNow, ...]
    machine: MachineNow
    gpus: tuple[GpuNow, ...]
    warnings: tuple[str, ...]
    at: float  # time.time()
    gpus_unread: str = ""  # why there is none in ``gpus``, where the machine has some

    def as_dict(self) -> dict[str, Any]:
        """``{"schema": 1, "at", "jobs": [{…, "loaders": […]}], "machine": {…}, "gpus": […], "gpus_unread", "warnings": […]}``."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class _Look:
    jobs: dict[int, Job]
    spent: dict[int, float]  # CPU seconds by job
    counters: Counters


class JobWatch:
    """Of this user's jobs, or of one process and all below it."""

    def __init__(self, process: int | None, gpus: Gpus) -> None:
        self._process = process
        self._gpus = gpus
        self._psutil = needs("psutil", "profile", "fastload monitor")
        self._before = self._look()

    @property
    def has_jobs(self) -> bool:
        """Whether the last look found any."""
        return bool(self._before.jobs)

    def after(self, seconds: float) -> Snapshot:
        """What happens in so many seconds from now."""
        runnable = []
        for _ in range(_LOOKS_AT_THE_RUN_QUEUE):
            time.sleep(seconds / _LOOKS_AT_THE_RUN_QUEUE)
            runnable.append(_runnable())
        before, after = self._before, self._look()
        machine = between_samples(before.counters, after.counters, sum(runnable) / len(runnable))
        jobs = (self._job_now(job, before, after, machine.seconds) for job in after.jobs.values())
        self._before = after
        gpus, warnings = self._gpus.now(), tuple(contention(machine))
        return Snapshot(tuple(jobs), machine, gpus, warnings, time.time(), self._gpus.why_not)

    def _look(self) -> _Look:
        found = {job.pid: job for job in find_jobs(self._process)}
        spent = {pid: sum(self._seconds(process) for process in self._tree(pid)) for pid in found}
        return _Look(found, spent, sample(next(iter(found), self._process or 1)))

    def _job_now(self, job: Job, before: _Look, after: _Look, seconds: float) -> JobNow:
        tree = self._tree(job.pid)
        command, memory = "", 0
        with contextlib.suppress(self._psutil.Error):
            command = " ".join(tree[0].cmdline()) if tree else ""
        for process in tree:
            with contextlib.suppress(self._psutil.Error):
                memory += process.memory_info().rss
        grew = after.spent[job.pid] - before.spent.get(job.pid, after.spent[job.pid])
        return JobNow(
            pid=job.pid,
            rank=job.rank,
            command=command,
            silent=max(0.0, time.time() - job.written),
            processes=len(tree),
            cores=max(0.0, grew) / seconds,  # a worker that ended takes its time along
            memory=memory,
            loaders=tuple(between(before.jobs.get(job.pid), job)),
        )

    def _tree(self, pid: int) -> list[Any]:
        with contextlib.suppress(self._psutil.Error):
            process = self._psutil.Process(pid)
            return [process, *process.children(recursive=True)]
        return []

    def _seconds(self, process: Any) -> float:
        with contextlib.suppress(self._psutil.Error):
            times = process.cpu_times()
            return float(times.user + times.system)
        return 0.0


def _runnable() -> int:
    """Threads that run or want to now, but for the one that asks."""
    with contextlib.suppress(OSError, StopIteration), open("/proc/stat") as file:
        line = next(line for line in file if line.startswith("procs_running"))
        return max(0, int(line.split()[1]) - 1)
    return 0
