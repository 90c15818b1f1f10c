"""Which file an index of a data set means: looks through Subset and ConcatDataset down to the data set that names files."""

from __future__ import annotations

import bisect
import copy
from collections.abc import Callable
from dataclasses import dataclass
from operator import is_

from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision.datasets import DatasetFolder

from fastload.datasets.files import ImageFiles
from fastload.datasets.folder import ImageFolder
from fastload.datasets.leaf import Leaf, NotNative, leaf_of
from fastload.originals import reach

Find = Callable[[int], tuple[Leaf, int]]
# What gives an item, as it is when this is imported.
_PLAIN = reach(
    *((kind, "__getitem__") for kind in (DatasetFolder, ImageFiles, Subset, ConcatDataset)),
    *((kind, "__getitems__") for kind in (ImageFolder, ImageFiles, Subset)),
)


@dataclass(frozen=True)
class Located:
    """A tree of data sets: its leaves, and the way from an index to a leaf and the leaf's own index."""

    leaves: list[Leaf]
    find: Find
    tree: list[tuple[Callable[[], tuple], tuple]]

    def holds(self) -> bool:
        """Whether it is still made of the same data sets, and these are opened as before."""
        for now, then in self.tree:
            parts = now()
            if len(parts) != len(then) or not all(map(is_, parts, then)):
                return False
        return _PLAIN.holds() and all(reach(loader).holds() for loader in {leaf.dataset.loader for leaf in self.leaves})


def locate(dataset: Dataset, *, frozen: bool = False) -> Located:
    """Raises NotNative, with the reason, for data sets whose samples this package cannot make itself.

    ``frozen``: which files there are, and which of them a subset names, stays as it is now, as in a worker's copy of a data set.
    """
    if why := _PLAIN.what_changed():
        raise NotNative(why)
    if "__getitems__" in getattr(dataset, "__dict__", {}):
        raise NotNative("the data set has a __getitems__ of its own")
    if type(dataset) is Subset:
        tree = _tree(lambda: (type(dataset), dataset.dataset, vars(dataset).get("__getitems__")))
        inner = locate(dataset.dataset, frozen=frozen)
        if not frozen:
            return Located(inner.leaves, lambda index: inner.find(dataset.indices[index]), inner.tree + tree)
        indices = copy.copy(dataset.indices)
        return Located(inner.leaves, lambda index: inner.find(indices[index]), inner.tree + tree)
    if type(dataset) is ConcatDataset:
        return _locate_concat(dataset, [locate(part, frozen=frozen) for part in dataset.datasets])
    leaf = _leaf(dataset, frozen=frozen)
    return Located([leaf], lambda index: (leaf, index), _tree(leaf.rests_on))


def _tree(now: Callable[[], tuple]) -> list[tuple[Callable[[], tuple], tuple]]:
    return [(now, now())]


def _locate_concat(dataset: ConcatDataset, parts: list[Located]) -> Located:
    ends = dataset.cumulative_sizes

    def find(index: int) -> tuple[Leaf, int]:
        if index < 0:
            if -index > len(dataset):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(dataset)
        part = bisect.bisect_right(ends, index)
        return parts[part].find(index - (ends[part - 1] if part else 0))

    tree = _tree(
        lambda: (type(dataset), vars(dataset).get("__getitems__"), *dataset.datasets, *dataset.cumulative_sizes)
    )
    tree += [look for part in parts for look in part.tree]
    return Located([leaf for part in parts for leaf in part.leaves], find, tree)


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
