"""Processes of this user that use our loader now, by the files that they leave; and what happened between two looks at one."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastload.reports import is_private, job_folders, needs, stale_files


@dataclass(frozen=True)
class LoaderNow:
    """One loader, between two looks; times in seconds a batch. None: there was no batch in that time."""

    id: int
    dataset: str
    batch_size: int | None
    mode: str | None
    num_workers: int
    threads: int | None
    epoch: int
    ended: bool
    batches: int  # of this epoch, so far
    expected_batches: int | None
    ready_batches: int
    asked_batches: int
    errors: int
    images_per_second: float | None
    wait: float | None  # T_io: for the batch
    compute: float | None  # T_comp: everything between two waits
    stages: dict[str, float] = field(default_factory=dict)  # shares of the threads' time


@dataclass(frozen=True)
class Job:
    """What one process says of itself."""

    pid: int
    rank: int | None
    written: float  # time.time() of its last words
    loaders: tuple[dict[str, Any], ...]


def find_jobs(within: int | None = None) -> list[Job]:
    """The jobs of this user, or those of one process and all below it. Files of processes that are no more are swept away."""
    folders = job_folders(os.geteuid())
    folders += [Path(f"/run/user/{os.geteuid()}/fastload"), Path(f"/tmp/fastload-{os.geteuid()}")]
    owner, among = os.geteuid(), None
    if within is not None:
        owner, among = os.stat(f"/proc/{within}").st_uid, _tree(within)
        folders = [*job_folders(owner, _environment(within)), *folders]
    jobs = {}
    for folder in dict.fromkeys(folders):
        for job in _jobs_in(folder, owner):
            if among is None or job.pid in among:
                jobs[job.pid] = job
    return sorted(jobs.values(), key=lambda job: (job.rank or 0, job.pid))


def _jobs_in(folder: Path, owner: int) -> list[Job]:
    found: list[Job] = []
    with contextlib.suppress(OSError):
        if not is_private(folder, owner):
            return []
        stale = set(stale_files(folder))
        for path in stale:
            path.unlink(missing_ok=True)
        for path in sorted({*folder.glob("*.json")} - stale):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                if is_private(path, owner):
                    found.append(_parsed(json.loads(path.read_text())))
    return found


def _parsed(job: dict[str, Any]) -> Job:
    rank = job["rank"]
    return Job(int(job["pid"]), int(rank) if rank is not None else None, float(job["written"]), tuple(job["loaders"]))


def _tree(process: int) -> set[int]:
    psutil = needs("psutil", "profile", "fastload monitor")
    with contextlib.suppress(psutil.Error):
        return {process, *(child.pid for child in psutil.Process(process).children(recursive=True))}
    return {process}


def _environment(process: int) -> dict[str, str]:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{process}/environ").read_bytes().decode(errors="replace").split("\0")
        return dict(line.split("=", 1) for line in lines if "=" in line)
    return {}


def between(before: Job | None, after: Job) -> list[LoaderNow]:
    """What each loader did; of an epoch that began in between, or where there was no look before, since the epoch began."""
    earlier = {loader["id"]: loader for loader in before.loaders} if before is not None else {}
    return [_loader_now(earlier.get(loader["id"]), loader) for loader in after.loaders]


def _loader_now(before: dict[str, Any] | None, after: dict[str, Any]) -> LoaderNow:
    same = before is not None and before["epoch"] == after["epoch"] and before["batches"] <= after["batches"]
    zero = {"batches": 0, "images": 0, "seconds": 0.0, "wait_seconds": 0.0, "stages": {}}
    start: dict[str, Any] = before if same and before is not None else zero
    batches, images, seconds, waited = (
        after[name] - start[name] for name in ("batches", "images", "seconds", "wait_seconds")
    )
    stages = {name: spent - start["stages"].get(name, 0.0) for name, spent in after["stages"].items()}
    whole = sum(stages.values())
    return LoaderNow(
        **{
            name: after[name]
            for name in (
                *("id", "dataset", "batch_size", "mode", "num_workers", "threads", "epoch", "ended", "batches"),
                *("expected_batches", "ready_batches", "asked_batches", "errors"),
            )
        },
        images_per_second=images / seconds if batches and seconds > 0 else None,
        wait=waited / batches if batches else None,
        compute=max(0.0, seconds - waited) / batches if batches else None,
        stages={name: spent / whole for name, spent in stages.items()} if whole > 0 else {},
    )
