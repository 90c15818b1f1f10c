"""``fastload profile``: a training script as it is, and then where its time went and what to change."""

from __future__ import annotations

import os
import sys

import click

from fastload.commands.run import interpreter_options, refuse_without_startup, what_to_run
from fastload.processes import with_startup


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: fastload profile --html where.html train.py --epochs 1. On several GPUs: torchrun --nproc-per-node 4 -m "
    "fastload profile train.py",
)
@click.option("-m", "--module", is_flag=True, help="SCRIPT is the name of a module, as for python -m.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), help="Measure for so long from the first batch; SCRIPT goes on."
)
@click.option("--steps", type=click.IntRange(min=1), help="Measure so many steps; SCRIPT goes on.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False), help="Also write the report as JSON.")
@click.option("--html", "html_path", type=click.Path(dir_okay=False), help="Also write it as one page of HTML.")
@click.option(
    "--experiments",
    "experiment_seconds",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds for experiments with the data set; 0 for none.",
)
@click.argument("script")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def profile(
    module: bool,
    seconds: float | None,
    steps: int | None,
    json_path: str | None,
    html_path: str | None,
    experiment_seconds: float,
    script: str,
    args: tuple[str, ...],
) -> None:
    """Run SCRIPT with ARGS as python would, and report to stderr where its time went, and what to change.

    The loader is the script's own, torch's or fastload's. Without --seconds and --steps it is measured for 60 seconds from
    the first batch, or to its end. After that the script stands still while the experiments are made, and goes on unmeasured.
    The exit status is the script's.
    """
    refuse_without_startup()
    from fastload.diagnosis import end_as, supervise

    if seconds is None and steps is None:
        seconds = 60.0
    environment = {**os.environ, "PYTHONPATH": with_startup(os.environ.get("PYTHONPATH"))}
    command = [sys.executable, *interpreter_options(), *what_to_run(module, script), *args]
    status = supervise(
        command,
        environment,
        seconds=seconds,
        steps=steps,
        experiment_seconds=experiment_seconds,
        json_path=json_path,
        html_path=html_path,
    )
    end_as(status)
