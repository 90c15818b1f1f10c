"""The recipes that people train with: ``python -m benchmarks.recipes --photos DIR [NAMES]``.

Images a second of whole loaders on the same recipe: torch's with its workers, and fastload's with as many workers or threads. One
epoch at a time in turn, medians, once all batches of an epoch were found equal. ``wanted`` is what the project asks of itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageFilter
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from rich.console import Console
from rich.table import Table
from torch.utils.data import default_collate
from torchvision.datasets import ImageFolder

import fastload
from benchmarks import photos

SIDE = 224
CLASSES = 1000
MOMENTS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
Transform = Callable[[Any], Any]


@dataclass
class Recipe:
    """``transform`` of one view or ``views`` of several; ``wanted``: times torch's speed."""

    wanted: float
    transform: Transform | None = None
    views: tuple[Transform, ...] = ()
    collate_fn: Callable[[Any], Any] | None = None


class SeveralViews(torch.utils.data.Dataset):
    """As people write it; fastload's views need but another function to open with and ``fastload.Views``."""

    def __init__(self, paths: list[str], open_image: Callable[[str], Any], transform: Transform) -> None:
        self.paths, self.open_image, self.transform = paths, open_image, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.open_image(self.paths[index]).convert("RGB")), index % CLASSES


class Each:
    """Each transform of the same image."""

    def __init__(self, transforms: Iterable[Transform]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> list[Any]:
        return [transform(image) for transform in self.transforms]


class PillowBlur:
    """DINO's: Pillow's blur with a radius of Python's random."""

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, image: PIL.Image.Image) -> PIL.Image.Image:
        if random.random() > self.p:
            return image
        return image.filter(PIL.ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


def torchvisions(*policy: Transform, erase: float = 0.0) -> Transform:
    """The steps of torchvision's references/classification/presets.py."""
    steps = [v1.RandomResizedCrop(SIDE), v1.RandomHorizontalFlip(), *policy]
    steps += [v1.PILToTensor(), v1.ConvertImageDtype(torch.float), v1.Normalize(**MOMENTS)]
    return v1.Compose([*steps, *([v1.RandomErasing(p=erase)] if erase else [])])


def simclr() -> Transform:
    jitter = v1.ColorJitter(0.8, 0.8, 0.8, 0.2)
    blur = v1.RandomApply([v1.GaussianBlur(kernel_size=23, sigma=(0.1, 2.0))], p=0.5)
    steps = [v1.RandomResizedCrop(SIDE), v1.RandomHorizontalFlip(), v1.RandomApply([jitter], p=0.8)]
    return v1.Compose([*steps, v1.RandomGrayscale(0.2), blur, v1.ToTensor(), v1.Normalize(**MOMENTS)])


def dino() -> tuple[Transform, ...]:
    """Two large and eight small views, as main_dino.py's."""
    jitter = v1.RandomApply([v1.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8)
    begin = [v1.RandomHorizontalFlip(), jitter, v1.RandomGrayscale(0.2)]
    end = [v1.ToTensor(), v1.Normalize(**MOMENTS)]

    def view(side: int, scale: tuple[float, float], *between: Transform) -> Transform:
        crop = v1.RandomResizedCrop(side, scale=scale, interpolation=v1.InterpolationMode.BICUBIC)
        return v1.Compose([crop, *begin, *between, *end])

    small = view(96, (0.05, 0.4), PillowBlur(0.5))
    large = view(SIDE, (0.4, 1.0), PillowBlur(1.0))
    other = view(SIDE, (0.4, 1.0), PillowBlur(0.1), v1.RandomSolarize(128, p=0.2))
    return (large, other, *[small] * 8)


def timms() -> Transform:
    from timm.data import create_transform

    return create_transform(SIDE, is_training=True, auto_augment="rand-m9-mstd0.5-inc1", re_prob=0.25, re_mode="pixel")


MIXED = v2.RandomChoice([v2.MixUp(alpha=0.2, num_classes=CLASSES), v2.CutMix(alpha=1.0, num_classes=CLASSES)])


def mixup_cutmix(samples: Any) -> Any:
    return MIXED(*default_collate(samples))


RECIPES: dict[str, Callable[[], Recipe]] = {
    "ta_wide+erasing": lambda: Recipe(4.0, torchvisions(v1.TrivialAugmentWide(), erase=0.1)),
    "randaugment": lambda: Recipe(3.5, torchvisions(v1.RandAugment())),
    "autoaugment": lambda: Recipe(3.5, torchvisions(v1.AutoAugment())),
    "augmix": lambda: Recipe(3.0, torchvisions(v1.AugMix())),
    "simclr": lambda: Recipe(3.5, views=(simclr(), simclr())),
    "timm": lambda: Recipe(3.5, timms()),
    "dino": lambda: Recipe(6.0, views=dino()),
    "mixup+cutmix": lambda: Recipe(3.5, torchvisions(v1.TrivialAugmentWide(), erase=0.1), collate_fn=mixup_cutmix),
}


def loaders(recipe: Recipe, root: Path, workers: int, batch_size: int) -> dict[str, Any]:
    """One that makes the loader anew for each arm: data sets, and what else fastload's arm may have."""
    options: dict[str, Any] = {"batch_size": batch_size, "shuffle": True, "num_workers": workers, "drop_last": True}
    options["persistent_workers"] = workers > 0
    if recipe.collate_fn is not None:
        options["collate_fn"] = recipe.collate_fn
    listed = ImageFolder(str(root), recipe.transform)
    if recipe.transform is not None:
        return {
            "torch": torch.utils.data.DataLoader(listed, **options),
            "fastload": fastload.DataLoader(ImageFolder(str(root), recipe.transform), **options),
        }
    paths = [path for path, _ in listed.samples]
    plain = SeveralViews(paths, PIL.Image.open, Each(recipe.views))
    lazy = SeveralViews(paths, fastload.open, fastload.Views(recipe.views))
    return {
        "torch": torch.utils.data.DataLoader(plain, **options),
        "fastload": fastload.DataLoader(lazy, **options),
    }


def begin(loader: Any, seed: int) -> Iterator[Any]:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    return iter(loader)


def tensors_of(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    else:
        for part in value:
            yield from tensors_of(part)


def digests(loader: Any) -> list[str]:
    """Of each batch of an epoch."""
    made = []
    for batch in begin(loader, 0):
        digest = hashlib.sha256()
        for tensor in tensors_of(batch):
            digest.update(tensor.contiguous().view(torch.uint8).numpy())
        made.append(digest.hexdigest())
    return made


def speed(loader: Any, seed: int) -> float:
    """Images a second from the first batch on, which the start of workers is before."""
    iterator = begin(loader, seed)
    next(iterator)
    began, images = time.perf_counter(), 0
    for batch in iterator:
        images += len(batch[1])
    return images / (time.perf_counter() - began)


def measure(name: str, recipe: Recipe, root: Path, given: argparse.Namespace) -> dict[str, Any]:
    arms = loaders(recipe, root, given.workers, given.batch_size)
    way = arms["fastload"].explain().partition("\n")[0]
    ours, theirs = digests(arms["fastload"]), digests(arms["torch"])
    differing = sum(mine != other for mine, other in zip(ours, theirs, strict=True))
    row: dict[str, Any] = {
        "recipe": name,
        "way": way,
        "batches": len(ours),
        "differing": differing,
        "wanted": recipe.wanted,
    }
    if differing:  # no speed for other batches
        return row
    speeds: dict[str, list[float]] = {arm: [] for arm in arms}
    for turn in range(given.rounds):
        for arm, loader in arms.items():
            speeds[arm].append(speed(loader, turn))
    medians = {arm: statistics.median(found) for arm, found in speeds.items()}
    times = statistics.median(mine / other for mine, other in zip(speeds["fastload"], speeds["torch"], strict=True))
    return {**row, **medians, "times": times, "rounds": speeds}


def table_of(rows: list[dict[str, Any]]) -> Table:
    table = Table("recipe", "torch, images/s", "fastload", "times", "wanted", "fastload's way")
    for row in rows:
        found = [f"{row[arm]:.0f}" for arm in ("torch", "fastload")] if "times" in row else ["", "DIFFERS"]
        times = f"{row['times']:.2f}" if "times" in row else ""
        table.add_row(row["recipe"], *found, times, f"{row['wanted']:.1f}", row["way"])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECIPES)}; all where none is given")
    parser.add_argument("--photos", type=Path, help="a flat folder of JPEGs")
    parser.add_argument("--copies", type=int, default=4, help="of each photo in an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in RECIPES]:
        parser.error(f"no recipe {unknown[0]}")
    console = Console(width=160)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if given.photos is not None:
            root = photos.copy(given.photos, Path(folder), given.copies)
        else:
            root = photos.find_or_make(Path("build"))[0]
        for name in given.names or RECIPES:
            try:
                recipe = RECIPES[name]()
            except ImportError as error:
                console.print(f"{name}: {error}")
                continue
            rows.append(measure(name, recipe, root, given))
            console.print(json.dumps({key: value for key, value in rows[-1].items() if key != "rounds"}))
    console.print(table_of(rows))
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
