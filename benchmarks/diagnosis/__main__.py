"""``python -m benchmarks.diagnosis``: sets each bottleneck up, profiles a job that meets it, and prints the confusion matrix.

Needs root and control groups for the throttled scenarios, fusepy and libfuse2 for the distant ones; what cannot
be set up is said and left out. With ``--out DIR --seconds 420`` it runs for so long and goes on where it was when it is started
again. Exit status 1 if a verdict is wrong, 2 if rows are still to be run.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click

from benchmarks.diagnosis.files import scenario_files
from benchmarks.diagnosis.runs import Runs
from benchmarks.diagnosis.scenarios import Scenario, rows_of


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Where the scenarios' files are, or are to be written.")
@click.option("--only", default="", help="Only scenarios whose names contain this.")
@click.option("--part", default="0/1", show_default=True, help="The i-th of n parts of the rows, for several machines.")
@click.option("--experiments", default=20.0, show_default=True, help="Seconds for each profile's experiments.")
@click.option("--out", type=click.Path(path_type=Path), help="A folder for each profile; those that are there count.")
@click.option("--seconds", default=1e9, help="No profile begins that would not end in so many.  [default: no limit]")
@click.option("--table", is_flag=True, help="Run nothing, print the table of --out.")
def main(
    data: Path | None, only: str, part: str, experiments: float, out: Path | None, seconds: float, table: bool
) -> None:
    """Print the confusion matrix of fastload profile."""
    rows = rows_of(only, part)
    found, left = [], []
    with contextlib.ExitStack() as stack:
        root = None if table else stack.enter_context(scenario_files(data))
        runs = Runs(out or Path(stack.enter_context(tempfile.TemporaryDirectory())), root, experiments, seconds)
        for scenario, loader in rows:
            report = runs.report(scenario, loader)
            if report is None:
                left.append(f"{scenario.name} ({loader})")
                continue
            found.append((scenario, loader, report))
            _say(scenario, loader, report)
    _matrix(found)
    if left:
        print(f"{len(left)} still to be run: {', '.join(left)}")
    wrong = any(not is_right(scenario, report) for scenario, _, report in found if "verdict" in report)
    sys.exit(1 if wrong else 2 if left else 0)


def is_right(scenario: Scenario, report: dict[str, Any]) -> bool:
    """Whether the verdict names what was set up."""
    verdict = report["verdict"]
    return verdict["kind"] == scenario.kind and scenario.what in (verdict["what"] or "")


def _say(scenario: Scenario, loader: str, report: dict[str, Any]) -> None:
    if "missing" in report:
        print(f"     {scenario.name} ({loader}): left out: {report['missing']}", flush=True)
        return
    verdict = report["verdict"]
    right = is_right(scenario, report)
    wanted = "" if right else f", not {scenario.kind} {scenario.what}"
    print(
        f"{'ok  ' if right else 'BAD '} {scenario.name} ({loader}, {report['run_seconds']:.0f} s): {verdict['kind']}{wanted}: "
        f"{verdict['sentence']}",
        flush=True,
    )


def _matrix(found: list[tuple[Scenario, str, dict[str, Any]]]) -> None:
    """Rows: what was set up. Columns: what was said."""
    made = [(scenario, report) for scenario, _, report in found if "verdict" in report]
    counts = Counter((scenario.kind, report["verdict"]["kind"]) for scenario, report in made)
    said = sorted({column for _, column in counts})
    print("\nset up \\ said".ljust(22), *(column[:18].ljust(18) for column in said))
    for row in sorted({row for row, _ in counts}):
        print(row.ljust(20), *(str(counts[row, column] or ".").ljust(18) for column in said))
    right = sum(is_right(scenario, report) for scenario, report in made)
    print(f"\n{right} of {len(made)} right, {len(found) - len(made)} left out")


if __name__ == "__main__":
    main()
