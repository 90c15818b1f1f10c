"""``python -m benchmarks.diagnosis.applied``: each scenario's first prediction, applied, and what came of it.

A prediction is images a second of the whole run, the start of its epochs included; so is what is measured. Remedies that nobody can
apply to a job from outside (another data format, more cores) are passed over for the next one. Exit status 1 if fewer than twelve
predictions are within 15 %.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.diagnosis.__main__ import profile
from benchmarks.diagnosis.files import scenario_files
from benchmarks.diagnosis.scenarios import SCENARIOS

_ENOUGH, _CLOSE = 12, 0.15


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Where the scenarios' files are, or are to be written.")
@click.option("--only", default="", help="Only scenarios whose names contain this.")
@click.option("--experiments", default=20.0, show_default=True, help="Seconds for each profile's experiments.")
@click.option(
    "--part", default="0/1", show_default=True, help="The i-th of n parts of the scenarios, for several machines."
)
def main(data: Path | None, only: str, experiments: float, part: str) -> None:
    """Print what was predicted and what was measured, scenario by scenario."""
    which, parts = (int(number) for number in part.split("/"))
    errors = []
    with scenario_files(data) as root, tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        jobs = [(each, kind) for each in SCENARIOS for kind in (("torch", "ours") if each.ours else ("torch",))]
        for scenario, kind in jobs[which::parts]:
            if only not in scenario.name:
                continue
            report = profile(scenario, kind, root, experiments, out)
            if "missing" in report:
                print(f"{scenario.name} ({kind}): left out: {report['missing']}", flush=True)
                continue
            before = report["loaders"][0]["images_per_second"]
            chosen = next(
                ((each, way) for each in report["predictions"] if (way := _way(each, kind)) is not None), None
            )
            if chosen is None:
                print(
                    f"{scenario.name} ({kind}): {before:.1f} images/s, {report['verdict']['kind']}: no remedy to apply",
                    flush=True,
                )
                continue
            prediction, (loader, remedy) = chosen
            after = profile(scenario, loader, root, 0.0, out, remedy)
            if "missing" in after:
                print(f"{scenario.name} ({kind}): {prediction['remedy']}: left out: {after['missing']}", flush=True)
                continue
            measured = after["loaders"][0]["images_per_second"]
            errors.append(prediction["images_per_second"] / measured - 1)
            print(
                f"{scenario.name} ({kind}): {before:.1f} images/s; {prediction['remedy']}: {prediction['images_per_second']:.1f} "
                f"predicted, {measured:.1f} measured, {errors[-1]:+.0%}",
                flush=True,
            )
    close = sum(abs(error) <= _CLOSE for error in errors)
    print(f"\n{close} of {len(errors)} within {_CLOSE:.0%}")
    sys.exit(close < _ENOUGH)


def _way(prediction: dict[str, Any], loader: str) -> tuple[str, dict[str, Any]] | None:
    """Which loader, and what of the job is changed."""
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
