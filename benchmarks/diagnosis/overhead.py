"""``python -m benchmarks.diagnosis.overhead``: what ``fastload profile`` costs, in seconds of a step, with and without it in turn.

Exit status 1 if a job whose loader keeps up, or one whose loader does not, is slower by more than 2 %.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import click

from benchmarks.diagnosis.files import scenario_files
from benchmarks.diagnosis.runs import JOB

_JOBS = (("photos", "torch"), ("photos", "ours"), ("balanced", "torch"), ("slow_items", "torch"))
_MOST = 0.02


@click.command()
@click.option("--rounds", default=7, show_default=True, help="Runs of each kind, in turn.")
def main(rounds: int) -> None:
    """Print the seconds of a step without and with the profile, and the ratio of their medians."""
    worst = 0.0
    with scenario_files(None) as root:
        for job, loader in _JOBS:
            seconds: dict[bool, list[float]] = {False: [], True: []}
            for turn in range(2 * rounds):
                profiled = turn % 2 == 1
                seconds[profiled].append(_step_seconds(job, loader, root, profiled=profiled))
            plain, with_profile = (statistics.median(seconds[kind]) for kind in (False, True))
            more = with_profile / plain - 1
            worst = max(worst, more)
            print(
                f"{job} ({loader}): {plain * 1e3:.2f} ms a step, {with_profile * 1e3:.2f} ms profiled, {more:+.1%}",
                flush=True,
            )
    sys.exit(worst > _MOST)


def _step_seconds(job: str, loader: str, root: Path, *, profiled: bool) -> float:
    times = root / "seconds"
    times.unlink(missing_ok=True)
    watched = ["-m", "fastload", "profile", "--experiments", "0"] if profiled else []
    subprocess.run(
        [sys.executable, *watched, str(JOB), job, loader, str(root / "photos")],
        env={**os.environ, "JOB_TIMES": str(times)},
        check=True,
        capture_output=True,
    )
    return float(times.read_text())


if __name__ == "__main__":
    main()
