"""Which file an index of a data set means: looks through Subset and ConcatDataset down to the data set that names files."""

from __future__ import annotations

import bisect
import copy
from collections.abc import Callable
from dataclasses import dataclass
from operator import is_
from types import SimpleNamespace
from typing import Any

from torch.utils.data import ConcatDataset, Dataset, Subset

from fastload.engine import (
    FileDataset,
    Find,
    file_dataset_of,
    is_of_timm,
    items_of_files,
    timm_files_of,
    why_items_differ,
)
from fastload.reports import NotNative
from fastload.transforms import reach

Look = tuple[
    Callable[[], tuple[Any, ...]], tuple[Any, ...]
]  # what a data set is made of, now and when it was looked at
# What gives an item, as it is when this is imported.
_PLAIN = reach((Subset, "__getitem__"), (Subset, "__getitems__"), (ConcatDataset, "__getitem__"))


@dataclass(frozen=True)
class Located:
    """A tree of data sets: those that name files, and the way from an index to one of them and its own index."""

    file_datasets: list[FileDataset]
    find: Find
    tree: list[Look]

    def holds(self) -> bool:
        """Whether it is still made of the same data sets, and these are opened as before."""
        for now, then in self.tree:
            parts = now()
            if len(parts) != len(then) or not all(map(is_, parts, then)):
                return False
        return (
            _PLAIN.holds() and items_of_files().holds() and all(files.opens_as_before() for files in self.file_datasets)
        )


def locate(dataset: Dataset[Any], *, frozen: bool = False) -> Located:
    """Raises NotNative, with the reason, for data sets whose samples this package cannot make itself.

    ``frozen``: which files there are, and which of them a subset names, stays as it is now, as in a worker's copy of a data set.
    """
    if why := _PLAIN.what_changed() or items_of_files().what_changed():
        raise NotNative(why)
    if "__getitems__" in getattr(dataset, "__dict__", {}):
        raise NotNative("the data set has a __getitems__ of its own")
    if type(dataset) is Subset:
        tree = _tree(lambda: (type(dataset), dataset.dataset, vars(dataset).get("__getitems__")))
        inner = locate(dataset.dataset, frozen=frozen)
        subset = SimpleNamespace(indices=copy.copy(dataset.indices)) if frozen else dataset
        return Located(inner.file_datasets, _FindOfSubset(subset, inner.find), inner.tree + tree)
    if type(dataset) is ConcatDataset:
        return _locate_concat(dataset, [locate(part, frozen=frozen) for part in dataset.datasets])
    if is_of_timm(dataset):
        files = timm_files_of(dataset, frozen=frozen)
    elif why := why_items_differ(type(dataset)):
        raise NotNative(why)
    else:
        files = file_dataset_of(dataset, frozen=frozen)
    return Located([files], Find(files), _tree(files.rests_on))


def _tree(now: Callable[[], tuple[Any, ...]]) -> list[Look]:
    return [(now, now())]


def _locate_concat(dataset: ConcatDataset[Any], parts: list[Located]) -> Located:
    tree = _tree(
        lambda: (type(dataset), vars(dataset).get("__getitems__"), *dataset.datasets, *dataset.cumulative_sizes)
    )
    tree += [look for part in parts for look in part.tree]
    find = _FindOfConcat(dataset, [part.find for part in parts])
    return Located([files for part in parts for files in part.file_datasets], find, tree)


class _FindOfSubset(Find):
    def __init__(self, subset: Any, inner: Find) -> None:
        self._subset, self._inner = subset, inner

    def __call__(self, index: Any) -> tuple[FileDataset, Any]:
        return self._inner(self._subset.indices[index])

    def each(self, indices: list[Any]) -> tuple[list[FileDataset], list[Any]]:
        inner = self._subset.indices
        return self._inner.each([inner[index] for index in indices])


class _FindOfConcat(Find):
    def __init__(self, dataset: ConcatDataset[Any], parts: list[Find]) -> None:
        self._dataset, self._ends, self._parts = dataset, dataset.cumulative_sizes, parts

    def __call__(self, index: Any) -> tuple[FileDataset, Any]:
        if index < 0:
            if -index > len(self._dataset):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(self._dataset)
        part = bisect.bisect_right(self._ends, index)
        return self._parts[part](index - (self._ends[part - 1] if part else 0))

    def each(self, indices: list[Any]) -> tuple[list[FileDataset], list[Any]]:
        found = [self(index) for index in indices]
        return [files for files, _ in found], [within for _, within in found]
