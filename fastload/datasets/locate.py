"""Which file an index of a data set means: looks through Subset and ConcatDataset down to the data set that names files."""

from __future__ import annotations

import bisect
import copy
from collections.abc import Callable
from dataclasses import dataclass

from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision.datasets import DatasetFolder

from fastload.datasets.files import ImageFiles
from fastload.datasets.folder import ImageFolder
from fastload.datasets.leaf import Leaf, NotNative, leaf_of

Find = Callable[[int], tuple[Leaf, int]]


@dataclass(frozen=True)
class Located:
    """A tree of data sets: its leaves, and the way from an index to a leaf and the leaf's own index."""

    leaves: list[Leaf]
    find: Find


def locate(dataset: Dataset, *, frozen: bool = False) -> Located:
    """Raises NotNative, with the reason, for data sets whose samples this package cannot make itself.

    ``frozen``: which files there are, and which of them a subset names, stays as it is now, as in a worker's copy of a data set.
    """
    if type(dataset) is Subset:
        inner = locate(dataset.dataset, frozen=frozen)
        if not frozen:
            return Located(inner.leaves, lambda index: inner.find(dataset.indices[index]))
        indices = copy.copy(dataset.indices)
        return Located(inner.leaves, lambda index: inner.find(indices[index]))
    if type(dataset) is ConcatDataset:
        return _locate_concat(dataset, [locate(part, frozen=frozen) for part in dataset.datasets])
    leaf = _leaf(dataset, frozen=frozen)
    return Located([leaf], lambda index: (leaf, index))


def _locate_concat(dataset: ConcatDataset, parts: list[Located]) -> Located:
    ends = dataset.cumulative_sizes

    def find(index: int) -> tuple[Leaf, int]:
        if index < 0:
            if -index > len(dataset):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(dataset)
        part = bisect.bisect_right(ends, index)
        return parts[part].find(index - (ends[part - 1] if part else 0))

    return Located([leaf for part in parts for leaf in part.leaves], find)


def _leaf(dataset: Dataset, *, frozen: bool) -> Leaf:
    kind = type(dataset)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if getattr(kind, "__getitem__", None) not in (DatasetFolder.__getitem__, ImageFiles.__getitem__):
        raise NotNative(
            f"the data set {name} is no ImageFolder, DatasetFolder, ImageFiles, Subset or ConcatDataset of them"
        )
    if getattr(kind, "__getitems__", None) not in (None, ImageFolder.__getitems__, ImageFiles.__getitems__):
        raise NotNative(f"the data set {name} defines __getitems__")
    return leaf_of(dataset, frozen=frozen)
