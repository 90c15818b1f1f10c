"""The samples of one batch as the engine takes them, and what is known about those that it could not make."""

from __future__ import annotations

import itertools
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import PIL.Image

from fastload import _core
from fastload.engine.file_dataset import FileDataset, Find
from fastload.engine.random_generators import as_they_were
from fastload.engine.sample_cache import SampleCache, cache_name_of
from fastload.engine.sample_sources import engine_form_of, load_with, name_of
from fastload.reports import FastloadError, kind_of, sample_error
from fastload.transforms import Reading

# Pillow raises above twice its limit and warns above it; from the limit on it is asked.
_NO_PIXEL_LIMIT = 0
# How far "skip" and "replace" look for a sample that can stand in for a batch without a readable one.
_STAND_INS_TRIED = 1000


def pixel_limit() -> int:
    """Pillow's limit as it is now; larger images are left to Pillow, which warns or refuses."""
    return PIL.Image.MAX_IMAGE_PIXELS or _NO_PIXEL_LIMIT


def stand_in_indices(failures: list[FastloadError], length: int) -> Iterator[int]:
    """Where to look for a stand-in: on from the last that failed, for a while."""
    last = max(error.index for error in failures)
    for step in range(1, min(length, _STAND_INS_TRIED + 1)):
        yield (last + step) % length


class BatchSamples:
    """The samples of one batch, and Pillow's word on those that the engine cannot make.

    All are looked up in a few passes over the batch. Only where that fails is it done one by one, to find out whose error it is.

    Attributes:
        indices: as the sampler gave them, counted from the start of the data set.
        numbers: the same as the engine takes them, in 64 bits without a sign.
        given: the path or SampleSource of each, as the plain loader takes it; None where the index is none.
        targets: of each.
        sources: of each, in the engine's form.
        cache_names: of those that the cache knows by a name.

    Args:
        target_transforms: what is done to the targets of a data set, by its id; only what is known to compute a value and no more.
    """

    indices: list[int]
    given: list[Any]
    targets: list[Any]
    _files: list[FileDataset]
    _within: list[Any]

    def __init__(
        self,
        find: Find,
        indices: Iterable[Any],
        length: int,
        cache: SampleCache | None = None,
        target_transforms: Mapping[int, Callable[[Any], Any]] | None = None,
    ) -> None:
        self._transforms = target_transforms or {}
        self._causes: dict[int, Exception] = {}
        self._asked: dict[int, Any] = {}  # in the place of an index
        self._refused: dict[int, Exception] = {}
        asked = list(indices)
        try:
            self._look_up_all(find, asked)
        except Exception:
            self._look_up_each(find, asked, length)
        self.sources: list[Any] = []
        self.cache_names: list[str | None] = []
        if _are_plain_names(self.given):
            self.sources, self.cache_names = [*self.given], [None] * len(asked)
            for slot in self._refused:
                self.sources[slot] = b""
        else:
            self._take_forms(cache)

    @property
    def numbers(self) -> list[int]:
        indices = self.indices
        return indices if not indices or (min(indices) >= 0 and max(indices) < 2**63) else [i % 2**64 for i in indices]

    def _look_up_all(self, find: Find, asked: list[Any]) -> None:
        self.indices = list(map(operator.index, asked))
        if self.indices and min(self.indices) < 0:
            raise IndexError
        self._files, self._within = find.each(self.indices)
        first = self._files[0]
        if all(map(operator.is_, self._files, itertools.repeat(first))):
            self.given, self.targets = self._of_one(first, self._within)
            return
        slots_of: dict[int, list[int]] = {}
        for slot, files in enumerate(self._files):
            slots_of.setdefault(id(files), []).append(slot)
        self.given, self.targets = [None] * len(asked), [None] * len(asked)
        for slots in slots_of.values():
            found = self._of_one(self._files[slots[0]], [self._within[slot] for slot in slots])
            for slot, path, target in zip(slots, *found, strict=True):
                self.given[slot], self.targets[slot] = path, target

    def _of_one(self, files: FileDataset, within: list[Any]) -> tuple[list[Any], list[Any]]:
        """Paths and targets in one data set."""
        paths, targets = files.samples_at(within)
        transform = self._transforms.get(id(files.dataset))
        return paths, targets if transform is None else list(map(transform, targets))

    def _look_up_each(self, find: Find, asked: list[Any], length: int) -> None:
        """A bad index fails when its turn comes, like any bad sample."""
        self.indices, self.given, self.targets = [], [], []
        self._files, self._within = [], []
        for slot, given in enumerate(asked):
            index, path, target = -1, None, None
            files: Any = None
            within: Any = None
            try:
                index = _as_index(given, find)
                files, within = find(index)
                path, target = files.sample(within)
                transform = self._transforms.get(id(files.dataset))
                target = target if transform is None else transform(target)
                index += length if index < 0 else 0
            except Exception as error:
                self._refused[slot] = error
                if index == -1:
                    self._asked[slot] = given
            self.indices.append(index)
            self.given.append(path)
            self.targets.append(target)
            self._files.append(files)
            self._within.append(within)

    def _take_forms(self, cache: SampleCache | None) -> None:
        for slot, path in enumerate(self.given):
            form: Any = b""  # no bytes: load() is asked
            cache_name = None
            try:
                if slot not in self._refused:
                    cache_name = None if cache is None else cache_name_of(path)
                    is_kept = cache is not None and cache.has_named(cache_name)
                    form = path.cached_form() if is_kept else engine_form_of(path)  # what is there need not be fetched
            except Exception as error:
                self._refused[slot] = error
            self.sources.append(form)
            self.cache_names.append(cache_name)

    def path(self, slot: int) -> str | None:
        """A path or another name as text; None where the index is none."""
        return name_of(self.given[slot])

    def refuse(self, slot: int, error: Exception) -> None:
        """Before the engine is asked: that sample is not read, and this is why."""
        self.sources[slot], self._refused[slot] = b"", error

    def load(self, slot: int, why: str, encoded: bytes | None = None) -> np.ndarray | None:
        """Pillow's RGB pixels, uint8 [height, width, 3], or None and a cause. ``encoded``: the file's bytes, where a cache has
        them. Called on the engine's threads."""
        try:
            return np.asarray(load_with(self._loader_of(slot), self.given[slot], encoded))
        except Exception as error:
            self._causes[slot] = error
            return None

    def _loader_of(self, slot: int) -> Callable[[Any], Any]:
        if slot in self._refused:
            return _raiser(self._refused[slot])
        files = self._files[slot]
        transform = self._transforms.get(id(files.dataset))

        def note(target: Any) -> None:
            self.targets[slot] = target if transform is None else transform(target)

        return files.load_of(self._within[slot], note)

    def failures(self, batch: _core.Batch, reading: Reading) -> dict[int, FastloadError]:
        """The error of each slot that failed in a batch that is done."""
        failed: dict[int, FastloadError] = {}
        failures = batch.failures
        if failures and all(code == "cancelled" for _, code, _ in failures):
            raise RuntimeError("this batch was cancelled: its engine was stopped")
        for slot, code, message in failures:
            if code == "cancelled":
                continue
            cause: Exception | str = self._causes.get(slot, message)
            if code == "transform":
                cause = self._transform_error(slot, reading) or _REFUSALS.get(message, str)(message)
            index = self._asked.get(slot, self.indices[slot])
            failed[slot] = sample_error(kind_of(code), index, self.path(slot), cause)
        return failed

    def _transform_error(self, slot: int, reading: Reading) -> Exception | None:
        """torchvision's own error for an image that a transform refuses; no random number is used up."""
        pixels = self.load(slot, "transform")
        if pixels is None:
            return self._causes.get(slot)
        image = PIL.Image.fromarray(pixels)
        with as_they_were():
            try:
                for transform in reading.native:
                    image = transform(image)
            except Exception as error:
                return error
        return None


# What torch and Pillow raise of that kind: with other random numbers than the sample's they might not.
_REFUSALS: dict[str, type[Exception]] = {
    "crop larger than the image": ValueError,
    "resized to nothing": ValueError,
    "too small to be reflected so far": RuntimeError,
    "bits must be between or equal to 1 and 8": ValueError,  # of timm's policies
}


def _are_plain_names(paths: list[Any]) -> bool:
    """Whether all are text that the engine takes as it is."""
    try:
        text = "\0".join(paths)
        return (text.isascii() or bool(os.fsencode(text))) and text.count("\0") < max(1, len(paths))
    except (TypeError, UnicodeError):
        return False


def _as_index(given: Any, find: Find) -> int:
    """Raises, of what is none, what the data set raises that is asked for it."""
    try:
        return operator.index(given)
    except TypeError:
        files, within = find(given)
        files.sample(within)
        raise


def _raiser(error: Exception) -> Callable[[Any], Any]:
    def load(path: Any) -> Any:
        raise error

    return load
