"""``make demo``: torch's loader and fastload side by side on one folder of photos.

Proves first that the batches are equal, bit for bit, then times both in turn. Exit status 1 if any batch differs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.utils.data
import torchvision.transforms as T
from rich.bar import Bar
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torchvision.datasets import ImageFolder

import fastload
from benchmarks.photos import find_or_make

TRANSFORM = T.Compose(
    [
        T.RandomResizedCrop(224),
        T.RandomHorizontalFlip(),
        T.ToTensor(),
        T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)
SEED = 7
LOADERS = {"torch": torch.utils.data.DataLoader, "fastload": fastload.DataLoader}


def same_batches(loaders: dict[str, torch.utils.data.DataLoader]) -> bool:
    """One epoch of each at once, from the same seed."""
    iterators = []
    for loader in loaders.values():
        torch.manual_seed(SEED)
        iterators.append(iter(loader))
    batches = zip(*iterators, strict=True)
    total = len(next(iter(loaders.values())))
    for (images, targets), (other_images, other_targets) in track(batches, "comparing", total, transient=True):
        if not (torch.equal(images, other_images) and torch.equal(targets, other_targets)):
            return False
    return True


def images_per_second(loader: torch.utils.data.DataLoader) -> float:
    """Of one epoch, start-up included."""
    images = 0
    began = time.perf_counter()
    for batch, _ in loader:
        images += len(batch)
    return images / (time.perf_counter() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="an ImageFolder tree of JPEGs; left out: photos found or made")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()

    folder, what = (options.data, "given") if options.data else find_or_make(Path("build"))
    dataset = ImageFolder(folder, TRANSFORM)
    console.print(f"{len(dataset)} photos, {what}; batch {options.batch_size}, {options.workers} workers or threads")
    loaders = {
        name: make(dataset, options.batch_size, shuffle=True, num_workers=options.workers)
        for name, make in LOADERS.items()
    }
    console.print(loaders["fastload"].explain(), style="dim")
    if not same_batches(loaders):
        console.print("[red]the batches differ[/red]")
        return 1
    console.print(f"all {len(loaders['torch'])} batches equal, bit for bit")

    rates: dict[str, list[float]] = {name: [] for name in loaders}
    for _ in track(range(options.runs), "timing in turn", transient=True):
        for name, loader in loaders.items():
            rates[name].append(images_per_second(loader))
    medians = {name: statistics.median(of_runs) for name, of_runs in rates.items()}
    table = Table(box=None)
    for column in ("", "images/s (median)", "min to max", ""):
        table.add_column(column, justify="left" if column == "" else "right")
    top = max(medians.values())
    for name, median in medians.items():
        spread = f"{min(rates[name]):.0f} to {max(rates[name]):.0f}"
        table.add_row(name, f"{median:.0f}", spread, Bar(top, 0, median, width=40))
    console.print(table)
    console.print(f"fastload: {medians['fastload'] / medians['torch']:.2f} times torch's loader")
    return 0


if __name__ == "__main__":
    sys.exit(main())
