"""One page of the terminal: the jobs, the machine under them, and what is wanted by more than there is."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fastload.diagnosis.doctor_check import in_bytes, in_time
from fastload.diagnosis.job_watch import JobNow, Snapshot
from fastload.diagnosis.running_jobs import LoaderNow

_BAR = 20
# A job that has taken no batch in this time is said to be silent, not slow.
_SILENT = 5.0


def page(snapshot: Snapshot) -> RenderableType:
    """A renderable of rich."""
    parts: list[RenderableType] = [_jobs(snapshot), *_stages(snapshot), _machine(snapshot)]
    for warning in snapshot.warnings:
        parts.append(Text(f"! {warning}", style="bold red"))
    clock = time.strftime("%H:%M:%S", time.localtime(snapshot.at))
    return Panel(Group(*parts), title="fastload monitor", subtitle=f"{clock}, over {snapshot.machine.seconds:.1f} s")


def _jobs(snapshot: Snapshot) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("process", "loader", "epoch", "batch", "images/s", "wait", "compute", "waiting", "queue", "errors"):
        table.add_column(name, justify="left" if name in ("process", "loader", "waiting") else "right")
    for job in snapshot.jobs:
        rank = f" rank {job.rank}" if job.rank is not None else ""
        for number, loader in enumerate(job.loaders):
            process = f"{job.pid}{rank}" if number == 0 else ""
            table.add_row(process, *map(escape, _loader(job, loader)))
    return table


def _loader(job: JobNow, loader: LoaderNow) -> Iterator[str]:
    who = f"{loader.threads} threads" if loader.mode == "native" else f"{loader.num_workers} workers"
    yield f"{loader.dataset} x {loader.batch_size}, {loader.mode}, {who}"
    yield str(loader.epoch)
    yield f"{loader.batches}" + (f"/{loader.expected_batches}" if loader.expected_batches is not None else "")
    if loader.ended:
        state = "epoch is over"
    elif job.silent > _SILENT:
        state = f"no batch for {in_time(job.silent)}"
    else:
        state = ""
    if loader.wait is None or loader.compute is None:
        yield from ("", "", "", state)
    else:
        share = loader.wait / max(1e-9, loader.wait + loader.compute)
        yield f"{loader.images_per_second or 0:,.0f}"
        yield in_time(loader.wait)
        yield in_time(loader.compute)
        yield state or f"{_bar(share)} {share:.0%}"
    yield f"{loader.ready_batches}/{loader.asked_batches}"
    yield str(loader.errors)


def _stages(snapshot: Snapshot) -> Iterator[Text]:
    """Of the threads' time, for each loader that has threads."""
    for job in snapshot.jobs:
        for loader in job.loaders:
            largest = sorted(loader.stages.items(), key=lambda item: -item[1])
            said = ", ".join(f"{name} {share:.0%}" for name, share in largest if share >= 0.005)
            if said:
                yield Text(f"stages of {job.pid} {loader.dataset}: {said}", style="dim")


def _machine(snapshot: Snapshot) -> Table:
    now = snapshot.machine
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    cores = now.cores if len(now.cores) <= 8 else ()
    busy = sum(now.cores)
    jobs = sum(job.cores for job in snapshot.jobs)
    table.add_row(
        "cores",
        f"{busy:.1f} of {len(now.cores)} busy, {jobs:.1f} by these jobs ({now.usable_cores:g} usable), "
        f"{now.runnable:.1f} threads want one" + "".join(f"  {share:.0%}" for share in cores),
    )
    resident = sum(job.memory for job in snapshot.jobs)
    table.add_row(
        "memory",
        f"{in_bytes(now.memory_available)} of {in_bytes(now.memory_total)} available, {in_bytes(resident)} resident in these jobs, "
        f"{now.swapped_pages:,.0f} pages/s swapped, {now.faults:,.0f} faults/s from disk",
    )
    disk = f", {now.busiest_disk[0]} {_bar(now.busiest_disk[1])} {now.busiest_disk[1]:.0%}" if now.busiest_disk else ""
    table.add_row("disk", f"{in_bytes(now.read_bytes)}/s read{disk}")
    if now.pressure:
        table.add_row("pressure", ", ".join(f"{name} {share:.0%}" for name, share in now.pressure.items()))
    table.add_row("/dev/shm", f"{in_bytes(now.shm_free)} of {in_bytes(now.shm_size)} free")
    if now.throttled is not None:
        table.add_row("quota", f"used up in {now.throttled:.0%} of the periods")
    for number, gpu in enumerate(snapshot.gpus):
        link = f", {in_bytes(gpu.received)}/s received" if gpu.received is not None else ""
        table.add_row(
            f"GPU {number}",
            f"{_bar(gpu.busy)} {gpu.busy:.0%}, {in_bytes(gpu.memory_used)} of {in_bytes(gpu.memory_total)}{link}  "
            + escape(gpu.name),
        )
    if snapshot.gpus_unread:
        table.add_row("GPUs", escape(f"not readable: {snapshot.gpus_unread}"))
    return table


def _bar(share: float) -> str:
    full = round(max(0.0, min(1.0, share)) * _BAR)
    return "█" * full + "░" * (_BAR - full)
