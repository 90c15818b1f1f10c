"""``python -m benchmarks.diagnosis.on_gpu --photos DIR``: trainings on a GPU under ``fastload profile``, with torch.profiler and
NVML beside it, and the difference of their shares in points; then the first remedy that can be applied, and what came of it.

ResNet-50 that the GPU bounds (torch's loader, and ours with ``device="cuda"``), ResNet-18 that starves, and ResNet-18 whose batches
come from pageable memory. Exit status 1 if a share is off by more than 3 points, or a verdict is wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.diagnosis.applied import way_of

JOB = Path(__file__).with_name("gpu_job.py")
_POINTS = 3.0
_COPIES = 40  # of each photo: an epoch is longer than a measurement
_LATE_S = 150.0
# name -> (the verdicts that are right, whether there is a remedy to be tried)
_JOBS = {
    "resnet18_copies": (("pageable_copies",), True),
    "resnet18": (("decode", "too_few_workers"), True),
    "resnet50": (("compute", "balanced"), False),
    "resnet50_ours": (("compute", "balanced"), False),
}


@click.command()
@click.option("--photos", required=True, type=click.Path(exists=True, path_type=Path), help="JPEGs.")
@click.option("--experiments", default=10.0, show_default=True, help="Seconds for each profile's experiments.")
@click.option("--seconds", default=12.0, show_default=True, help="Of each training.")
@click.option("--only", default="", help="Only jobs whose names contain this.")
@click.option("--out", type=click.Path(path_type=Path), help="A folder for each profile's JSON.")
def main(photos: Path, experiments: float, seconds: float, only: str, out: Path | None) -> None:
    """Print what each of the three says."""
    worst, wrong = 0.0, []
    with tempfile.TemporaryDirectory() as store:
        folder = out or Path(store)
        folder.mkdir(parents=True, exist_ok=True)
        data = _copies(photos, Path(store) / "photos")
        for name, (kinds, has_remedy) in _JOBS.items():
            if only not in name:
                continue
            began = time.monotonic()
            try:
                report, beside = _run(name, data, seconds, experiments if has_remedy else 0.0, folder)
            except RuntimeError as error:
                print(f"{name}: {error}", flush=True)
                wrong.append(name)
                continue
            kind = report["verdict"]["kind"]
            off = _compare(name, report, beside)
            worst = max(worst, off)
            if kind not in kinds:
                wrong.append(name)
            if has_remedy:
                _apply(name, report, data, seconds, folder)
            print(f"  {time.monotonic() - began:.0f} s\n", flush=True)
    print(f"off by {worst:.1f} points at most; wrong: {', '.join(wrong) or 'none'}")
    sys.exit(bool(wrong) or worst > _POINTS)


def _copies(photos: Path, folder: Path) -> Path:
    """Links to each photo, many times, in two classes."""
    for kind in "ab":
        (folder / kind).mkdir(parents=True)
    for number, photo in enumerate(sorted(path for path in photos.rglob("*.*") if path.is_file())):
        for copy in range(_COPIES):
            (folder / "ab"[number % 2] / f"{copy:03}_{photo.stem}.jpg").symlink_to(photo.resolve())
    return folder


def _run(
    name: str, data: Path, seconds: float, experiments: float, out: Path, way: tuple[str, dict[str, Any]] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The profile's report, and what the job says itself."""
    label = name + ("-applied" if way else "")
    paths = out / f"{label}.json", out / f"{label}-beside.json"
    profile = ["-m", "fastload", "profile", "--experiments", str(experiments), "--json", str(paths[0])]
    environment = {**os.environ, "JOB_SHARES": str(paths[1])}
    if way is not None:
        environment |= {"JOB_LOADER": way[0], "JOB_OPTIONS": json.dumps(way[1].get("options", {}))}
    command = [sys.executable, *profile, str(JOB), name, str(data), str(seconds)]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_LATE_S + experiments, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError("it was not over in time") from None
    if ended.returncode != 0 or not all(path.exists() for path in paths):
        raise RuntimeError(f"it ended with {ended.returncode}: {ended.stderr[-800:]}")
    (out / f"{label}.txt").write_text(ended.stderr)
    report, beside = (json.loads(path.read_text()) for path in paths)
    return report, beside


def _compare(name: str, report: dict[str, Any], beside: dict[str, Any]) -> float:
    """Prints the shares, and gives the largest difference."""
    shares = report["shares"]
    mine = {share: shares[share] for share in ("compute", "copy", "launch")}
    mine["waiting"] = 100 - sum(mine.values()) - shares["other_ranks"]
    print(f"{name}: {report['verdict']['kind']}: {report['verdict']['sentence']}")
    print(f"  {beside['images_per_second']:.0f} images/s in {beside['seconds']:.1f} s")
    print(f"  {'':10}{'profile':>10}{'torch.profiler':>16}{'points':>8}{'NVML':>8}{'points':>8}")
    for share, percent in mine.items():
        print(f"  {share:10}{percent:10.1f}{beside[share]:16.1f}{percent - beside[share]:+8.1f}", end="")
        has_nvml = share == "compute" and beside["nvml"] is not None
        print(f"{beside['nvml']:8.1f}{percent - beside['nvml']:+8.1f}" if has_nvml else "")
    differences = [abs(percent - beside[share]) for share, percent in mine.items()]
    return max([*differences, abs(mine["compute"] - (beside["nvml"] or mine["compute"]))])


def _apply(name: str, report: dict[str, Any], data: Path, seconds: float, out: Path) -> None:
    """The first remedy that a script can be given from outside, and what it brings."""
    now = report["loaders"][0]["images_per_second"]
    for prediction in report["predictions"]:
        own = ("torch", {"options": {"pin_memory": True}}) if prediction["remedy"] == "pin_memory" else None
        way = own or way_of(prediction, "ours" if "ours" in name else "torch")
        if way is None or not set(way[1]) <= {"options"}:
            continue
        try:
            after, _ = _run(name, data, seconds, 0.0, out, way)
        except RuntimeError as error:
            print(f"  {prediction['remedy']}: {error}")
            return
        expected, measured = prediction["images_per_second"], after["loaders"][0]["images_per_second"]
        print(
            f"  {now:.0f} images/s; {prediction['remedy']}: {expected:.0f} predicted, {measured:.0f} measured, "
            f"{expected / measured - 1:+.1%}"
        )
        return
    print(f"  {now:.0f} images/s; no remedy to apply")


if __name__ == "__main__":
    main()
