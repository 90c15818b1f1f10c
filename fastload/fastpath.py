"""Whether native threads make a loader's batches; if not, every reason, what to change, and who is told: once by a warning."""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from fastload.datasets.files import ImageFiles
from fastload.datasets.leaf import NotNative
from fastload.datasets.locate import locate
from fastload.errors import FastloadWarning, NotNativeError
from fastload.modes import Mode, Way, choose, whys_of_loader
from fastload.transforms import Reading, read

if TYPE_CHECKING:
    from fastload.loader import DataLoader

# What to change, by what a reason says; the first that fits.
_REMEDIES = (
    ("is iterable-style", "use a data set with indices: ImageFolder, or fastload.ImageFiles"),
    ("has a loader of its own", "leave out loader=, and do what it does in a transform"),
    ("image backend", 'call torchvision.set_image_backend("PIL")'),
    ("__getitems__", "leave it out"),
    (
        "is no ImageFolder",
        "use ImageFolder itself with a transform, or fastload.ImageFiles(paths, targets, transform), which other data sets may "
        "be made from",
    ),
    ("there is none", "give the data set a torchvision transform that ends in a tensor"),
    ("end in an image", "end them with ToTensor() or ToImage()"),
    ("different sizes", "fix the size with Resize((height, width)) or a crop"),
    ("different transforms", "give the data sets the same transform object"),
    ("target_transform", "change the targets in samples, or those of the batch"),
    ("some of the data sets have targets", "give targets to all or none"),
    ("batch_size=None", "give a batch_size"),
    ("collate_fn", "leave it out, and do what it does to the batch"),
    ("default_collate", "leave torch's default_collate_fn_map as it is"),
    ("worker_init_fn", "leave it out: no user code runs in native threads"),
    ("runs in Python", "leave it out, put it last, or do it to the batch"),
    ("no transform is native", "begin with torchvision's transforms, and with arguments that it documents"),
)
_PLACES_OF_OURS = tuple(os.path.dirname(file) + os.sep for file in (__file__, torch.utils.data.__file__))
_DEPTH = 3  # how far data sets are looked for within data sets


def require_native(loader: torch.utils.data.DataLoader[Any]) -> None:
    """Raises :class:`NotNativeError` with every reason, unless native threads make the batches of ``loader``, as it is now.

    Example:
        >>> import fastload
        >>> fastload.require_native(fastload.DataLoader([1, 2, 3]))
        Traceback (most recent call last):
            ...
        fastload.errors.NotNativeError: native threads do not make the batches of this loader: the data set builtins.list ...
    """
    from fastload.loader import DataLoader

    if not isinstance(loader, DataLoader):
        name = f"{type(loader).__module__}.{type(loader).__qualname__}"
        remedy = "import DataLoader from fastload, or call fastload.install() before it is made"
        raise NotNativeError([f"{name} is no fastload.DataLoader ({remedy})"])
    found = reasons(loader, choose(loader))
    if found:
        raise NotNativeError([_with_remedy(loader, reason) for reason in found])


def warn_if_lost(loader: DataLoader[Any], mode: Mode) -> None:
    """Says why images do not come from native threads: one line, each reason once a loader. Silent where there are no images."""
    if mode.way is Way.native and not mode.in_workers:
        return
    new = [reason for reason in reasons(loader, mode) if reason not in loader._told]
    if not new or (mode.way is Way.stock and not concerns_images(loader.dataset)):
        return
    loader._told = loader._told.union(new)
    who = "torch's loader makes the batches" if mode.way is Way.stock else "the batches are made in torch's workers"
    because = "; ".join(_with_remedy(loader, reason) for reason in new)
    warnings.warn(
        f"fastload: {who}, not native threads: {because}. loader.explain() says all",
        FastloadWarning,
        stacklevel=_users_level(),
    )


def reasons(loader: DataLoader[Any], mode: Mode) -> list[str]:
    """All of them, the mode's own first; none for native threads."""
    if mode.way is Way.native and not mode.in_workers:
        return []
    found = [mode.reason]
    if mode.reading is not None and mode.reading.tail:
        found[0] += f" ({mode.reading.tail_reason})"
    found += mode.further
    readings = [] if mode.reading is None else [mode.reading]
    if mode.way is Way.stock:
        for dataset in _parts(loader.dataset):
            try:
                readings += [read(leaf.dataset.transform) for leaf in locate(dataset).leaves]
            except NotNative as reason:
                found.append(str(reason))
                if isinstance(dataset, (ImageFolder, ImageFiles)):
                    readings.append(read(dataset.transform))
        found += [f"no transform is native ({r.tail_reason or 'there is none'})" for r in readings if not r.native]
        found += whys_of_loader(loader)
    found += [reason for reading in readings for reason in _further_in_tail(reading)]
    return list(dict.fromkeys(found))


def _further_in_tail(reading: Reading) -> Iterator[str]:
    """Why steps after the first in Python would not be native either, had that one been."""
    kept = list(reading.native)
    for step in reading.tail[1:]:
        again = read(v1.Compose([*kept, step]))
        if again.tail:
            yield again.tail_reason
        else:
            kept.append(step)


def _parts(dataset: Any) -> Iterator[Any]:
    """The data sets under Subset and ConcatDataset."""
    if type(dataset) is Subset:
        yield from _parts(dataset.dataset)
    elif type(dataset) is ConcatDataset:
        for part in dataset.datasets:
            yield from _parts(part)
    else:
        yield dataset


def concerns_images(dataset: Any, depth: int = _DEPTH) -> bool:
    """Whether a data set is one of image files, holds one, or has a list that names image files."""
    if isinstance(dataset, (ImageFolder, ImageFiles)):
        return True
    held = getattr(dataset, "__dict__", {}).values()
    inner = [part for value in held for part in (value[:100] if type(value) in (list, tuple) else [value])]
    if depth and any(concerns_images(part, depth - 1) for part in inner if isinstance(part, Dataset)):
        return True
    return isinstance(dataset, Dataset) and any(map(_names_images, held))


def _names_images(value: Any) -> bool:
    """Of a list, an array or a table of pandas: whether there is an image's name in its first row. No code of the user runs."""
    first = _begin_of(value, 1)
    cells = first + [cell for row in first for cell in _begin_of(row, 10)]
    return any(str(cell).lower().endswith(IMG_EXTENSIONS) for cell in cells if isinstance(cell, (str, PurePath)))


def _begin_of(value: Any, count: int) -> list[Any]:
    """The first things in a list, an array or a table of pandas; of all else, a data set in a list say, nothing."""
    if type(value).__module__.partition(".")[0] == "pandas":
        value = value.head(count).values if hasattr(value, "head") else ()
    if type(value) not in (list, tuple, np.ndarray) or getattr(value, "ndim", 1) == 0:
        return []
    return list(itertools.islice(value, count))


def _with_remedy(loader: DataLoader[Any], reason: str) -> str:
    remedy = next((remedy for said, remedy in _REMEDIES if said in reason), "")
    if held := _compose_in_wrapper(loader, reason):
        remedy = f"it holds a Compose: give the data set {held} instead"
    return f"{reason} [{remedy}]" if remedy else reason


def _compose_in_wrapper(loader: DataLoader[Any], reason: str) -> str:
    """Where a transform that is not native has nothing but a Compose in it: the attribute's name."""
    for dataset in _parts(loader.dataset):
        transform = getattr(dataset, "transform", None)
        held = {**getattr(transform, "__dict__", {}), **getattr(transform, "_modules", {})}
        for name, value in held.items():
            if isinstance(value, (v1.Compose, v2.Compose)) and f"({type(transform).__name__}:" in reason:
                return f"its {name}"
    return ""


def _users_level() -> int:
    """The stacklevel, seen from the function that calls this, of the first line that is neither torch's loader's nor ours."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PLACES_OF_OURS):
        level, frame = level + 1, frame.f_back
    return level
