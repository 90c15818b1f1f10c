"""Images that an index finds: what all data sets of shards have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastload.datasets.exclude_lists import Exclude, excluded_names, warn_of_unknown
from fastload.datasets.images_of_samples import ImagesOfSamples
from fastload.engine import SampleSource, load_sample, names_files
from fastload.remote import is_remote
from fastload.shards import SampleIndex


class IndexedSamples(Sequence[tuple[SampleSource | str, Any]]):
    """Read-only: ``(source, target)`` of each sample, made when it is asked for.

    Args:
        index: where they are.
        exclude: names of samples that are left out, or a file of them, one a line.
    """

    def __init__(self, index: SampleIndex, exclude: Exclude = None) -> None:
        self.sample_index = index
        self.is_far = any(is_remote(shard.path) for shard in index.shards)
        self._rows: np.ndarray | None = None  # of the index; None: all
        unwanted = excluded_names(exclude)
        if unwanted:
            self._rows = np.array([row for row in range(len(index)) if index.name(row) not in unwanted], np.int64)
            warn_of_unknown(exclude, unwanted, len(index) - len(self._rows))

    def __len__(self) -> int:
        return len(self.sample_index) if self._rows is None else len(self._rows)

    def row(self, i: int) -> int:
        """Of the index."""
        count = len(self)
        if not -count <= i < count:
            raise IndexError("index out of range")
        return int(i % count if self._rows is None else self._rows[i])

    def rows(self) -> np.ndarray:
        """Of the index, all of them, int64."""
        return np.arange(len(self)) if self._rows is None else self._rows

    def name(self, i: int) -> str:
        return self.sample_index.name(self.row(i))

    def targets(self) -> list[Any]:
        column = self.sample_index.columns.target
        if column is not None:
            return list((column if self._rows is None else column[self._rows]).tolist())
        return [self.sample_index.target(self.row(i)) for i in range(len(self))]

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[one] for one in range(*i.indices(len(self)))]
        row = self.row(i.__index__())
        return self.sample_index.source(row), self.sample_index.target(row)

    def samples_at(self, indices: list[Any]) -> tuple[list[SampleSource | str], list[Any]]:
        """Sources and targets of many, counted from 0; raises where one is not there."""
        rows = [i.__index__() for i in indices]
        if rows and not 0 <= min(rows) <= max(rows) < len(self):
            raise IndexError("index out of range")
        return self.sample_index.samples_at(rows if self._rows is None else self._rows[rows].tolist())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} samples)"


class ShardedImages(ImagesOfSamples):
    """Images of an index; the base class of :class:`WebDataset` and the like.

    Items are ``(image, target)``, or ``image`` where the source has no targets. ``samples`` is a sequence of ``(source, target)``.

    Attributes:
        classes, class_to_idx: names of classes, as ImageFolder has them; empty where the source names none.
    """

    samples: IndexedSamples

    def __init__(
        self,
        index: SampleIndex,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        *,
        exclude: Exclude = None,
    ) -> None:
        self.samples = IndexedSamples(index, exclude)
        self.has_targets = index.target_kind != "none"
        self.transform = transform
        self.target_transform = target_transform
        self.loader = load_sample
        self.classes: list[str] = [str(name) for name in index.facts.get("classes", [])]
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}

    def described(self) -> list[str]:
        index = self.samples.sample_index
        files = [shard.shown for shard in index.shards]
        if all(not shard.version for shard in index.shards):
            return [f"Root location: memory ({index.format_name})"]
        where = f"{files[0]} … {files[-1]}" if len(files) > 1 else "".join(files)
        return [f"Root location: {where} ({index.format_name}, {len(files)} files)"]

    @property
    def targets(self) -> list[Any] | None:
        """The targets as a list, or None."""
        return self.samples.targets() if self.has_targets else None


names_files(ShardedImages)
