"""What ``cache=`` gains: ``python -m benchmarks.ram_cache --photos DIR`` (or ``--data DIR``).

torch's loader with PIL, fastload, and fastload with each cache, every arm in a process of its own, an epoch at a time in turn. They
are timed once the batches of three epochs, of which the later ones come from the caches, were found equal to torch's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import photos, report
from benchmarks.arms import Options
from benchmarks.process import Child

REFERENCE = "stock_pil"
ARMS = {
    REFERENCE: "torch's loader, PIL",
    "fastload": "fastload",
    "fastload-encoded": 'fastload, cache="encoded"',
    "fastload-decoded": 'fastload, cache="decoded"',
}
SEEDS = (11, 12, 13)
COPIES = 8


def start(options: Options, console: Console) -> dict[str, Child]:
    """The arms, each with what it keeps in its cache, and equal to the first."""
    children = {name: Child(name, options) for name in ARMS}
    for seed in SEEDS:
        hashes = {name: child.ask(f"digest {seed}").get("hashes") for name, child in children.items()}
        for name, own in hashes.items():
            if own is None or own != hashes[REFERENCE]:
                raise SystemExit(
                    f"{name} does not give torch's batches: no speed ({children[name].why or 'they differ'})"
                )
    console.print(f"equal to {ARMS[REFERENCE]}: every batch of {len(SEEDS)} epochs")
    return children


def measure(children: dict[str, Child], runs: int) -> list[dict[str, Any]]:
    """Epochs in turn; a row of medians for each arm, ratios of each round's own reference."""
    rounds = [{name: child.ask("epoch") for name, child in children.items()} for _ in range(runs)]
    rows = []
    for name, label in ARMS.items():
        epochs = [one[name] for one in rounds]
        rates = [epoch["images"] / epoch["seconds"] for epoch in epochs]
        ratios = [one[REFERENCE]["seconds"] / one[name]["seconds"] for one in rounds]
        cost = statistics.median(1000 * epoch["cpu_seconds"] / epoch["images"] for epoch in epochs)
        rows.append(
            {
                "arm": label,
                "images/s": statistics.median(rates),
                "min": min(rates),
                "max": max(rates),
                "x torch": statistics.median(ratios),
                "cpu s/1000": cost,
                "stages us": " ".join(
                    f"{stage} {1e6 * seconds / epochs[-1]['images']:.0f}"
                    for stage, seconds in epochs[-1].get("stats", {}).get("stages", {}).items()
                    if seconds * 1e6 > epochs[-1]["images"]
                ),
                "cache": (epochs[-1].get("stats") or {}).get("cache"),
            }
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=Path, help="an ImageFolder tree of JPEGs")
    where.add_argument("--photos", type=Path, help="a flat folder of JPEGs, of which eight copies are made each")
    parser.add_argument("--workload", choices=["train", "eval"], default="train")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5, help="timed epochs of each arm")
    given = parser.parse_args()
    source = given.data or given.photos
    if not source.is_dir():
        parser.error(f"no folder {source}")
    console = Console(width=180)
    data = given.data or photos.copy(source, Path("build") / "photos-copied", COPIES)
    children = start(Options(data, given.workload, given.batch_size, given.workers), console)
    rows = measure(children, given.runs)
    for child in children.values():
        child.close()
    title = (
        f"{given.workload}: batch {given.batch_size}, {given.workers} workers or threads, {given.runs} epochs in turn"
    )
    report.table(
        console, title, rows, ["arm", "images/s", "min", "max", "x torch", "cpu s/1000", "stages us"], bar="images/s"
    )
    settings = {
        "workload": given.workload,
        "batch_size": given.batch_size,
        "workers": given.workers,
        "runs": given.runs,
    }
    report.save("ram_cache", {**settings, "data": data.name, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
