"""Items of data sets, ``(image, target)`` and the like, made in the process that asks for them.

One after the other where Python code runs in between; a list at a time on a few threads where none does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import add
from typing import Any, Protocol

import numpy as np
import PIL.Image
import torch
import torch.utils.data
from torchvision import tv_tensors

from fastload import _core
from fastload.engine.batch_memory import BatchMemory
from fastload.engine.batch_samples import BatchSamples, pixel_limit
from fastload.engine.cpu_share import share_of_cores
from fastload.engine.file_dataset import FileDataset, Find, file_dataset_of, items_of_files
from fastload.engine.random_generators import drawing, from_torch, undone
from fastload.engine.sample_cache import SampleCache, cache_name_of
from fastload.engine.sample_places import places_here
from fastload.engine.sample_sources import SampleSource, ask_for, engine_form_of, file_of, load_with
from fastload.engine.thread_pools import AtWork, engine_of, leave_if_all_ends
from fastload.reports import NotNative
from fastload.transforms import Pixelwise, Reading, read, why_modes_not_native

# Batches of items that their collate_fn may still hold when the next ones are made.
_LISTS_IN_USE = 3
_MOST_RECIPES = 64  # that are known at once


class HasEntries(Protocol):
    """What has the entry points of samples, for this process."""

    @property
    def native(self) -> _core.EntryStore | None: ...


class Items:
    """Makes items one by one on the calling thread, whichever, drawing from torch's generator as torchvision would.

    Attributes:
        cache: where samples are looked up and kept; None: nowhere.
        entries: which has the entry points of samples; None: there are none.
        found, looked_up: of the samples so far, those that it had, and all.
        entered: … that were decoded by entry points, of which some were kept, and whose were of no use.
    """

    def __init__(self, cache: SampleCache | None = None, entries: HasEntries | None = None) -> None:
        self.cache = cache
        self.entries = entries
        self.found = self.looked_up = 0
        self.entered: tuple[int, ...] = (0, 0, 0)
        self._reader = _core.Reader()
        self._recipes: dict[int, tuple[Any, Reading, _core.Target]] = {}
        self._sure: set[int] = set()  # of these nothing can have changed since they were looked at

    def begin(self) -> None:
        """Before each list of items: anything may have happened since the last one."""
        self._sure.clear()

    def item(self, files: FileDataset, within: int, words: tuple[int, int, int] | None = None) -> Any:
        """Item ``within`` of such a data set. With ``words`` (seed, epoch, index) the native draws depend on these alone."""
        leave_if_all_ends()
        dataset = files.dataset
        path, target = files.sample(within)
        reading, form = self.recipe(dataset.transform)
        array = self._read(files, path, reading, form, words)
        if array is None:
            return files.plain_item(within)  # Pillow knows, or raises; the generator is as it was
        sample = _as_torchvision_has_it(array, reading, path)
        if reading.tail or dataset.target_transform is not None:
            self._sure.clear()  # Python code may change anything
        for step in reading.steps_after(dataset.transform) if reading.tail else ():
            sample = step(sample)
        if not files.has_targets:
            return sample
        if dataset.target_transform is not None:
            target = dataset.target_transform(target)
        return sample, target

    def _open(self, files: FileDataset, path: Any, *, by_index: bool) -> _core.OpenSample | None:
        """None: it cannot be made natively. With a cache Pillow's pixels can be, as they are to be kept; and where draws depend on
        the index, as there the engine draws for Pillow's pixels too. Pillow's errors are raised."""
        load = lambda encoded: np.asarray(load_with(files.load, path, encoded))  # noqa: E731
        entries = None if self.entries is None else self.entries.native
        if self.cache is None:
            return self._reader.open(
                engine_form_of(path), pixel_limit(), load=load if by_index else None, entries=entries
            )
        self.looked_up += 1
        name = cache_name_of(path)
        opened = self._reader.open(
            path.cached_form()
            if self.cache.has_named(name)
            else engine_form_of(path),  # what is there need not be fetched
            pixel_limit(),
            cache=self.cache.native,
            cache_name=name,
            cache_variant=self.cache.variant,
            load=load,
            entries=entries,
        )
        self.found += opened is not None and opened.was_cached
        return opened

    def _read(
        self, files: FileDataset, path: Any, reading: Reading, form: _core.Target, words: tuple[int, int, int] | None
    ) -> np.ndarray | None:
        """None: it cannot be made natively, and nothing was drawn."""
        opened = self._open(files, path, by_index=words is not None)
        if opened is None:
            return None
        try:
            return self._drawn_and_read(opened, reading, form, words)
        finally:
            self.entered = tuple(map(add, self.entered, opened.entries))

    def _drawn_and_read(
        self, opened: _core.OpenSample, reading: Reading, form: _core.Target, words: tuple[int, int, int] | None
    ) -> np.ndarray | None:
        if words is not None:
            return opened.read(form, places_here()) if opened.draw_indexed(reading.recipe, *words) else None
        recipe = reading.recipe
        if not recipe.draws:
            return opened.read(form, places_here()) if opened.draw(recipe, _no_draws()) else None
        undo: Callable[[], None]
        if recipe.draws_python or recipe.draws_numpy:
            with drawing(recipe) as drawn:  # only now: to open it may take for ever
                if not opened.draw(recipe, drawn.native):
                    return None
                drawn.keep(drawn.native)
            undo = drawn.undo
        else:
            draw = from_torch(opened.draw_from, recipe)
            if draw is None:
                return None
            undo = undone(draw)
        array = None
        try:
            array = opened.read(form, places_here())
        finally:
            if array is None:
                undo()
        return array

    def recipe(self, transform: Any) -> tuple[Reading, _core.Target]:
        """The transform as read, and the form of a sample in torchvision's memory order."""
        known = self._recipes.get(id(transform))
        if known is None or (id(transform) not in self._sure and not known[1].watch.holds()):
            reading = read(transform)
            form = reading.pixelwise.target("hwc" if reading.pixelwise.interleaved else "chw")
            self._recipes.pop(id(transform), None)
            if len(self._recipes) >= _MOST_RECIPES:  # code may make its transforms anew for each sample
                self._sure.discard(oldest := next(iter(self._recipes)))
                del self._recipes[oldest]
            known = self._recipes[id(transform)] = (
                transform,
                reading,
                form,
            )  # holds the transform: its id stays its own
        self._sure.add(id(transform))
        return known[1], known[2]


@contextmanager
def asked_for(
    datasets: Iterable[FileDataset],
    find: Callable[[Any], tuple[FileDataset, int]],
    indices: Iterable[Any],
    cache: SampleCache | None = None,
) -> Iterator[None]:
    """Samples that are far away come at the same time, and not each when the one before it is made. But for those in the cache."""
    held: list[SampleSource] = []
    if not any(files.is_far for files in datasets):
        yield
        return
    try:
        found = [find(index) for index in indices]
        sources = [files.sample(within)[0] for files, within in found]
        held = ask_for(one for one in sources if cache is None or not cache.has_named(cache_name_of(one)))
    except Exception:  # whoever makes the item says so
        pass
    yield
    del held


class ItemLists:
    """Makes lists of items of one data set; what ``__getitems__`` of this package's data sets does.

    Inside one of torch's worker processes the threads are the worker's share of the cores, so that workers times threads never
    exceeds them. Never part of a pickle.
    """

    def __init__(self) -> None:
        self._items = Items()
        self._of_thread = threading.local()
        self._engines: dict[int | None, _core.Engine] = {}  # by torch's thread worker; None: everybody else's
        self._memory = BatchMemory()
        self._pid = os.getpid()

    @property
    def is_inherited(self) -> bool:
        """Whether it was made in the process that this one was forked from, where its threads are."""
        return self._pid != os.getpid()

    def item(self, dataset: Any, index: Any) -> Any:
        """One item, made on the calling thread."""
        try:
            files = file_dataset_of(dataset)
        except NotNative:
            return dataset._plain_item(index)
        if isinstance(index, slice) or why_modes_not_native() or items_of_files().what_changed():
            return dataset._plain_item(index)
        items: Items | None = getattr(self._of_thread, "items", None)
        if items is None:
            items = self._of_thread.items = Items()
        items.begin()
        with asked_for([files], lambda index: (files, index), [index]):
            return items.item(files, index)

    def items(self, dataset: Any, indices: Iterable[Any]) -> list[Any]:
        """``[dataset[i] for i in indices]``, with the same items, errors and random numbers."""
        with AtWork():
            return self._items_of(dataset, indices)

    def _items_of(self, dataset: Any, indices: Iterable[Any]) -> list[Any]:
        indices = list(indices)  # a sampler may give a tensor, or what can only be walked through
        try:
            files = file_dataset_of(dataset)
        except NotNative:
            return [dataset[index] for index in indices]
        if why_modes_not_native() or items_of_files().what_changed():
            return [dataset[index] for index in indices]
        self._items.begin()
        reading, form = self._items.recipe(dataset.transform)
        in_python = reading.tail or (files.has_targets and dataset.target_transform is not None)
        if in_python or not reading.is_tensor or reading.size is None or not indices:
            with asked_for([files], lambda index: (files, index), indices):
                return [self._items.item(files, index) for index in indices]
        return self._from_threads(files, indices, reading, form)

    def _from_threads(self, files: FileDataset, indices: list[Any], reading: Reading, form: _core.Target) -> list[Any]:
        assert reading.size is not None
        self._memory.reclaim(remember=_LISTS_IN_USE)
        samples = BatchSamples(Find(files), indices, len(files.dataset))
        if reading.recipe.draws:
            with drawing(reading.recipe) as drawn:
                batch = self._made(samples, reading, form, drawn.native)
                drawn.keep(batch.generators_after)
        else:
            batch = self._made(samples, reading, form, _no_draws())
        failures = samples.failures(batch, reading)
        if failures:
            raise failures[min(failures)]
        pixelwise = reading.pixelwise
        channels, (height, width) = pixelwise.table.shape[0], reading.size
        shape = torch.Size((len(indices), channels, height, width))
        stride = (channels * height * width, height * width, width, 1)
        if pixelwise.interleaved:
            stride = (channels * height * width, 1, channels * width, channels)
        images = self._memory.lend(batch.take_block(), shape, pixelwise.table.dtype, stride)
        made = [_of_kind(image, pixelwise.kind) for image in images]
        return list(zip(made, samples.targets, strict=True)) if files.has_targets else made

    def _made(
        self, samples: BatchSamples, reading: Reading, form: _core.Target, generators: _core.Streams
    ) -> _core.Batch:
        assert reading.size is not None
        batch = self._engine().submit(
            samples.sources,
            samples.numbers,
            recipe=reading.recipe,
            target=form,
            size=reading.size,
            out=self._memory.native,
            order=_core.DrawOrder(generators),
            seed=0,
            epoch=0,
            stop_at_failure=True,
            max_pixels=pixel_limit(),
            load=samples.load,
        )
        batch.wait()
        return batch

    def _engine(self) -> _core.Engine:
        worker = torch.utils.data.get_worker_info()
        whose = worker.id if worker is not None and getattr(worker, "worker_method", "") == "thread" else None
        engine = self._engines.get(whose)
        if engine is None or engine.is_forked_copy:
            engine = self._engines[whose] = engine_of(None, share_of_cores())
        return engine


def _no_draws() -> _core.Streams:
    """For recipes that draw nothing."""
    return _core.Streams(_core.Mt19937(0))


def _as_torchvision_has_it(array: np.ndarray, reading: Reading, path: Any) -> Any:
    """The very object that the first transform of the tail would have been given."""
    pixelwise = reading.pixelwise
    if not reading.is_tensor:
        image = PIL.Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
        with PIL.Image.open(file_of(path)) as opened:
            image.info = dict(opened.info)
        return image
    return finished_tensor(array, pixelwise)


def finished_tensor(array: np.ndarray, pixelwise: Pixelwise) -> Any:
    """What the engine made of a sample, as the transforms would have it: type, element, strides."""
    tensor = torch.from_numpy(array)
    if pixelwise.table.dtype == torch.bfloat16:
        tensor = tensor.view(torch.bfloat16)
    if pixelwise.interleaved:
        tensor = tensor.permute(2, 0, 1)
    if tensor.shape[1:] == (1, 1) and pixelwise.kind is not np.ndarray:
        tensor = tensor.as_strided(tensor.shape, pixelwise.strides_of_one_pixel())
    return _of_kind(tensor, pixelwise.kind)


def _of_kind(tensor: torch.Tensor, kind: type) -> Any:
    if kind is np.ndarray:
        return tensor.numpy()
    return tensor if kind is torch.Tensor else tv_tensors.wrap(tensor, like=tv_tensors.Image(tensor[:, :1, :1]))
