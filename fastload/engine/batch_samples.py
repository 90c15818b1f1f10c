"""The samples of one batch as the engine takes them, and what is known about those that it could not make."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image

from fastload import _core
from fastload.engine.file_dataset import FileDataset
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

    Attributes:
        indices: as the sampler gave them, counted from the start of the data set.
        paths, targets: of each, paths or other names as text; None where the index is none.
        given: the path or SampleSource of each, as the plain loader takes it.
        cache_names: of those that the cache knows by a name.

    Args:
        target_transforms: what is done to the targets of a data set, by its id; only what is known to compute a value and no more.
    """

    def __init__(
        self,
        find: Callable[[int], tuple[FileDataset, int]],
        indices: Sequence[Any],
        length: int,
        cache: SampleCache | None = None,
        target_transforms: Mapping[int, Callable[[Any], Any]] | None = None,
    ) -> None:
        self.indices: list[int] = []
        self.paths: list[str | None] = []
        self.sources: list[Any] = []  # in the engine's form
        self.cache_names: list[str | None] = []
        self.targets: list[Any] = []
        self._causes: dict[int, Exception] = {}
        self._asked: dict[int, Any] = {}  # in the place of an index
        self._loads: list[Any] = []
        self.given: list[Any] = []
        for given in indices:
            # A bad index fails when its turn comes, like any bad sample: no bytes here, and load() raises.
            index, path, target = -1, None, None
            form: Any = b""  # no bytes: load() is asked
            cache_name = name = None
            try:
                index = _as_index(given, find)
                files, within = find(index)
                path, target = files.sample(within)
                transform = target_transforms.get(id(files.dataset)) if target_transforms else None
                target = target if transform is None else transform(target)
                load = files.load_of(within, self._target_of(len(self.targets), transform))
                if type(path) is str:  # as most are: this is done for each sample
                    name = name_of(path)
                    form = b"" if name is None else name
                else:
                    cache_name = None if cache is None else cache_name_of(path)
                    is_kept = cache is not None and cache.has_named(cache_name)
                    form = path.cached_form() if is_kept else engine_form_of(path)  # what is there need not be fetched
                index += length if index < 0 else 0
            except Exception as error:
                load = _raiser(error)
                if index == -1:
                    self._asked[len(self.indices)] = given
            self.indices.append(index)
            self.paths.append(name_of(path) if name is None else name)
            self.sources.append(form)
            self.cache_names.append(cache_name)
            self.targets.append(target)
            self._loads.append(load)
            self.given.append(path)

    def _target_of(self, slot: int, transform: Callable[[Any], Any] | None) -> Callable[[Any], None]:
        """What notes another target."""

        def note(target: Any) -> None:
            self.targets[slot] = target if transform is None else transform(target)

        return note

    def refuse(self, slot: int, error: Exception) -> None:
        """Before the engine is asked: that sample is not read, and this is why."""
        self.sources[slot], self._loads[slot] = b"", _raiser(error)

    def load(self, slot: int, why: str, encoded: bytes | None = None) -> np.ndarray | None:
        """Pillow's RGB pixels, uint8 [height, width, 3], or None and a cause. ``encoded``: the file's bytes, where a cache has
        them. Called on the engine's threads."""
        try:
            return np.asarray(load_with(self._loads[slot], self.given[slot], encoded))
        except Exception as error:
            self._causes[slot] = error
            return None

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
            failed[slot] = sample_error(kind_of(code), index, self.paths[slot], cause)
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


def _as_index(given: Any, find: Callable[[Any], tuple[FileDataset, Any]]) -> int:
    """Raises, of what is none, what the data set raises that is asked for it."""
    try:
        return operator.index(given)
    except TypeError:
        files, within = find(given)
        files.sample(within)
        raise


def _raiser(error: Exception) -> Any:
    def load(path: str | None) -> Any:
        raise error

    return load
