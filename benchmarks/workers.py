"""What memory that is used again gains in torch's workers: ``python -m benchmarks.workers --data DIR`` (or ``--photos DIR``).

torch's loader and fastload's in turn, both with worker processes that stay, on forms of user code that keep a loader on them. They
are timed once every batch of an epoch was found equal. CPU is user and system time of the workers and of the main process, which
tells something on a machine that others use, too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import PIL.Image
import torch
import torch.utils.data
import torchvision.transforms as T
from rich.console import Console
from rich.table import Table
from torch.utils.data import Dataset, default_collate
from torchvision.datasets import ImageFolder

import fastload
from benchmarks import command_line

_TICKS = os.sysconf("SC_CLK_TCK")
_NORMALIZE = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


class Halved:
    """A cheap step in Python, that does more than its value says."""

    seen = 0

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        return image.mul_(0.5)


class Listed(Dataset[Any]):
    """Files and targets from a list, opened by the user's own code."""

    def __init__(self, root: str, transform: Callable[[Any], Any]) -> None:
        self.samples = ImageFolder(root).samples
        self.transform = transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, target = self.samples[index]
        with PIL.Image.open(path) as image:
            return self.transform(image.convert("RGB")), target


def starts(worker: int) -> None:
    """A worker_init_fn with effects on the data set and on torch's generator."""
    info = torch.utils.data.get_worker_info()
    assert info is not None
    info.dataset.opened_by = worker  # type: ignore[attr-defined]
    torch.manual_seed(torch.initial_seed() + 1)


def ends_in_default(items: list[Any]) -> Any:
    """A collate_fn that ends in torch's."""
    return default_collate([item for item in items if item is not None])


@dataclass
class Form:
    """Of user code."""

    says: str
    tail: tuple[Any, ...] = ()
    dataset: Callable[[str, Any], Any] = ImageFolder
    options: dict[str, Any] = field(default_factory=dict)


FORMS = {
    "init": Form("a worker_init_fn with effects", options={"worker_init_fn": starts}),
    "collate": Form("a collate_fn that ends in the default one", options={"collate_fn": ends_in_default}),
    "tail": Form("a cheap step in Python at the end", tail=(Halved(),)),
    "own": Form("a data set with its own __getitem__ (not native)", dataset=Listed),
}
WORKLOADS = {
    "train": [T.RandomResizedCrop(224), T.RandomHorizontalFlip(), T.ToTensor(), _NORMALIZE],
    "eval": [T.Resize(256), T.CenterCrop(224), T.ToTensor(), _NORMALIZE],
}


class Arm:
    """One loader."""

    def __init__(self, kind: Any, form: Form, root: str, workload: str, batch_size: int, workers: int) -> None:
        transform = T.Compose([*WORKLOADS[workload], *form.tail])
        self.loader = kind(
            form.dataset(root, transform),
            batch_size,
            shuffle=workload == "train",
            num_workers=workers,
            persistent_workers=True,
            **form.options,
        )

    def batches(self, seed: int) -> Any:
        """Of an epoch, with workers that have drawn nothing yet."""
        self.loader._iterator = None
        torch.manual_seed(seed)
        return iter(self.loader)

    def epoch(self) -> dict[str, float]:
        """Images a second; milliseconds of CPU an image."""
        iterator = iter(self.loader)
        pids = [worker.pid for worker in iterator._workers]
        before, began, images = [_cpu(pids), _cpu([os.getpid()])], time.perf_counter(), 0
        for batch, _ in iterator:
            images += len(batch)
            batch[0, 0, 0, 0].item()
        seconds = time.perf_counter() - began
        after = [_cpu(pids), _cpu([os.getpid()])]
        cost = [1000 * (b - a) / images for a, b in zip(before, after, strict=True)]
        return {"images/s": images / seconds, "workers": cost[0], "main": cost[1], "cpu": sum(cost)}


def _cpu(pids: list[int]) -> float:
    """User and system seconds so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / _TICKS


def measure(form: Form, root: str, args: argparse.Namespace) -> dict[str, Any]:
    """Equality, then epochs in turn."""
    kinds = {"torch": torch.utils.data.DataLoader, "fastload": fastload.DataLoader}
    arms = {name: Arm(kind, form, root, args.workload, args.batch_size, args.workers) for name, kind in kinds.items()}
    count = 0
    for mine, theirs in zip(arms["fastload"].batches(7), arms["torch"].batches(7), strict=True):
        if not all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True)):
            raise SystemExit(f"{form.says}: batch {count} is not torch's: no speed")
        count += 1
    rounds = [{name: arm.epoch() for name, arm in arms.items()} for _ in range(args.rounds)]
    stats = arms["fastload"].loader.stats()
    for arm in arms.values():
        arm.loader._iterator = None

    def median(name: str, figure: str) -> float:
        return statistics.median(one[name][figure] for one in rounds)

    return {
        "form": form.says,
        "batches": count,
        "mode": stats["mode"],
        "shared_blocks": stats["shared_blocks"],
        **{f"{name} {figure}": median(name, figure) for name in arms for figure in rounds[0]["torch"]},
        "x": statistics.median(one["fastload"]["images/s"] / one["torch"]["images/s"] for one in rounds),
        "x cpu": statistics.median(one["torch"]["cpu"] / one["fastload"]["cpu"] for one in rounds),
    }


def main() -> int:
    parser = command_line.photos_parser(__doc__)
    parser.add_argument("--workload", choices=list(WORKLOADS), default="train")
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    root = command_line.tree_of(args)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=fastload.FastloadWarning)
    table = Table("form", "torch", "fastload", "x", "cpu ms/image", "x cpu", "main", "blocks new/again")
    console = Console(width=160)
    for name in args.forms:
        row = measure(FORMS[name], str(root), args)
        blocks = row["shared_blocks"]
        table.add_row(
            row["form"],
            f"{row['torch images/s']:.0f}",
            f"{row['fastload images/s']:.0f}",
            f"{row['x']:.2f}",
            f"{row['torch cpu']:.2f} / {row['fastload cpu']:.2f}",
            f"{row['x cpu']:.2f}",
            f"{row['torch main']:.3f} / {row['fastload main']:.3f}",
            f"{blocks['made']} / {blocks['used_again']}",
        )
        console.print(f"{row['form']}: {row['batches']} batches equal to torch's; {row['mode']}; x {row['x']:.2f}")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
