"""What the tests of the DataLoader contract share: the two loaders, the data sets, and torch's rules worked out by hand.

Every test runs twice with the same assertion, on torch's loader and on fastload's; most of them on a plain data set and on a
folder of JPEGs, whose batches fastload makes natively. In both, sample i is ``(tensor, i)`` and costs random numbers.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
from torch.utils.data import Dataset, IterableDataset, default_collate
from torchvision.datasets import ImageFolder

import fastload
from images import write_folder

LOADERS = [pytest.param(torch.utils.data.DataLoader, id="stock"), pytest.param(fastload.DataLoader, id="fastload")]
# For what takes seconds: processes that are started and that end, time limits. Torch's loader has its turn in `make test-all`.
OURS_IN_SHORT = [pytest.param(*LOADERS[0].values, id="stock", marks=pytest.mark.slow), LOADERS[1]]
IN_ORDER = {"in_order": True} if "in_order" in inspect.signature(torch.utils.data.DataLoader).parameters else {}
# Warnings that torch 2.4, the oldest, does not give.
warns_as_today = pytest.mark.skipif(not IN_ORDER, reason="torch's warning came after torch 2.4")
needs_in_order = pytest.mark.skipif(not IN_ORDER, reason="in_order came after torch 2.4")
DATA_SETS = ["plain", "images"]
SIZE = 12

AUGMENT = v1.Compose([v1.RandomResizedCrop(16), v1.RandomHorizontalFlip(), v1.ToTensor()])


def has_accelerator() -> bool:
    """Whether torch has a GPU or the like; older ones know CUDA's alone."""
    return (torch.accelerator if hasattr(torch, "accelerator") else torch.cuda).is_available()


def write_images(root: Path) -> Path:
    """One class an image, so that the target is the index."""
    return write_folder(root, classes=SIZE, images=1, largest=48)


def noisy(value: float) -> torch.Tensor:
    return value + torch.rand(3)


def quiet(value: float) -> torch.Tensor:
    return torch.full((2,), float(value))


class Numbers(Dataset):
    """A data set that fastload leaves to torch, with the attributes of an ImageFolder."""

    def __init__(self, size: int = SIZE, transform=noisy) -> None:
        self.samples = [(10 * index, index) for index in range(size)]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index):
        value, target = self.samples[index]
        return self.transform(value), target


class Stream(IterableDataset):
    """0, 1, 2, ... from every worker alike; its length may be told, truly or not."""

    def __init__(self, size: int, told: int | None = None) -> None:
        self.size = size
        self.told = told

    def __iter__(self):
        return iter(range(self.size))

    def __len__(self) -> int:
        if self.told is None:
            raise TypeError("object of type 'Stream' has no len()")
        return self.told


def data_set(kind: str, folder: Path) -> Numbers | ImageFolder:
    return Numbers() if kind == "plain" else ImageFolder(str(folder), AUGMENT)


def without_chance(dataset):
    """Another transform for the data set: other shapes, no random numbers."""
    return quiet if isinstance(dataset, Numbers) else v1.Compose([v1.Resize((8, 9)), v1.ToTensor()])


def with_code(dataset, code):
    """The data set with a transform that ends in Python code; images come to it as tensors."""
    first = [] if isinstance(dataset, Numbers) else [v1.RandomResizedCrop(8), v1.ToTensor()]
    dataset.transform = v1.Compose([*first, code])
    return dataset


def assert_in_threads(loader) -> None:
    """fastload makes batches of images in its own threads, which is what is to be tested."""
    if isinstance(loader, fastload.DataLoader) and isinstance(loader.dataset, ImageFolder):
        explanation = loader.explain()
        assert explanation.startswith("native: ") and "threads of this process" in explanation


def build(Loader, dataset, **options):
    """The loader; without user code in it."""
    loader = Loader(dataset, **options)
    assert_in_threads(loader)
    return loader


def build_with_code(Loader, dataset, **options):
    """The loader, where there is user code: fastload makes the samples of images natively, torch's iterators run the code."""
    loader = Loader(dataset, **options)
    if Loader is fastload.DataLoader and isinstance(dataset, ImageFolder):
        assert loader.explain().startswith("native: ") and "threads of this process" not in loader.explain()
    return loader


def indices(batches) -> list[list[int]]:
    """The targets of batches: the samples that they are made of."""
    return [batch[1].tolist() for batch in batches]


def in_batches(order, batch_size: int) -> list[list[int]]:
    order = list(order)
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]


def made_by_caller(dataset, batches) -> list:
    """The batches by torch's rules without workers: drawn from the default generator."""
    return [default_collate([dataset[index] for index in batch]) for batch in batches]


def made_by_workers(dataset, epochs, base_seed: int, num_workers: int) -> list:
    """All batches of all epochs by torch's rules with workers: batch k of an epoch is worker k % n's, whose generator was
    seeded once with base_seed + its number."""
    states = [torch.Generator().manual_seed(base_seed + worker).get_state() for worker in range(num_workers)]
    made = []
    with torch.random.fork_rng(devices=[]):
        for batches in epochs:
            for number, batch in enumerate(batches):
                torch.set_rng_state(states[number % num_workers])
                made += made_by_caller(dataset, [batch])
                states[number % num_workers] = torch.get_rng_state()
    return made


def same(ours, expected) -> bool:
    return len(ours) == len(expected) and all(
        type(a) is type(b) is list and torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
        for a, b in zip(ours, expected, strict=True)
    )


def draw(generator: torch.Generator | None = None) -> int:
    """One seed, drawn as torch draws its base seed and its samplers' seeds."""
    return int(torch.empty((), dtype=torch.int64).random_(generator=generator))


def outcomes(iterator) -> list:
    """Every batch or exception until the end."""
    seen = []
    while True:
        try:
            seen.append(next(iterator))
        except StopIteration:
            return seen
        except Exception as error:
            seen.append(error)


class Pulls(torch.utils.data.BatchSampler):
    """Counts how often it was asked, for an iterator and for a batch."""

    begun = 0
    pulled = 0

    def __iter__(self):
        self.begun += 1
        return self._batches()

    def _batches(self):
        for batch in super().__iter__():
            self.pulled += 1
            yield batch


class ReadsFirst:
    """A transform that cannot make the first sample: it reads a pipe, and finds nothing in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, value: float) -> torch.Tensor:
        if value == 0 and not self.path.read_bytes():
            raise OSError("nothing to read")
        return noisy(value)


def make_stuck(dataset, path: Path):
    """The data set, whose first sample now needs what is at the path."""
    if isinstance(dataset, Numbers):
        dataset.transform = ReadsFirst(path)
    else:
        dataset.samples[0] = str(path), 0
    return dataset
