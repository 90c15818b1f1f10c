"""What ``cache=`` gains: ``python -m benchmarks.ram_cache --photos DIR`` (or ``--data DIR``).

torch's loader with PIL, fastload, and fastload with each cache, every arm in a process of its own, an epoch at a time in turn. They
are timed once the batches of three epochs, of which the later ones come from the caches, were found equal to torch's.

``--slow BYTES`` (a second): the first and later epochs of fastload with and without ``cache="encoded"`` where storage gives so much
and the page cache is emptied before each, beside the page cache; needs root and control groups of version 1.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import command_line, report
from benchmarks.arms import Options
from benchmarks.diagnosis import machinery
from benchmarks.process import Child, check_equal

REFERENCE = "stock_pil"
ARMS = {
    REFERENCE: "torch's loader, PIL",
    "fastload": "fastload",
    "fastload-encoded": 'fastload, cache="encoded"',
    "fastload-decoded": 'fastload, cache="decoded"',
}
SEEDS = (11, 12, 13)
SLOW_COPIES = 2


def start(options: Options, console: Console) -> dict[str, Child]:
    """The arms, each with what it keeps in its cache, and equal to the first."""
    children = {name: Child(name, options) for name in ARMS}
    check_equal(children, REFERENCE, SEEDS)
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


def from_slow_storage(options: Options, bytes_per_s: int, runs: int, console: Console) -> list[dict[str, Any]]:
    """A row for each arm: images/s of its first epoch, and the median of later ones, in turn."""
    arms = {"page cache": "fastload", "slow": "fastload", "slow, cached": "fastload-encoded"}
    children = {arm: Child(name, options) for arm, name in arms.items()}
    epochs: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
    with machinery.disk(options.data, bytes_per_s=bytes_per_s) as groups:
        for arm, child in children.items():
            for group in groups if arm != "page cache" else ():
                group.write_text(str(child.pid))
        for number in range(1 + runs):
            for arm in ("slow", "slow, cached", "page cache"):
                if arm == "page cache":
                    _warm(options.data)
                else:
                    machinery.cool(options.data)
                if arm != "slow" or number < 2:
                    epochs[arm].append(children[arm].ask("epoch"))
        hashes = [children[arm].ask(f"digest {SEEDS[0]}")["hashes"] for arm in ("page cache", "slow, cached")]
        for child in children.values():  # none is in the group when that is to go
            child.close()
    if hashes[0] != hashes[1]:
        raise SystemExit("batches from the cache differ: no speed")
    rows = []
    for arm, found in epochs.items():
        first, *later = [one["images"] / one["seconds"] for one in found]
        cost = statistics.median(1000 * one["cpu_seconds"] / one["images"] for one in found[1:])
        where = f"{bytes_per_s / 1e6:g} MB/s" if arm != "page cache" else arm
        rows.append(
            {
                "arm": f"{ARMS[arms[arm]]}, {where}",
                "first epoch": first,
                "later epochs": statistics.median(later),
                "cpu s/1000": cost,
            }
        )
    report.table(
        console,
        "images/s from slow storage",
        rows,
        ["arm", "first epoch", "later epochs", "cpu s/1000"],
        bar="later epochs",
    )
    return rows


def _warm(folder: Path) -> None:
    """This process reads the files below it, so that they are in the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()


def main() -> int:
    parser = command_line.parser(__doc__, runs=5)
    parser.add_argument("--slow", type=float, metavar="BYTES", help="storage that gives so many bytes a second")
    given = command_line.given_by(parser)
    console = Console(width=180)
    data = command_line.data_of(given, SLOW_COPIES, "photos-slow") if given.slow else command_line.data_of(given)
    if given.slow:
        options = Options(data, given.workload, given.batch_size, given.workers)
        rows = from_slow_storage(options, int(given.slow), given.runs, console)
        report.save("ram_cache_slow", {"bytes_per_s": given.slow, "data": data.name, "rows": rows})
        return 0
    children = start(Options(data, given.workload, given.batch_size, given.workers), console)
    rows = measure(children, given.runs)
    for child in children.values():
        child.close()
    title = command_line.title_of(given)
    report.table(
        console, title, rows, ["arm", "images/s", "min", "max", "x torch", "cpu s/1000", "stages us"], bar="images/s"
    )
    report.save("ram_cache", {**command_line.as_figures(given), "data": data.name, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
