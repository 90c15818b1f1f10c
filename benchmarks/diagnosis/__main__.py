"""``python -m benchmarks.diagnosis``: sets each bottleneck up, profiles a job that meets it, and prints the confusion matrix.

Needs root and control groups of version 1 for the throttled scenarios, fusepy and libfuse2 for the distant ones; what cannot
be set up is said and left out. Exit status 1 if a verdict is wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from benchmarks.diagnosis.files import scenario_files
from benchmarks.diagnosis.machinery import Unavailable, enter
from benchmarks.diagnosis.scenarios import SCENARIOS, Scenario

JOB = Path(__file__).with_name("job.py")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Where the scenarios' files are, or are to be written.")
@click.option("--only", default="", help="Only scenarios whose names contain this.")
@click.option("--experiments", default=12.0, show_default=True, help="Seconds for each profile's experiments.")
@click.option("--out", type=click.Path(path_type=Path), help="A folder for each profile's JSON.")
def main(data: Path | None, only: str, experiments: float, out: Path | None) -> None:
    """Print the confusion matrix of fastload profile."""
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(scenario_files(data))
        out = out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        out.mkdir(exist_ok=True, parents=True)
        results = []
        for scenario in SCENARIOS:
            for loader in ("torch", "ours") if scenario.ours else ("torch",):
                if only in scenario.name:
                    results.append((scenario, loader, _verdict(scenario, loader, root, experiments, out)))
                    _say(*results[-1])
    _matrix(results)
    sys.exit(any(not _is_right(scenario, verdict) for scenario, _, verdict in results if "kind" in verdict))


def _verdict(scenario: Scenario, loader: str, root: Path, experiments: float, out: Path) -> dict[str, Any]:
    """What the profile says; ``missing``: why there is none."""
    began = time.monotonic()
    report = profile(scenario, loader, root, experiments, out)
    return report if "missing" in report else {**report["verdict"], "seconds": time.monotonic() - began}


def profile(
    scenario: Scenario,
    loader: str,
    root: Path,
    experiments: float,
    out: Path,
    remedy: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The profile's JSON; or ``missing``: why there is none. ``remedy``: see ``job.py``; ``undisturbed``: nothing is done to the
    machine."""
    remedy = dict(remedy or {})
    undisturbed = remedy.pop("undisturbed", False)
    even = bool(remedy.get("even") and scenario.data == "one_large")
    folder = root / ("photos" if even else scenario.data or "small")
    path = out / f"{scenario.name.replace(' ', '_').replace(',', '')}-{loader}.json"
    path.unlink(missing_ok=True)
    try:
        around = None if undisturbed else scenario.around
        with (
            around(folder) if around else contextlib.nullcontext(([], folder)) as (groups, place),
            tempfile.TemporaryDirectory() as store,
        ):
            if scenario.job == "slow_rank":  # where its ranks find each other
                place = Path(store)
            command = [
                sys.executable,
                "-m",
                "fastload",
                "profile",
                "--experiments",
                str(experiments),
                "--json",
                str(path),
            ]
            ended = subprocess.run(
                [*command, str(JOB), scenario.job, loader, str(place)],
                preexec_fn=lambda: enter(groups),
                env={**os.environ, "JOB_REMEDY": json.dumps(remedy)},
                capture_output=True,
                text=True,
                check=False,
            )
            if ended.returncode != 0 or not path.exists():
                return {"missing": f"the job ended with {ended.returncode}: {ended.stderr[-300:]}"}
            report: dict[str, Any] = json.loads(path.read_text())
            return report
    except Unavailable as error:
        return {"missing": str(error)}


def _is_right(scenario: Scenario, verdict: dict[str, Any]) -> bool:
    return verdict["kind"] == scenario.kind and scenario.what in (verdict["what"] or "")


def _say(scenario: Scenario, loader: str, verdict: dict[str, Any]) -> None:
    if "missing" in verdict:
        print(f"     {scenario.name} ({loader}): left out: {verdict['missing']}", flush=True)
        return
    mark = "ok  " if _is_right(scenario, verdict) else "BAD "
    wanted = "" if mark == "ok  " else f", not {scenario.kind} {scenario.what}"
    print(
        f"{mark} {scenario.name} ({loader}, {verdict['seconds']:.0f} s): {verdict['kind']}{wanted}: {verdict['sentence']}",
        flush=True,
    )


def _matrix(results: list[tuple[Scenario, str, dict[str, Any]]]) -> None:
    """Rows: what was set up. Columns: what was said."""
    counts = Counter((scenario.kind, verdict["kind"]) for scenario, _, verdict in results if "kind" in verdict)
    said = sorted({column for _, column in counts})
    print("\nset up \\ said".ljust(22), *(column[:18].ljust(18) for column in said))
    for row in sorted({row for row, _ in counts}):
        print(row.ljust(20), *(str(counts[row, column] or ".").ljust(18) for column in said))
    right = sum(_is_right(scenario, verdict) for scenario, _, verdict in results if "kind" in verdict)
    print(f"\n{right} of {sum(counts.values())} right, {sum('missing' in verdict for *_, verdict in results)} left out")


if __name__ == "__main__":
    main()
