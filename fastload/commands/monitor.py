"""``fastload monitor``: a running job on one page, as it goes."""

from __future__ import annotations

import contextlib
import json
import os

import click


@click.command(epilog="Example: fastload monitor; fastload monitor 4711 --once --json")
@click.argument("pid", type=click.IntRange(1), required=False)
@click.option("--once", is_flag=True, help="Print one page and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one look as JSON and end.")
@click.option(
    "--interval", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between two looks."
)
def monitor(pid: int | None, once: bool, as_json: bool, interval: float) -> None:
    """Show the jobs of this user that use fastload's loader, or the one of process PID and all below it.

    For each loader how long a step waits for its batch and how long it computes, images a second, the queue and the stages; under
    it the cores, memory, swap, disk, pressure and GPUs, and a red line where one of them is wanted by more than there is. Ends with
    Ctrl-C, or with the last job.

    Exit status: 0, or 1 where no job runs.
    """
    if pid is not None and not os.path.exists(f"/proc/{pid}"):
        raise click.ClickException(f"there is no process {pid}")
    from fastload.reports import needs

    try:
        for library in ("psutil", "rich"):
            needs(library, "profile", "fastload monitor")
    except ImportError as error:
        raise click.ClickException(str(error)) from None
    from rich.console import Console
    from rich.live import Live

    from fastload.diagnosis import Gpus, JobWatch, page

    with Gpus() as gpus, contextlib.suppress(KeyboardInterrupt):
        watch = JobWatch(pid, gpus)
        if not watch.has_jobs:
            raise click.ClickException(
                "no running job with fastload's loader was found"
                + (
                    f" in process {pid} or below it"
                    if pid is not None
                    else "; they are seen once they have taken batches"
                )
            )
        if as_json:
            click.echo(json.dumps(watch.after(interval).as_dict(), indent=2))
            return
        console = Console()
        if once:
            console = Console(width=max(console.width, 132)) if not console.is_terminal else console
            console.print(page(watch.after(interval)))
            return
        with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
            while watch.has_jobs:
                live.update(page(watch.after(interval)), refresh=True)
        click.echo("the job has ended")
