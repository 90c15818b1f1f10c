"""What entry points gain: ``python -m benchmarks.entries --photos DIR`` (or ``--data DIR``).

First what it takes to make them, and how large they are, for several K. Then torch's loader with PIL and fastload, each arm in a
process of its own, an epoch at a time in turn: without entry points; with those of each K; where each epoch is the first, and entry
points are made beside it. They are timed once their batches were found equal to torch's. Last, what becomes of a loader that begins
without any, epoch by epoch. The user's cache folder is left alone: entry points are kept below ``build/``.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import command_line, report
from benchmarks.arms import Options
from benchmarks.process import Child, check_equal

CACHE = Path("build") / "entries-cache"
os.environ["XDG_CACHE_HOME"] = str(CACHE.absolute())

REFERENCE = "stock_pil"
EVERY = (8, 16, 32, 0)
SEEDS = (11, 12)
EPOCHS = 5


def build(data: Path, threads: int, runs: int) -> list[dict[str, Any]]:
    """A row for each K: images a second, of a core's time; those of reading all codes alone, in turn; bytes an image."""
    from torchvision.datasets import ImageFolder

    from fastload import _core
    from fastload.engine import file_dataset_of
    from fastload.entries import make_entries, parts_of, roots_of

    files = file_dataset_of(ImageFolder(data))
    sources = [path for path, _ in files.samples]
    (root,) = roots_of([files])
    rows = []
    for every in EVERY:
        own, alone, wall = [], [], []
        codes_alone = _core.EntryStore([(root.prefix, [], None)], every=every, verifies=False)
        for _ in range(runs):
            shutil.rmtree(root.cache, ignore_errors=True)
            begun, cpu = time.perf_counter(), time.process_time()
            made = make_entries(files, every, threads=threads, copy_to=file_of(every))
            wall.append(len(sources) / (time.perf_counter() - begun))
            own.append(len(sources) / (time.process_time() - cpu))
            cpu = time.process_time()
            codes_alone.make(sources, threads)
            alone.append(len(sources) / (time.process_time() - cpu))
        parts, count = parts_of(file_of(every))
        rows.append(
            {
                "K": every or "row",
                "images/s": statistics.median(wall),
                "images/cpu s": statistics.median(own),
                "codes alone": statistics.median(alone),
                "share": statistics.median(a / b for a, b in zip(own, alone, strict=True)),
                "bytes": parts[-1] / max(count, 1),
                "with slots": file_of(every).stat().st_size / max(count, 1),
                "have none": made.none,
            }
        )
    return rows


def file_of(every: int) -> Path:
    return CACHE.absolute() / f"every-{every}"


def start(options: Options, console: Console) -> dict[str, Child]:
    """The arms, each equal to the first."""
    arms = {REFERENCE: REFERENCE, "off": "fastload-off"}
    arms |= {f"K={every or 'row'}": "fastload-given" for every in EVERY}
    arms |= {"first epoch": "fastload-first"}
    children = {}
    for label, name in arms.items():
        every = label.removeprefix("K=")
        given = str(file_of(0 if every == "row" else int(every))) if name == "fastload-given" else "off"
        os.environ["FASTLOAD_BENCHMARK_ENTRIES"] = given
        children[label] = Child(name, options)
    check_equal(children, REFERENCE, SEEDS)
    console.print(f"equal to torch's loader with PIL: every batch of {len(SEEDS)} epochs")
    return children


def measure(children: dict[str, Child], runs: int) -> list[dict[str, Any]]:
    """Epochs in turn; medians, and ratios of each round's own reference."""
    rounds = [{label: child.ask("epoch") for label, child in children.items()} for _ in range(runs)]
    rows = []
    for label in children:
        epochs = [one[label] for one in rounds]
        stats = epochs[-1].get("stats", {})
        cost = [1000 * epoch["cpu_seconds"] / epoch["images"] for epoch in epochs]
        rows.append(
            {
                "arm": label,
                "images/s": statistics.median(epoch["images"] / epoch["seconds"] for epoch in epochs),
                "x torch": statistics.median(one[REFERENCE]["seconds"] / one[label]["seconds"] for one in rounds),
                "x off": statistics.median(one["off"]["seconds"] / one[label]["seconds"] for one in rounds),
                "cpu s/1000": statistics.median(cost),
                "entries": stats.get("entries"),
                "stages us": " ".join(
                    f"{stage} {1e6 * seconds / epochs[-1]['images']:.0f}"
                    for stage, seconds in stats.get("stages", {}).items()
                    if seconds * 1e6 > epochs[-1]["images"]
                ),
            }
        )
    return rows


def from_none(options: Options) -> list[dict[str, Any]]:
    """A loader that makes its entry points while it trains, and one that has none, epoch by epoch."""
    shutil.rmtree(CACHE / "fastload" / "entries", ignore_errors=True)
    with_none, beside = Child("fastload-off", options), Child("fastload", options)
    rows = []
    for number in range(EPOCHS):
        plain, own = (child.ask("epoch") for child in (with_none, beside))
        rows.append(
            {
                "epoch": number + 1,
                "images/s": own["images"] / own["seconds"],
                "x off": plain["seconds"] / own["seconds"],
                "cpu x off": plain["cpu_seconds"] / own["cpu_seconds"],
                "entries": own["stats"]["entries"],
            }
        )
    for child in (with_none, beside):
        child.close()
    return rows


def main() -> int:
    given = command_line.given_by(command_line.parser(__doc__, runs=5))
    console = Console(width=180)
    data = command_line.data_of(given)
    CACHE.mkdir(parents=True, exist_ok=True)
    built = build(data, given.workers, min(given.runs, 3))
    columns = ["K", "images/s", "images/cpu s", "codes alone", "share", "bytes", "with slots", "have none"]
    report.table(console, f"making entry points, {given.workers} threads", built, columns, bar="images/s")
    options = Options(data, given.workload, given.batch_size, given.workers)
    children = start(options, console)
    rows = measure(children, given.runs)
    for child in children.values():
        child.close()
    columns = ["arm", "images/s", "x torch", "x off", "cpu s/1000", "entries", "stages us"]
    report.table(console, command_line.title_of(given), rows, columns, bar="images/s")
    epochs = from_none(options)
    report.table(
        console, "beginning without any", epochs, ["epoch", "images/s", "x off", "cpu x off", "entries"], bar="images/s"
    )
    figures = {**command_line.as_figures(given), "data": data.name, "making": built, "rows": rows, "epochs": epochs}
    report.save("entries", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
