"""Whether native threads make a loader's batches; if not, every reason, what to change, and who is told: once by a warning."""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision.datasets.folder import IMG_EXTENSIONS

from fastload.batches.loader_settings import LoaderSettings
from fastload.batches.native_or_stock import Mode, Way, choose, whys_of_options
from fastload.datasets import locate
from fastload.engine import is_of_images
from fastload.images import explained
from fastload.reports import FastloadWarning, NotNative, NotNativeError
from fastload.transforms import Reading, own_of, read

# What to change, by what a reason says; the first that fits.
_REMEDIES = (
    (
        "works on lazy images",
        "call fastload.install() before the loop: torch's loader makes the batches then, of native views",
    ),
    ("is iterable-style", "use a data set with indices: ImageFolder, or fastload.ImageFiles"),
    (
        "has a loader of its own",
        'leave out loader= if it only opens the file, or let it be Image.open(path).convert("RGB")',
    ),
    ("image backend", 'call torchvision.set_image_backend("PIL")'),
    ("__getitems__", "leave it out"),
    (
        "overrides `__getitem__`",
        "do what it does in a transform or to the batch, or let torch's workers have native images: fastload.install()",
    ),
    (
        "is no ImageFolder",
        "use ImageFolder itself with a transform, or fastload.ImageFiles(paths, targets, transform), which other data sets may "
        "be made from",
    ),
    ("there is none", "give the data set a torchvision transform that ends in a tensor"),
    ("end in an image", "end them with ToTensor() or ToImage()"),
    ("different sizes", "fix the size with Resize((height, width)) or a crop"),
    ("different transforms", "give the data sets the same transform object"),
    (
        "target_transform",
        "let it do nothing but compute a value of a number or text, with workers by its own code alone (no look-up in a list or "
        "dictionary), or change the targets in samples",
    ),
    ("some of the data sets have targets", "give targets to all or none"),
    ("batch_size=None", "give a batch_size"),
    (
        ", which is not native: ",
        "change that, or leave the collate_fn out and mix the batches that the loader gives: mix(images, targets)",
    ),
    ("collate_fn", "where samples have one size, leave it out and do what it does to the batch"),
    ("default_collate", "leave torch's default_collate_fn_map as it is"),
    ("worker_init_fn", "leave it out, or let it do nothing but seed generators: no user code runs in native threads"),
    ("after the conversion to a tensor", "put the conversion to a tensor behind it"),
    ("runs in Python", "leave it out, do it to the batch, or put it behind all that is native"),
    ("no transform is native", "begin with torchvision's transforms, and with arguments that it documents"),
)
_PLACES_OF_OURS = tuple(
    str(folder) + os.sep for folder in (Path(__file__).parents[1], Path(torch.utils.data.__file__).parent)
)
_DEPTH = 3  # how far data sets are looked for within data sets


def not_native_error(settings: LoaderSettings) -> NotNativeError | None:
    """With every reason why native threads do not make the batches of such a loader; None if they do."""
    found = reasons(settings, choose(settings))
    return NotNativeError([with_remedy(settings, reason) for reason in found]) if found else None


def warn_if_lost(settings: LoaderSettings, mode: Mode, told: frozenset[str]) -> frozenset[str]:
    """Says why images do not come from native threads: one line, but for what was ``told``. Silent where there are no images.

    Returns:
        All that the loader has been told by now.
    """
    if mode.way is Way.native and not mode.in_workers:
        return told
    new = [reason for reason in reasons(settings, mode) if reason not in told]
    if not new or (mode.way is Way.stock and not concerns_images(settings.dataset)):
        return told
    where = "torch's workers" if settings.num_workers else "the main process"
    who = "torch's loader makes the batches" if mode.way is Way.stock else f"the batches are made in {where}"
    because = "; ".join(with_remedy(settings, reason) for reason in new)
    warnings.warn(
        f"fastload: {who}, not native threads: {because}. loader.explain() says all",
        FastloadWarning,
        stacklevel=_users_level(),
    )
    return told.union(new)


def reasons(settings: LoaderSettings, mode: Mode) -> list[str]:
    """All of them, the mode's own first; none for native threads."""
    if mode.way is Way.native and not mode.in_workers:
        return []
    found = [mode.reason]
    if mode.reading is not None and mode.reading.tail:
        found[0] += f" ({mode.reading.tail_reason})"
    found += mode.further
    readings = [] if mode.reading is None else [mode.reading]
    if mode.way is Way.stock:
        for dataset in _parts(settings.dataset):
            try:
                readings += [read(files.dataset.transform) for files in locate(dataset).file_datasets]
            except NotNative as reason:
                found.append(str(reason))
                if is_of_images(dataset):
                    readings.append(read(dataset.transform))
        found += [f"no transform is native ({r.tail_reason or 'there is none'})" for r in readings if not r.native]
        found += whys_of_options(settings)
    found += [reason for reading in readings for reason in _further_in_tail(reading)]
    return list(dict.fromkeys(found))


def further_lines(settings: LoaderSettings, mode: Mode) -> list[str]:
    """What ``explain()`` says behind the mode: all other reasons, and what is native all the same."""
    also = [f"  also: {reason}" for reason in reasons(settings, mode)[1:]]
    return also + (explained(settings.dataset) if mode.way is Way.stock else [])


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
    if is_of_images(dataset):
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


def with_remedy(settings: LoaderSettings, reason: str) -> str:
    """A reason, and what to change."""
    remedy = next((remedy for said, remedy in _REMEDIES if said in reason), "")
    if held := _compose_in_wrapper(settings, reason):
        remedy = f"if calling {held} is all that it does, give the data set that; several views are native with fastload.Views"
    return f"{reason} [{remedy}]" if remedy else reason


def _compose_in_wrapper(settings: LoaderSettings, reason: str) -> str:
    """Where a transform that is not native has one Compose in it: the attribute's name."""
    for dataset in _parts(settings.dataset):
        transform = getattr(dataset, "transform", None)
        own = own_of(transform) or {}
        modules = own.get("_modules")
        held = {**own, **(modules if isinstance(modules, dict) else {})}
        composes = [name for name, value in held.items() if isinstance(value, (v1.Compose, v2.Compose))]
        if len(composes) == 1 and f"({type(transform).__name__}:" in reason:
            return f"its {composes[0]}"
    return ""


def users_line() -> str:
    """FILE:LINE of the first line, from here up, that is neither torch's loader's nor ours."""
    frame = sys._getframe(_users_level() - 1)
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def _users_level() -> int:
    """The stacklevel, seen from the function that calls this, of the first line that is neither torch's loader's nor ours."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PLACES_OF_OURS):
        level, frame = level + 1, frame.f_back
    return level
