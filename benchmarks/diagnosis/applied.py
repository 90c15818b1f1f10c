"""``python -m benchmarks.diagnosis.applied``: each scenario's first prediction, applied, and what came of it.

A prediction is images a second of the whole run, the start of its epochs included; so is what is measured. Remedies that nobody can
apply to a job from outside (another data format, more cores) are passed over for the next one, and named. With ``--out DIR`` the
profiles that ``python -m benchmarks.diagnosis --out DIR`` left there count; ``--seconds`` as there. Exit status 1 if fewer than
twelve predictions are within 15 %, 2 if rows are still to be run.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.diagnosis.files import scenario_files
from benchmarks.diagnosis.runs import Runs
from benchmarks.diagnosis.scenarios import Scenario, rows_of

_ENOUGH, _CLOSE = 12, 0.15
_APPLIED = "applied"


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Where the scenarios' files are, or are to be written.")
@click.option("--only", default="", help="Only scenarios whose names contain this.")
@click.option("--part", default="0/1", show_default=True, help="The i-th of n parts of the rows, for several machines.")
@click.option("--experiments", default=20.0, show_default=True, help="Seconds for each profile's experiments.")
@click.option("--out", type=click.Path(path_type=Path), help="A folder for each profile; those that are there count.")
@click.option("--seconds", default=1e9, help="No profile begins that would not end in so many.  [default: no limit]")
@click.option("--table", is_flag=True, help="Run nothing, print what --out has.")
def main(
    data: Path | None, only: str, part: str, experiments: float, out: Path | None, seconds: float, table: bool
) -> None:
    """Print what was predicted and what was measured, scenario by scenario."""
    errors, left = [], 0
    with contextlib.ExitStack() as stack:
        root = None if table else stack.enter_context(scenario_files(data))
        runs = Runs(out or Path(stack.enter_context(tempfile.TemporaryDirectory())), root, experiments, seconds)
        for scenario, loader in rows_of(only, part):
            told = _row(runs, scenario, loader)
            if told is None:
                left += 1
                continue
            print(f"{scenario.name} ({loader}): {told[0]}", flush=True)
            errors += told[1:]
    close = sum(abs(error) <= _CLOSE for error in errors)
    if errors:
        middle = statistics.median(abs(error) for error in errors)
        print(
            f"\n{close} of {len(errors)} within {_CLOSE:.0%}, half of them within {middle:.1%}; {left} rows to be run"
        )
    sys.exit(2 if left else close < _ENOUGH)


def _row(runs: Runs, scenario: Scenario, loader: str) -> tuple[Any, ...] | None:
    """What is to be said, and the prediction's error where there is one; None: it is still to be run."""
    report = runs.report(scenario, loader)
    if report is None:
        return None
    if "missing" in report:
        return (f"left out: {report['missing']}",)
    before, kind = report["loaders"][0]["images_per_second"], report["verdict"]["kind"]
    passed: list[str] = []
    for prediction in report["predictions"]:
        way = way_of(prediction, loader)
        if way is not None:
            break
        passed.append(prediction["remedy"])
    else:
        return (f"{before:.1f} images/s, {kind}: no remedy to apply{_passed_over(passed)}",)
    after = runs.known(scenario, loader, _APPLIED)
    if after is None:
        if runs.is_over:
            return None
        after = runs.profile(scenario, way[0], 0.0, way[1])
        runs.keep(scenario, loader, _APPLIED, after)
    if "missing" in after:
        return (f"{prediction['remedy']}: left out: {after['missing']}",)
    measured = after["loaders"][0]["images_per_second"]
    error = prediction["images_per_second"] / measured - 1
    told = (
        f"{before:.1f} images/s, {kind}; {prediction['remedy']}: {prediction['images_per_second']:.1f} predicted, "
        f"{measured:.1f} measured, {error:+.1%}{_passed_over(passed)}"
    )
    return told, error


def _passed_over(remedies: list[str]) -> str:
    return f"  (passed over: {', '.join(remedies)})" if remedies else ""


def way_of(prediction: dict[str, Any], loader: str) -> tuple[str, dict[str, Any]] | None:
    """Which loader, and what of the job is changed; None: nobody can from outside."""
    name, _, number = prediction["remedy"].partition("=")
    if name in ("num_workers", "threads", "prefetch_factor"):
        return loader, {"options": {"num_workers" if name == "threads" else name: int(number)}}
    if name == "native_threads":
        return "ours", {"options": {"num_workers": int(prediction["line"].rpartition("=")[2])}}
    if name == "persistent_workers":
        return loader, {"options": {"persistent_workers": True}}
    if name == "without_function":
        return loader, {"free": True}
    if name == "without_slow_samples":
        return loader, {"even": True}
    if name == "faster_storage":
        return loader, {"undisturbed": True}
    return None


if __name__ == "__main__":
    main()
