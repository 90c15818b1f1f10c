"""torch's loader and fastload side by side on somebody's own photos: whether they give the same, and how fast each is."""

from __future__ import annotations

import math
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.utils.data
import torchvision.transforms as T
from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS, default_loader

import fastload

SCHEMA = 1
_SEED = 7
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RECIPES: dict[str, Callable[[], Any]] = {
    "train": lambda: T.Compose(
        [T.RandomResizedCrop(224), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(_MEAN, _STD)]
    ),
    "eval": lambda: T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor(), T.Normalize(_MEAN, _STD)]),
}


class PlainImages(Dataset[Any]):
    """Images of one folder as a plain script has them: opened by Pillow, one at a time."""

    def __init__(self, paths: list[str], transform: Any) -> None:
        self.paths = paths
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self.transform(default_loader(self.paths[index]))


def data_sets(folder: str, recipe: str, most: int, least: int = 1) -> tuple[Dataset[Any], Dataset[Any], str]:
    """The same images as torch's loader and as fastload's gets them, and what they are: class folders, or one folder of images.

    Args:
        most: of a larger data set, so many images are drawn, always the same ones.
        least: a smaller data set is taken several times over, until it has so many.

    Raises:
        ValueError: there are no images.
    """
    transform = RECIPES[recipe]()
    with os.scandir(folder) as entries:
        names = sorted((entry.name, entry.is_dir()) for entry in entries)
    flat = [os.path.join(folder, name) for name, is_folder in names if not is_folder and _is_image(name)]
    has_classes = any(is_folder for _, is_folder in names) and not flat
    plain: Any
    ours: Any
    if has_classes:
        plain = ours = ImageFolder(folder, transform)
        what = _count(len(plain.classes), "class", "classes")
    elif flat:
        plain, ours = PlainImages(flat, transform), fastload.ImageFiles(flat, transform=transform)
        what = "one folder of images"
    else:
        raise ValueError(f"{folder} has neither images ({', '.join(IMG_EXTENSIONS)}) nor class folders of them")
    if len(plain) > most:
        chosen = sorted(random.Random(_SEED).sample(range(len(plain)), most))
        plain, ours = Subset(plain, chosen), Subset(ours, chosen)
    elif len(plain) < least:
        times = math.ceil(least / len(plain))
        what += f", {_count(len(plain), 'image', 'images')} taken {times} times"
        plain, ours = ConcatDataset([plain] * times), ConcatDataset([ours] * times)
    return plain, ours, what


def _count(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMG_EXTENSIONS)


@dataclass(frozen=True)
class Comparison:
    """Images a second of each run, in turn."""

    images: int
    what: str
    batch_size: int
    workers: int
    explain: str
    batches: int  # compared
    first_difference: int | None  # number of the first batch that differs; then nothing was timed
    rates: dict[str, list[float]]

    @property
    def medians(self) -> dict[str, float]:
        return {name: statistics.median(rates) for name, rates in self.rates.items() if rates}

    @property
    def times_as_fast(self) -> float | None:
        medians = self.medians
        return medians["fastload"] / medians["torch"] if len(medians) == 2 else None

    def as_dict(self) -> dict[str, Any]:
        """``{"schema": 1, "images", "what", "batch_size", "workers", "explain", "equal", "batches", "images_per_second": {"torch":
        [one a run], "fastload": […]}, "medians": {…}, "times_as_fast"}``."""
        return {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in ("images", "what", "batch_size", "workers", "explain", "batches")},
            "equal": self.first_difference is None,
            "first_difference": self.first_difference,
            "images_per_second": self.rates,
            "medians": self.medians,
            "times_as_fast": self.times_as_fast,
        }


class SideBySide:
    """Both loaders over the same images, with torch's best settings for both: workers stay from epoch to epoch."""

    def __init__(self, folder: str, *, recipe: str, most: int, batch_size: int, workers: int, least: int = 1) -> None:
        plain, ours, self._what = data_sets(folder, recipe, most, least)
        settings: dict[str, Any] = {"shuffle": True, "num_workers": workers, "persistent_workers": workers > 0}
        self._loaders: dict[str, Any] = {
            "torch": torch.utils.data.DataLoader(plain, batch_size, **settings),
            "fastload": fastload.DataLoader(ours, batch_size, **settings),
        }
        self._images, self._batch_size, self._workers = len(plain), batch_size, workers  # type: ignore[arg-type]

    def steps(self, runs: int) -> int:
        """How many times :meth:`compare` calls ``progress``."""
        return len(self._loaders["torch"]) * (1 + 2 * runs)

    def compare(self, runs: int, progress: Callable[[], None] = lambda: None) -> Comparison:
        """One epoch of both at once, every batch compared; then ``runs`` epochs of each in turn, if all were equal.

        That first epoch also brings the files into the page cache, and starts the workers, so none of the timed ones does.
        """
        difference, batches = self._first_difference(progress)
        rates: dict[str, list[float]] = {name: [] for name in self._loaders}
        for _ in range(runs if difference is None else 0):
            for name, loader in self._loaders.items():
                rates[name].append(self._rate(loader, progress))
        explain = self._loaders["fastload"].explain()
        sizes = (self._batch_size, self._workers)
        return Comparison(self._images, self._what, *sizes, explain, batches, difference, rates)

    def _first_difference(self, progress: Callable[[], None]) -> tuple[int | None, int]:
        # fastload's first: of a file that neither can read, its error has the name
        sides = [_OwnRandomNumbers(self._loaders[name]) for name in ("fastload", "torch")]
        count = 0
        while (batches := [side.next() for side in sides]) != [_END, _END]:
            if not _equal(*batches):
                return count, count
            count += 1
            progress()
        return None, count

    def _rate(self, loader: Any, progress: Callable[[], None]) -> float:
        torch.manual_seed(_SEED)
        began = time.perf_counter()
        for _ in loader:
            progress()
        return self._images / (time.perf_counter() - began)


_END = object()


class _OwnRandomNumbers:
    """An epoch from the seed; without workers both loaders would draw from one generator."""

    def __init__(self, loader: Any) -> None:
        torch.manual_seed(_SEED)
        self._iterator = iter(loader)
        self._state = torch.get_rng_state()

    def next(self) -> Any:
        torch.set_rng_state(self._state)
        batch = next(self._iterator, _END)
        self._state = torch.get_rng_state()
        return batch


def _equal(one: Any, other: Any) -> bool:
    """Tensors or lists of them, bit for bit; an end equals an end alone."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return False
