"""Changes of colour and blurs beside torchvision's: ``python -m benchmarks.colours --photos DIR``.

First the CPU time of each transform for one photo of 224 x 224 pixels, on one thread: that of an epoch with it, less that of an
epoch without. Then images a second of a recipe as SimCLR's, in torch's loader and in fastload's with as many
workers. Both in turn, medians, once all batches of an epoch were found equal.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import PIL.ImageFilter
import torch
import torch.utils.data
import torchvision.transforms as T
import torchvision.transforms.v2 as v2
from rich.console import Console
from rich.table import Table
from torchvision.datasets import ImageFolder

import fastload
from benchmarks import command_line

SIDE = 224


class PillowBlur:
    """As MoCo and DINO have it."""

    def __call__(self, image: PIL.Image.Image) -> PIL.Image.Image:
        return image.filter(PIL.ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


TRANSFORMS = {
    "ColorJitter(0.4, 0.4, 0.4, 0.1)": T.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "ColorJitter(0.4, 0.4, 0.4)": T.ColorJitter(0.4, 0.4, 0.4),
    "RandomInvert": T.RandomInvert(1),
    "RandomPosterize": T.RandomPosterize(4, 1),
    "RandomSolarize": T.RandomSolarize(128, 1),
    "RandomAutocontrast": T.RandomAutocontrast(1),
    "RandomEqualize": T.RandomEqualize(1),
    "RandomAdjustSharpness": T.RandomAdjustSharpness(2, 1),
    "RandomPhotometricDistort": v2.RandomPhotometricDistort(),
    "GaussianBlur(9)": T.GaussianBlur(9),
    "GaussianBlur(23)": T.GaussianBlur(23),
    "v2.GaussianBlur(9)": v2.GaussianBlur(9),
    "MoCo's GaussianBlur": PillowBlur(),
}
SIMCLR = T.Compose(
    [
        T.RandomResizedCrop(SIDE),
        T.RandomHorizontalFlip(),
        T.RandomApply([T.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
        T.RandomGrayscale(0.2),
        T.RandomApply([T.GaussianBlur(23)]),
        T.ToTensor(),
    ]
)
Loaders = dict[str, torch.utils.data.DataLoader[Any]]


def loaders(root: Path, transform: Callable[[Any], Any], **options: Any) -> Loaders:
    made: Loaders = {}
    for name, kind in (("torch", torch.utils.data.DataLoader), ("fastload", fastload.DataLoader)):
        made[name] = kind(ImageFolder(str(root), transform), batch_size=32, **options)
    return made


def seed() -> None:
    torch.manual_seed(0)
    random.seed(0)


def epoch(loader: torch.utils.data.DataLoader[Any], clock: Callable[[], float]) -> float:
    seed()
    start = clock()
    for _ in loader:
        pass
    return clock() - start


def require_equal(both: Loaders) -> None:
    seed()
    ours = [images for images, _ in both["fastload"]]
    seed()
    for mine, (theirs, _) in zip(ours, both["torch"], strict=True):
        if not torch.equal(mine, theirs):
            raise SystemExit("the batches differ: nothing is measured")


def medians(both: Loaders, rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Seconds of an epoch."""
    times: dict[str, list[float]] = {name: [] for name in both}
    for _ in range(rounds):
        for name, loader in both.items():
            times[name].append(epoch(loader, clock))
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def cropped(root: Path, folder: Path) -> int:
    """The photos as JPEGs of one size; how many they are."""
    (folder / "class").mkdir()
    crop = T.Compose([T.Resize(SIDE), T.CenterCrop(SIDE)])
    samples = ImageFolder(str(root)).samples[:256]
    for number, (path, _) in enumerate(samples):
        with PIL.Image.open(path) as image:
            crop(image.convert("RGB")).save(folder / "class" / f"{number}.jpg", quality=90)
    return len(samples)


def main() -> None:
    parser = command_line.photos_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="transforms whose name has this in it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    root = command_line.tree_of(options)
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        count = cropped(root, Path(folder))
        console.print(alone(Path(folder), count, options.rounds, options.only))
    both = loaders(root, SIMCLR, num_workers=options.workers, persistent_workers=options.workers > 0)
    require_equal(both)
    images = len(both["torch"].dataset)  # type: ignore[arg-type]
    speeds = {name: images / seconds for name, seconds in medians(both, options.rounds, time.perf_counter).items()}
    console.print(
        f"SimCLR, {options.workers} workers: torch {speeds['torch']:.0f} img/s, "
        f"fastload {speeds['fastload']:.0f} img/s, {speeds['fastload'] / speeds['torch']:.2f} times"
    )


def alone(
    folder: Path, count: int, rounds: int, only: str, transforms: dict[str, Callable[[Any], Any]] = TRANSFORMS
) -> Table:
    table = Table("transform", "torchvision, us", "fastload, us", "times", title="CPU time of one thread for a photo")
    size, ending = T.Resize((SIDE, SIDE)), T.PILToTensor()  # which they have: it is said for native threads
    without = medians(loaders(folder, T.Compose([size, ending])), rounds, time.process_time)
    for name, transform in transforms.items():
        if only not in name:
            continue
        both = loaders(folder, T.Compose([size, transform, ending]))
        require_equal(both)
        with_it = medians(both, rounds, time.process_time)
        cost = {arm: (with_it[arm] - without[arm]) / count * 1e6 for arm in both}
        table.add_row(name, *(f"{cost[arm]:.0f}" for arm in both), f"{cost['torch'] / cost['fastload']:.1f}")
    return table


if __name__ == "__main__":
    main()
