"""timm's training recipes beside torch's loader: ``python -m benchmarks.timm_recipes --photos DIR``; needs timm.

Images a second through ``timm.data.create_loader`` as its train.py calls it, on the CPU, with torch's loader and after
``fastload.install()``, with as many workers. Both in turn, medians, once all batches of an epoch were found equal.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.utils.data
from rich.console import Console

import fastload
from benchmarks import command_line

SIDE = 224
RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "rand-m9-mstd0.5-inc1": {"auto_augment": "rand-m9-mstd0.5-inc1"},
    "original": {"auto_augment": "original"},
    "evaluation": {"is_training": False, "interpolation": "bicubic"},
}


@contextmanager
def as_fastload(yes: bool) -> Iterator[None]:
    if yes:
        fastload.install()
    try:
        yield
    finally:
        if yes:
            fastload.uninstall()


def loader_of(root: Path, workers: int, options: dict[str, Any], fast: bool) -> Any:
    from timm.data import create_dataset, create_loader

    options = {"is_training": True, "interpolation": "random", "num_workers": workers, **options}
    with as_fastload(fast):
        prefetcher = create_loader(
            create_dataset("", str(root)), (3, SIDE, SIDE), 64, device=torch.device("cpu"), **options
        )
    return prefetcher.loader


def epoch(loader: Any) -> tuple[float, list[torch.Tensor]]:
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    start = time.perf_counter()
    sums = [images.sum(dtype=torch.int64) for images, _ in loader]
    return time.perf_counter() - start, sums


def main() -> None:
    parser = command_line.photos_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="recipes whose name has this in it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    root = command_line.tree_of(options)
    console = Console(width=110)
    for name, recipe in RECIPES.items():
        if options.only not in name:
            continue
        both = {arm: loader_of(root, options.workers, recipe, arm == "fastload") for arm in ("torch", "fastload")}
        if not torch.equal(*(torch.stack(epoch(loader)[1]) for loader in both.values())):
            raise SystemExit("the batches differ: nothing is measured")
        times: dict[str, list[float]] = {arm: [] for arm in both}
        for _ in range(options.rounds):
            for arm, loader in both.items():
                times[arm].append(epoch(loader)[0])
        count = len(both["torch"].dataset)
        speeds = {arm: count / statistics.median(seconds) for arm, seconds in times.items()}
        console.print(
            f"{name}, {options.workers} workers: torch {speeds['torch']:.0f} img/s, fastload {speeds['fastload']:.0f} img/s, "
            f"{speeds['fastload'] / speeds['torch']:.2f} times; {both['fastload'].explain().splitlines()[0]}"
        )


if __name__ == "__main__":
    main()
