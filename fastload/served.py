"""What goes to torch's workers in the place of a data set and a collate_fn.

It makes samples natively where that is possible, carries failures along with the batches that they happened in, and, for loaders
that can be resumed, carries along what the worker needs to go on from there.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import PIL
import torch
from torch._utils import ExceptionWrapper
from torch.utils.data import Dataset, IterableDataset, get_worker_info
from torch.utils.data._utils import worker as torch_worker

from fastload import _core, settings
from fastload.datasets.leaf import NotNative
from fastload.datasets.locate import Located, locate
from fastload.datasets.names import name_of, opens
from fastload.errors import DecodeError, FastloadError, ReadError, SampleError, sample_error
from fastload.generators import GeneratorStates
from fastload.items import Items
from fastload.samples import stand_in_indices


class Place:
    """Where one worker is: its generators, and its data set's state if it keeps one. One object for each loader and process.

    Args:
        keeps: whether batches are to carry it.
        resumed: by worker, what to begin with.
    """

    def __init__(self, keeps: bool, resumed: dict[str, Any]) -> None:
        self.keeps = keeps
        self._resumed = resumed
        self.stream: _Stream | None = None

    def arrived(self) -> dict[str, Any]:
        """What this worker is to begin with, the first time; then empty."""
        if not self._resumed:
            return {}
        mine = self._resumed.get(str(_worker_id()), {})
        self._resumed = {}
        return mine

    def begin(self, dataset: Any) -> None:
        """Before each batch of a map-style data set."""
        mine = self.arrived()
        if "dataset" in mine:
            dataset.load_state_dict(mine["dataset"])
        _restore_generators(mine)

    def left(self, dataset: Any) -> dict[str, Any] | None:
        """After each batch."""
        if not self.keeps:
            return None
        state: dict[str, Any] = {}
        if get_worker_info() is not None:  # else they are the caller's
            state["generators"] = GeneratorStates.now()
        # Copies: what is given may be the live state, and it leaves this process later.
        if self.stream is None:
            if keeps_state(dataset):
                state["dataset"] = copy.deepcopy(dataset.state_dict())
            return state
        if keeps_state(dataset) and self.stream.iterator is not dataset:
            state["stream"] = copy.deepcopy(dataset.state_dict())
        return {**state, **self.stream.state()}


def as_json(kept: dict[str, Any]) -> dict[str, Any]:
    """What :meth:`Place.left` gave, as plain values."""
    if "generators" not in kept:
        return kept
    return {**kept, "generators": kept["generators"].to_json()}


class Served(Dataset):
    """A map-style data set as it is; other attributes are looked up there."""

    def __init__(self, dataset: Dataset, place: Place) -> None:
        self.dataset = dataset
        self.place = place

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__["dataset"], name)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: Any) -> Any:
        self.place.begin(self.dataset)
        with _failure_is_carried(self.place) as made:
            made.value = self._one(index)
        return made.value

    def __getitems__(self, indices: Any) -> Any:
        self.place.begin(self.dataset)
        with _failure_is_carried(self.place) as made:
            made.value = self._many(indices)
        return made.value

    def _one(self, index: Any) -> Any:
        return self.dataset[index]

    def _many(self, indices: Any) -> Any:
        if getattr(self.dataset, "__getitems__", None):
            return self.dataset.__getitems__(indices)  # type: ignore[attr-defined]
        return [self.dataset[index] for index in indices]


class NativeSamples(Served):
    """A data set whose items are those of ``dataset``, made natively where that is possible."""

    def __init__(self, dataset: Dataset, place: Place, rng: str, seed: int, on_error: str) -> None:
        super().__init__(dataset, place)
        self._rng = rng
        self._seed = seed
        self._on_error = on_error
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
        if self._on_error == "raise":
            return [self._item(index, epoch) for index in indices]
        return self._readable_items(indices, epoch)

    def _is_native_now(self) -> bool:
        """Whether samples can still be made natively in this process: user code may have changed anything."""
        if settings.why_not_native():
            return False
        if self._made_here is None or not self._made_here[0].holds():
            try:
                self._made_here = locate(self.dataset), Items()
            except NotNative:
                return False
        self._made_here[1].begin()
        return True

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
        return _Items(items, errors, failed_slots, len(indices))

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
        leaf, within = located.find(index)
        path, _ = leaf.sample(within)
        if self._rng == "stock":
            return _named(index, path, lambda: items.item(leaf, within))
        with _generators_of_sample(self._seed, epoch, int(index)) as words:
            return _named(index, path, lambda: items.item(leaf, within, words))


class ServedStream(IterableDataset):
    """An iterable-style data set that counts what it gives; other attributes are looked up there."""

    def __init__(self, dataset: IterableDataset, place: Place) -> None:
        self.dataset = dataset
        self.place = place

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__["dataset"], name)

    def __iter__(self) -> Iterator[Any]:
        mine = self.place.arrived()
        stream = self.place.stream = _Stream(iterator_where_left(self.dataset, mine))
        stream.taken, stream.ended = mine.get("taken", 0), mine.get("ended", False)
        _restore_generators(mine)
        if mine.get("over"):
            see_the_end(stream, mine)
            stream = self.place.stream = _Stream(iter(self.dataset))
        return stream


def iterator_where_left(dataset: Any, kept: dict[str, Any]) -> Iterator[Any]:
    """Of an iterable-style data set, after what was taken. The data set's state first, then the iterator's, as torchdata does."""
    if "stream" in kept:
        dataset.load_state_dict(kept["stream"])
    iterator = iter(dataset)
    if "iterator" in kept:
        iterator.load_state_dict(kept["iterator"])  # type: ignore[attr-defined]
    elif "stream" not in kept and not kept.get("ended"):
        taken = kept.get("taken", 0)
        found = sum(1 for _ in itertools.islice(iterator, taken))
        if found < taken:
            raise ValueError(f"cannot go on after {taken} samples of {type(dataset).__name__}: it gives {found}")
    return iterator


def see_the_end(iterator: Iterator[Any], kept: dict[str, Any]) -> None:
    """Of the epoch: that is where data sets with a state turn to the next one."""
    if not kept.get("ended") and ("stream" in kept or "iterator" in kept):
        next(iterator, None)


def after_the_end(dataset: Any, kept: dict[str, Any]) -> None:
    """Puts a data set that is used in this process where the end of an epoch left it."""
    if not isinstance(kept, dict):
        return
    if "dataset" in kept:
        dataset.load_state_dict(kept["dataset"])
    if "stream" in kept or "iterator" in kept:
        states = GeneratorStates.now()
        see_the_end(iterator_where_left(dataset, kept), kept)
        states.restore()


class _Stream:
    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator
        self.taken = 0
        self.ended = False

    def __iter__(self) -> _Stream:
        return self

    def __next__(self) -> Any:
        if self.ended:  # also where another one was left: its data set may already stand before the next epoch
            raise StopIteration
        try:
            item = next(self.iterator)
        except StopIteration:
            self.ended = True
            raise
        self.taken += 1
        return item

    def state(self) -> dict[str, Any]:
        own = {"iterator": copy.deepcopy(self.iterator.state_dict())} if keeps_state(self.iterator) else {}  # type: ignore[attr-defined]
        return {"taken": self.taken, "ended": self.ended, **own}


class Indices(list):
    """The indices of a batch with the epoch that they are drawn for."""

    def __init__(self, indices: Any, epoch: int) -> None:
        super().__init__(indices)
        self.epoch = epoch

    def __reduce__(self) -> tuple:
        return type(self), (list(self), self.epoch)


class Collated:
    """A batch on its way from a worker, with the place where it left the worker, and of its samples the failures, in which slots
    these were, and the number of all."""

    def __init__(self, batch: Any, failed: tuple[list[SampleError], list[int], int], worker: int, left: Any) -> None:
        self.batch = batch
        self.failed = failed
        self.worker = worker
        self.left: dict[str, Any] | None = left

    def pin_memory(self) -> Collated:
        """Called by torch's pinning thread."""
        batch = self.batch
        if not isinstance(batch, ExceptionWrapper):
            batch = torch.utils.data._utils.pin_memory.pin_memory(batch)
        return Collated(batch, self.failed, self.worker, self.left)


class Collate:
    """The loader's collate_fn, and what goes along with its batch."""

    def __init__(self, collate_fn: Callable[[Any], Any], dataset: Any) -> None:
        self._collate_fn = collate_fn
        self._dataset = dataset  # as it is served

    def __call__(self, items: Any) -> Collated:
        failed = (items.failures, items.slots, items.count) if isinstance(items, _Items) else ([], [], 0)
        place = self._dataset.place
        if isinstance(items, _Failed):
            batch: Any = items.error
        else:
            with _failure_is_carried(place) as made:
                made.value = self._collate_fn(list(items) if isinstance(items, _Items) else items)
            batch = made.value.error if isinstance(made.value, _Failed) else made.value
        return Collated(batch, failed, _worker_id(), place.left(self._dataset.dataset))


class Initialise:
    """The loader's worker_init_fn, for a worker whose ``get_worker_info().dataset`` is the user's own."""

    def __init__(self, worker_init_fn: Callable[[int], None] | None, dataset: Any) -> None:
        self._worker_init_fn = worker_init_fn
        self._dataset = dataset

    def __call__(self, worker: int) -> None:
        info = get_worker_info()
        torch_worker._worker_info = torch_worker.WorkerInfo(
            id=info.id, num_workers=info.num_workers, seed=info.seed, dataset=self._dataset.dataset
        )
        if self._worker_init_fn is not None:
            self._worker_init_fn(worker)


class _Items(list):
    """Items, and what became of the others."""

    def __init__(self, items: list[Any], failures: list[SampleError], slots: list[int], count: int) -> None:
        super().__init__(items)
        self.failures = failures
        self.slots = slots
        self.count = count


class _Failed:
    """An error on its way to the consumer."""

    def __init__(self, error: ExceptionWrapper) -> None:
        self.error = error


class _Made:
    value: Any = None


@contextmanager
def _failure_is_carried(place: Place) -> Iterator[_Made]:
    """In a worker whose place is kept an error travels as a value: the place after it is needed too."""
    made = _Made()
    try:
        yield made
    except StopIteration:
        raise
    except Exception:
        if not place.keeps or get_worker_info() is None:
            raise
        made.value = _Failed(ExceptionWrapper(where=f"in DataLoader worker process {_worker_id()}"))


def _worker_id() -> int:
    info = get_worker_info()
    return info.id if info is not None else 0


def keeps_state(thing: Any) -> bool:
    """Whether it is ``Stateful``, as torchdata calls it."""
    return hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")


def _restore_generators(kept: dict[str, Any]) -> None:
    if "generators" in kept:
        GeneratorStates.from_json(kept["generators"]).restore()


def _named(index: Any, path: Any, make: Callable[[], Any]) -> Any:
    """Errors of reading and decoding get the sample's name; errors of the user's own code stay as they are."""
    try:
        return make()
    except OSError as error:
        kind = DecodeError if isinstance(error, PIL.UnidentifiedImageError) or error.errno is None else ReadError
        raise sample_error(kind, int(index), name_of(path), error) from error
    except Exception as error:
        if opens(path):
            raise
        raise sample_error(ReadError, int(index), name_of(path), error) from error


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
