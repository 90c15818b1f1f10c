"""Native samples inside torch's own iterators, for loaders with Python code in them.

A transform in Python, a collate_fn, a worker_init_fn: they run where torch runs them, in worker processes (or in the caller's
thread without workers), under torch's own random generators. Only the samples are made natively, each from the generator's state
as it is and leaving it as torchvision would.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import torch
from torch.utils.data import Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter, _SingleProcessDataLoaderIter

from fastload import _core
from fastload.datasets.locate import Located, locate
from fastload.device import pins
from fastload.errors import DecodeError, FastloadError, ReadError, SampleError, sample_error
from fastload.items import Items
from fastload.modes import Mode
from fastload.native import index_seed

if TYPE_CHECKING:
    from fastload.loader import DataLoader


class NativeSamples(Dataset):
    """A data set whose items are those of ``dataset``, made natively where that is possible.

    It goes to the workers in the place of ``dataset``; other attributes are looked up there.
    """

    def __init__(self, dataset: Dataset, rng: str, seed: int, on_error: str) -> None:
        self.dataset = dataset
        self._rng = rng
        self._seed = seed
        self._on_error = on_error
        self._made_here: tuple[Located, Items] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__["dataset"], name)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made_here": None}

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: Any) -> Any:
        return self._item(index, epoch=0)

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        epoch = getattr(indices, "epoch", 0)
        if self._on_error == "raise":
            return [self._item(index, epoch) for index in indices]
        return self._readable_items(indices, epoch)

    def _readable_items(self, indices: list[Any], epoch: int) -> list[Any]:
        items: list[Any] = []
        failures: list[SampleError] = []
        for index in indices:
            try:
                items.append(self._item(index, epoch))
            except FastloadError as error:
                failures.append(SampleError(error.index, error.path, error.reason))
                items.append(error)
        good = [slot for slot, item in enumerate(items) if not isinstance(item, FastloadError)]
        if not good and self._on_error == "replace":
            raise items[0]
        if self._on_error == "replace":
            last_good = good[0]
            for slot in reversed(range(len(items))):
                if isinstance(items[slot], FastloadError):
                    items[slot] = items[next((other for other in good if other > slot), last_good)]
        else:
            items = [items[slot] for slot in good]
        return _Items(items, failures)

    def _item(self, index: Any, epoch: int) -> Any:
        if self._made_here is None:
            self._made_here = locate(self.dataset), Items()
        located, items = self._made_here
        leaf, within = located.find(index)
        path, _ = leaf.sample(within)
        if self._rng == "stock":
            return _named(index, path, lambda: items.item(leaf, within))
        with _generators_of_sample(self._seed, epoch, int(index)) as words:
            return _named(index, path, lambda: items.item(leaf, within, words))


class _Items(list):
    """Items, and what became of the others."""

    def __init__(self, items: list[Any], failures: list[SampleError]) -> None:
        super().__init__(items)
        self.failures = failures


def _named(index: Any, path: str, make: Callable[[], Any]) -> Any:
    """Errors of reading and decoding get the sample's name; errors of the user's own code stay as they are."""
    try:
        return make()
    except OSError as error:
        kind = DecodeError if isinstance(error, PIL.UnidentifiedImageError) or error.errno is None else ReadError
        raise sample_error(kind, int(index), path, error) from error


@contextmanager
def _generators_of_sample(seed: int, epoch: int, index: int) -> Iterator[tuple[int, int, int]]:
    """Python code in the sample's transforms draws from generators that depend on (seed, epoch, index) alone."""
    words = _core.philox_words(seed % 2**64, epoch ^ 0x80000000, index % 2**64, 2)
    own = words[0] << 32 | words[1]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()
    torch.default_generator.manual_seed(own)
    random.seed(own)
    np.random.seed(words[0])
    try:
        yield seed % 2**64, epoch, index % 2**64
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])


class _WithSamples:
    """A loader as torch's iterators see it, with another data set and collate_fn."""

    def __init__(self, loader: DataLoader[Any], dataset: Dataset, collate_fn: Callable[[Any], Any]) -> None:
        self._loader = loader
        self.dataset = dataset
        self.collate_fn = collate_fn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class _Indices(list):
    """The indices of a batch with the epoch that they are drawn for."""

    def __init__(self, indices: Any, epoch: int) -> None:
        super().__init__(indices)
        self.epoch = epoch

    def __reduce__(self) -> tuple:
        return type(self), (list(self), self.epoch)


class _Collated:
    """A batch on its way from a worker, with the failures of its samples."""

    def __init__(self, batch: Any, failures: list[SampleError]) -> None:
        self.batch = batch
        self.failures = failures

    def pin_memory(self) -> _Collated:
        return _Collated(torch.utils.data._utils.pin_memory.pin_memory(self.batch), self.failures)


class _Collate:
    """collate_fn that carries failures along; a batch without samples is None."""

    def __init__(self, collate_fn: Callable[[Any], Any]) -> None:
        self._collate_fn = collate_fn

    def __call__(self, items: Any) -> _Collated:
        failures = getattr(items, "failures", [])
        if failures and isinstance(items, list) and not items:
            return _Collated(None, failures)
        return _Collated(self._collate_fn(items if not failures else list(items)), failures)


class _Delivers:
    """Mixed into torch's iterators: epochs go out with indices, failures come back with batches."""

    def _begin(self, loader: DataLoader[Any]) -> None:
        self._real_loader = loader

    def _next_index(self) -> Any:
        indices = super()._next_index()  # type: ignore[misc]
        if self._real_loader.rng == "index" and self._auto_collation:  # type: ignore[attr-defined]
            return _Indices(indices, self._real_loader._epoch)
        return indices

    def _next_data(self) -> Any:
        while True:
            data = super()._next_data()  # type: ignore[misc]
            if not isinstance(data, _Collated):
                return data
            self._real_loader._errors.extend(data.failures)
            if data.batch is not None or not data.failures:
                return data.batch


class _WorkersIterator(_Delivers, _MultiProcessingDataLoaderIter):
    def __init__(self, loader: Any, real_loader: DataLoader[Any]) -> None:
        self._begin(real_loader)
        super().__init__(loader)

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        if not first_iter:
            self._real_loader._epoch += 1
        super()._reset(loader, first_iter)


class _CallerIterator(_Delivers, _SingleProcessDataLoaderIter):
    def __init__(self, loader: Any, real_loader: DataLoader[Any]) -> None:
        self._begin(real_loader)
        super().__init__(loader)


def iterate_in_workers(loader: DataLoader[Any], mode: Mode) -> Any:
    """torch's own iterator over native samples."""
    if loader.dtype is not None or loader.memory_format is not None:
        raise ValueError(f"dtype and memory_format need batches from native threads, but: {mode.reason}")
    seed = index_seed(loader) if loader.rng == "index" else 0
    samples = NativeSamples(loader.dataset, loader.rng, seed, loader.on_error)
    tolerant = loader.on_error != "raise"
    if tolerant and not loader._auto_collation:
        raise ValueError(f"on_error={loader.on_error!r} needs batches, but batch_size is None")
    view = _WithSamples(loader, samples, _Collate(loader.collate_fn) if tolerant else loader.collate_fn)
    view.pin_memory = loader.pin_memory or pins(loader.device)
    if loader.num_workers == 0:
        return _CallerIterator(view, loader)
    loader.check_worker_number_rationality()
    return _WorkersIterator(view, loader)
