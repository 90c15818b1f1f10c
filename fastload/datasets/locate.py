"""Which file an index of a data set means: looks through Subset and ConcatDataset down to the data set that names files."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torchvision
from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision.datasets import DatasetFolder
from torchvision.datasets.folder import default_loader, pil_loader

from fastload.datasets.files import ImageFiles


class NotNative(Exception):
    """Why something is left to torch or to Python; the message is shown to the user."""


@dataclass(frozen=True)
class Leaf:
    """A data set that names files: ``samples[i]`` is ``(path, target)``."""

    dataset: Any
    has_targets: bool

    def sample(self, index: int) -> tuple[str, Any]:
        """Path and target, read live: users filter and replace ``samples``."""
        path, target = self.dataset.samples[index]
        return path, target

    def load(self, path: str) -> Any:
        """The RGB image as the plain loader would have it."""
        return self.dataset.loader(path)


Find = Callable[[int], tuple[Leaf, int]]


@dataclass(frozen=True)
class Located:
    """A tree of data sets: its leaves, and the way from an index to a leaf and the leaf's own index."""

    leaves: list[Leaf]
    find: Find


def locate(dataset: Dataset) -> Located:
    """Raises NotNative, with the reason, for data sets whose samples this package cannot make itself."""
    if type(dataset) is Subset:
        inner = locate(dataset.dataset)
        indices = dataset.indices
        return Located(inner.leaves, lambda index: inner.find(indices[index]))
    if type(dataset) is ConcatDataset:
        return _locate_concat(dataset)
    leaf = _leaf(dataset)
    return Located([leaf], lambda index: (leaf, index))


def _locate_concat(dataset: ConcatDataset) -> Located:
    parts = [locate(part) for part in dataset.datasets]
    ends = dataset.cumulative_sizes

    def find(index: int) -> tuple[Leaf, int]:
        if index < 0:
            if -index > len(dataset):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(dataset)
        part = bisect.bisect_right(ends, index)
        return parts[part].find(index - (ends[part - 1] if part else 0))

    return Located([leaf for part in parts for leaf in part.leaves], find)


def _leaf(dataset: Dataset) -> Leaf:
    kind = type(dataset)
    name = f"{kind.__module__}.{kind.__qualname__}"
    is_folder = getattr(kind, "__getitem__", None) is DatasetFolder.__getitem__
    is_files = getattr(kind, "__getitem__", None) is ImageFiles.__getitem__
    if not is_folder and not is_files:
        raise NotNative(
            f"the data set {name} is no ImageFolder, DatasetFolder, ImageFiles, Subset or ConcatDataset of them"
        )
    if getattr(kind, "__getitems__", None) is not None:
        raise NotNative(f"the data set {name} defines __getitems__")
    if dataset.loader not in (default_loader, pil_loader):
        raise NotNative(f"the data set {name} has a loader of its own")
    if dataset.loader is default_loader and torchvision.get_image_backend() != "PIL":
        raise NotNative(f"torchvision's image backend is {torchvision.get_image_backend()}")
    return Leaf(dataset, is_folder or dataset.has_targets)
