"""The benchmark suite: ``python -m benchmarks.run --data DIR``.

Every arm runs in a process of its own, on the same cores, over the same files, one epoch at a time in turn. An arm that claims the
batches of torch's loader is timed only after every batch of an epoch was found equal; of each it is said how far its pictures are
from Pillow's.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import command_line, photos, report
from benchmarks.arms import NAMES, Options
from benchmarks.ceiling import Ceiling
from benchmarks.process import Child

REFERENCE = "stock_pil"
SEED = 11
RECIPES = {
    "train": "RandomResizedCrop(224), flip, ToTensor, Normalize",
    "eval": "Resize(256), CenterCrop(224), ToTensor, Normalize",
}


def start(names: list[str], options: Options, console: Console) -> dict[str, Child]:
    """The arms that run here and give what they claim."""
    children: dict[str, Child] = {}
    expected: list[str] = []
    checked = photos.choose(options.data, options.build / "pictures").resolve()
    for name in sorted(names, key=lambda name: name != REFERENCE):  # the reference first
        child = Child(name, options)
        answer = {} if child.why else child.ask(f"digest {SEED}")
        why = child.why or _why_no_speed(answer, child.ready["claims_equality"], name, expected)
        if not why:
            equal = child.ready["claims_equality"] and name != REFERENCE
            child.pictures = children[REFERENCE].pictures if equal else child.ask(f"pictures {checked}")
            why = child.pictures.get("unavailable", "")
        if why:
            _, seen = NAMES.get(name, ("", ""))
            console.print(f"{name}: {why}" + (f" (last seen to run: {seen})" if seen else ""))
            child.close()
            continue
        if name == REFERENCE:
            expected = answer["hashes"]
        children[name] = child
    return children


def _why_no_speed(answer: dict[str, Any], claims_equality: bool, name: str, expected: list[str]) -> str:
    """Empty if an arm gives what it claims."""
    if "unavailable" in answer:
        return answer["unavailable"]
    if not -3 < answer["mean"] < 3:
        return f"gives no normalised pictures: their mean is {answer['mean']}"
    if not claims_equality or name == REFERENCE:
        return ""
    if not expected:
        return f"no speed without {REFERENCE} to compare with"
    if answer["hashes"] != expected:
        wrong = sum(a != b for a, b in itertools.zip_longest(answer["hashes"], expected))
        return f"claims equality, but {wrong} of {len(expected)} batches differ: no speed"
    return ""


def measure(children: dict[str, Child], runs: int, ceiling: Ceiling | None) -> tuple[list[dict[str, Any]], list[float]]:
    """Epochs in turn; one row of medians an arm, and the ceiling's figures. An arm that ends on the way is taken out."""
    epochs: dict[str, list[dict[str, Any]]] = {name: [] for name in children}
    limits: list[float] = []
    for _ in range(runs):
        for name, child in list(children.items()):
            answer = child.ask("epoch")
            if "unavailable" in answer:
                print(f"{name}: {answer['unavailable']}", file=sys.stderr)
                child.close()
                del children[name]
                continue
            epochs[name].append(answer)
        if ceiling is not None:
            limits.append(ceiling.images_per_second())
    rows = []
    for name, child in children.items():
        rates = [epoch["images"] / epoch["seconds"] for epoch in epochs[name]]
        rows.append(
            {
                "arm": name,
                "label": NAMES.get(name, (name,))[0],
                "off": child.pictures["off"],
                "off at most": child.pictures["most"],
                "images/s": statistics.median(rates),
                "min": min(rates),
                "max": max(rates),
                "first batch s": statistics.median(epoch["first_batch_seconds"] for epoch in epochs[name]),
                "cpu s/1000": statistics.median(
                    1000 * epoch["cpu_seconds"] / epoch["images"] for epoch in epochs[name]
                ),
                "versions": child.ready["versions"],
                "stats": epochs[name][-1].get("stats"),
            }
        )
    return rows, limits


def add_memory(rows: list[dict[str, Any]], options: Options) -> None:
    """Peaks over an epoch, each arm alone on the machine: its libraries' pages are shared with nobody."""
    for row in rows:
        child = Child(row["arm"], options)
        peak = child.peak_memory("epoch")
        child.close()
        row["PSS MB"], row["RSS MB"] = peak["pss"] / 1e6, peak["rss"] / 1e6


def compare(options: Options, arms: list[str], runs: int, console: Console, build: Path) -> None:
    """The main table, with ratios, stages and the share of the ceiling."""
    children = start(arms, options, console)
    ceiling = (
        Ceiling(options.data, options.workers, build)
        if options.workload == "train" and "fastload" in children
        else None
    )
    rows, limits = measure(children, runs, ceiling)
    for child in children.values():
        child.close()
    if not rows:
        return
    add_memory(rows, options)
    ours = next((row["images/s"] for row in rows if row["arm"] == "fastload"), None)
    for row in rows:
        row["fastload is"] = f"{ours / row['images/s']:.2f}x" if ours else ""
    settings = {
        "workload": options.workload,
        "batch_size": options.batch_size,
        "workers": options.workers,
        "runs": runs,
    }
    title = "{workload}: batch {batch_size}, {workers} workers or threads, medians of {runs} epochs in turn".format(
        **settings
    )
    shown = ["images/s", "fastload is", "off", "off at most", "first batch s", "cpu s/1000", "PSS MB", "RSS MB"]
    report.table(console, title, rows, ["arm", *shown[:1], "min", "max", *shown[1:]], bar="images/s")
    report.markdown(report.RESULTS / f"{options.workload}.md", RECIPES[options.workload], rows, shown)
    if ours and limits:
        limit = statistics.median(limits)
        console.print(f"decoding alone: {limit:.0f} images/s; fastload reaches {ours / limit:.3f} of it")
        stages(next(row["stats"] for row in rows if row["arm"] == "fastload"), console)
    settings = {
        "workload": options.workload,
        "batch_size": options.batch_size,
        "workers": options.workers,
        "runs": runs,
    }
    report.save("compare", {**settings, "data": options.data.name, "ceiling": limits, "rows": rows})
    picture = report.RESULTS / f"{options.workload}.png"
    if report.chart(picture, title, rows, "images/s"):
        console.print(f"chart: benchmarks/results/{picture.name}")


def stages(stats: dict[str, Any], console: Console) -> None:
    """Where a sample's time goes."""
    total = sum(stats["stages"].values())
    rows = [
        {"stage": stage, "us/image": 1e6 * seconds / stats["images"], "share %": 100 * seconds / total}
        for stage, seconds in stats["stages"].items()
    ]
    report.table(console, "fastload: thread time by stage", rows, ["stage", "us/image", "share %"], bar="share %")


def sweep(options: Options, runs: int, console: Console) -> None:
    """How throughput grows with threads and with batch size, fastload beside torch's loader."""
    cores = len(os.sched_getaffinity(0))
    settings = [(options.batch_size, workers) for workers in sorted({1, 2, 4, 8, cores}) if workers <= 2 * cores]
    settings += [(size, options.workers) for size in (8, 32, 128, 256)]
    rows = []
    for batch_size, workers in settings:
        one = Options(options.data, options.workload, batch_size, workers)
        children = start([REFERENCE, "fastload"], one, console)
        measured, _ = measure(children, runs, None)
        for child in children.values():
            child.close()
        rate = {row["arm"]: row["images/s"] for row in measured}
        rows.append({"batch": batch_size, "workers": workers, **rate})
        rows[-1]["ratio"] = rate["fastload"] / rate[REFERENCE]
    report.table(console, "sweep", rows, ["batch", "workers", REFERENCE, "fastload", "ratio"], bar="fastload")
    report.save("sweep", {"workload": options.workload, "data": options.data.name, "runs": runs, "rows": rows})


def main() -> int:
    parser = command_line.parser(__doc__, runs=3)
    parser.add_argument("--arms", nargs="+", default=list(NAMES))
    parser.add_argument("--sweep", action="store_true", help="batch sizes and worker counts instead of rivals")
    given = command_line.given_by(parser)
    console = Console(width=180)
    data = command_line.data_of(given)
    options = Options(data, given.workload, given.batch_size, given.workers)
    if given.sweep:
        sweep(options, given.runs, console)
    else:
        compare(options, given.arms, given.runs, console, Path("build"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
