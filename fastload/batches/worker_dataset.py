"""What goes to torch's workers in the place of a data set.

It makes samples natively where that is possible and, for loaders that can be resumed, begins where another worker was left.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import add
from typing import Any

import numpy as np
import PIL
import torch
from torch.utils.data import Dataset, IterableDataset, Subset

from fastload import _core
from fastload.batches.batch_in_place import made_in_place
from fastload.batches.worker_batches import WholeBatches
from fastload.batches.worker_messages import ReadableItems
from fastload.batches.worker_state import (
    CountedStream,
    WorkerState,
    iterator_where_left,
    restore_generators,
    see_the_end,
    value_or_failure,
)
from fastload.datasets import Located, locate
from fastload.engine import GeneratorStates, Items, SampleCache, asked_for, name_of, opens, stand_in_indices
from fastload.entries import EntryPoints
from fastload.reports import DecodeError, FastloadError, NotNative, ReadError, SampleError, sample_error
from fastload.transforms import why_modes_not_native

_SUBSETS_ITEMS = Subset.__getitems__


class _InWorker:
    """What stands for a data set in a worker; other attributes are looked up there."""

    def __init__(self, dataset: Any, state: WorkerState) -> None:
        self.dataset = dataset
        self.worker_state = state

    def take_cached(self) -> tuple[int, int]:
        """Of the samples since the last call those that a cache had, and all that were looked up there."""
        return 0, 0

    def take_entered(self) -> tuple[int, ...]:
        """… those that were decoded by entry points, of which some were kept, and whose were of no use."""
        return 0, 0, 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__["dataset"], name)


class DatasetInWorker(_InWorker, Dataset[Any]):
    """A map-style data set as it is.

    Args:
        collated: by default_collate and nothing else: then samples may be written into the batch.
    """

    def __init__(self, dataset: Any, state: WorkerState, *, collated: bool = False) -> None:
        super().__init__(dataset, state)
        self._collated = collated

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        self.worker_state.begin(self.dataset)
        return value_or_failure(self.worker_state, lambda: self._one(index))

    def __getitems__(self, indices: Any) -> Any:
        self.worker_state.begin(self.dataset)
        return value_or_failure(self.worker_state, lambda: self._many(indices))

    def _one(self, index: Any) -> Any:
        return self.dataset[index]

    def _many(self, indices: Any) -> Any:
        make_all = None if _has_subsets_items(self.dataset) else getattr(self.dataset, "__getitems__", None)
        if self._collated:
            return made_in_place(lambda index: self.dataset[index], indices, make_all)
        return make_all(indices) if make_all else [self.dataset[index] for index in indices]


class NativeSamples(DatasetInWorker):
    """A data set whose items are those of ``dataset``, made natively where that is possible."""

    def __init__(
        self,
        dataset: Dataset[Any],
        state: WorkerState,
        rng: str,
        seed: int,
        on_error: str,
        cache: SampleCache | None,
        entries: EntryPoints | None = None,
        collated: bool = False,
    ) -> None:
        """``collated``: by default_collate and nothing else: then a list of items may be given as a :class:`MadeBatch`."""
        super().__init__(dataset, state, collated=collated)
        self._whole_batches = WholeBatches(cache, entries) if collated and on_error == "raise" else None
        self._cache = cache
        self._entries = entries
        self._rng = rng
        self._seed = seed
        self._on_error = on_error
        self._epoch: int | None = None  # of the indices that came last
        self._made_here: tuple[Located, Items] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made_here": None}

    def _one(self, index: Any) -> Any:
        if not self._is_native_now():
            return super()._one(index)
        return self._item(index, epoch=0)

    def _many(self, indices: Any) -> Any:
        if not self._is_native_now():
            return super()._many(indices)
        epoch = getattr(indices, "epoch", 0)
        if self._entries is not None and self._epoch not in (None, epoch):  # in a worker that stays
            self._entries.begin_epoch()
        self._epoch = epoch
        assert self._made_here is not None
        located, items = self._made_here
        if self._whole_batches is not None:
            indexed = None if self._rng == "stock" else (self._seed % 2**64, epoch)
            made = self._whole_batches.made(located, len(self), items, indices, indexed)
            if made is not None:
                return made
        with asked_for(located.file_datasets, located.find, indices, self._cache):
            if self._on_error == "raise":
                if self._collated:
                    return made_in_place(lambda index: self._item(index, epoch), indices)
                return [self._item(index, epoch) for index in indices]
            return self._readable_items(indices, epoch)

    def _is_native_now(self) -> bool:
        """Whether samples can still be made natively in this process: user code may have changed anything."""
        if why_modes_not_native():
            return False
        if self._made_here is None or not self._made_here[0].holds():
            try:
                self._made_here = locate(self.dataset), Items(self._cache, self._entries)
            except NotNative:
                return False
        self._made_here[1].begin()
        return True

    def take_cached(self) -> tuple[int, int]:
        if self._made_here is None:
            return 0, 0
        found = looked_up = 0
        for counts in (self._made_here[1], self._whole_batches):
            if counts is not None:
                found, looked_up = found + counts.found, looked_up + counts.looked_up
                counts.found = counts.looked_up = 0
        return found, looked_up

    def take_entered(self) -> tuple[int, ...]:
        entered: tuple[int, ...] = (0, 0, 0)
        for counts in (self._made_here[1] if self._made_here is not None else None, self._whole_batches):
            if counts is not None:
                entered, counts.entered = tuple(map(add, entered, counts.entered)), (0, 0, 0)
        return entered

    def _readable_items(self, indices: list[Any], epoch: int) -> list[Any]:
        items: list[Any] = []
        failures: list[FastloadError] = []
        for index in indices:
            items.append(self._item_or_error(index, epoch))
            if isinstance(items[-1], FastloadError):
                failures.append(items[-1])
        good = [slot for slot, item in enumerate(items) if not isinstance(item, FastloadError)]
        failed_slots = sorted(set(range(len(items))) - set(good))
        if not good and failures:
            stand_in = self._stand_in(failures, epoch)
            items = [stand_in] * (len(items) if self._on_error == "replace" else 1)
        elif self._on_error == "replace":
            for slot in reversed(range(len(items))):
                if isinstance(items[slot], FastloadError):
                    items[slot] = items[next((other for other in good if other > slot), good[0])]
        else:
            items = [items[slot] for slot in good]
        errors = [SampleError(error.index, error.path, error.reason) for error in failures]
        return ReadableItems(items, errors, failed_slots, len(indices))

    def _stand_in(self, failures: list[FastloadError], epoch: int) -> Any:
        """The next readable item of the data set: no batch is ever empty, or ranks would take different numbers of steps."""
        for index in stand_in_indices(failures, len(self)):
            item = self._item_or_error(index, epoch)
            if not isinstance(item, FastloadError):
                return item
        raise failures[0]

    def _item_or_error(self, index: Any, epoch: int) -> Any:
        try:
            return self._item(index, epoch)
        except FastloadError as error:
            return error

    def _item(self, index: Any, epoch: int) -> Any:
        assert self._made_here is not None
        located, items = self._made_here
        files, within = located.find(index)
        path, _ = files.sample(within)
        if self._rng == "stock":
            return _named(index, path, lambda: items.item(files, within))
        with _generators_of_sample(self._seed, epoch, int(index)) as words:
            return _named(index, path, lambda: items.item(files, within, words))


class StreamInWorker(_InWorker, IterableDataset[Any]):
    """An iterable-style data set that counts what it gives."""

    def __iter__(self) -> Iterator[Any]:
        mine = self.worker_state.arrived()
        stream = self.worker_state.stream = CountedStream(
            iterator_where_left(self.dataset, mine), mine.get("taken", 0), mine.get("ended", False)
        )
        restore_generators(mine)
        if mine.get("over"):
            see_the_end(stream, mine)
            stream = self.worker_state.stream = CountedStream(iter(self.dataset))
        return stream


def _has_subsets_items(dataset: Any) -> bool:
    """Whether its ``__getitems__`` only asks for one item after the other."""
    return (
        type(dataset) is Subset
        and Subset.__getitems__ is _SUBSETS_ITEMS
        and not callable(getattr(dataset.dataset, "__getitems__", None))
    )


def _named(index: Any, path: Any, make: Callable[[], Any]) -> Any:
    """Errors of reading and decoding get the sample's name; errors of the user's own code stay as they are."""
    try:
        return make()
    except OSError as error:
        kind = DecodeError if isinstance(error, PIL.UnidentifiedImageError) or error.errno is None else ReadError
        raise sample_error(kind, index, name_of(path), error) from error
    except Exception as error:
        if opens(path):
            raise
        raise sample_error(ReadError, index, name_of(path), error) from error


@contextmanager
def _generators_of_sample(seed: int, epoch: int, index: int) -> Iterator[tuple[int, int, int]]:
    """Python code in the sample's transforms draws from generators that depend on (seed, epoch, index) alone."""
    words = _core.philox_words(seed % 2**64, epoch ^ 0x80000000, index % 2**64, 2)
    own = words[0] << 32 | words[1]
    states = GeneratorStates.now()
    torch.default_generator.manual_seed(own)
    random.seed(own)
    np.random.seed(words[0])
    try:
        yield seed % 2**64, epoch, index % 2**64
    finally:
        states.restore()
