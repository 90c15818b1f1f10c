"""Functions that collate a batch as the engine makes it: torch's default, and timm's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data.dataloader import default_collate
from torchvision import tv_tensors

from fastload.batches.loader_settings import LoaderSettings
from fastload.engine import FileDataset
from fastload.reports import NotNative
from fastload.transforms import Look, Mixing, Reading, gives_tv_tensors, read_collate

# The names in the code of the versions of timm's fast_collate that are known, the newer one first.
_FAST = (
    *("isinstance", "tuple", "len", "default_collate", "ndim", "long", "np", "ndarray", "repeat", "torch", "zeros"),
    *("shape", "uint8", "range", "from_numpy", "Tensor", "copy_"),
)
_FAST_BEFORE = (
    *(
        "isinstance",
        "tuple",
        "len",
        "np",
        "ndarray",
        "torch",
        "zeros",
        "int64",
        "shape",
        "uint8",
        "range",
        "from_numpy",
    ),
    *("tensor", "Tensor", "copy_"),
)


def is_fast_collate(collate_fn: Any) -> bool:
    """Whether it is timm's: bytes of images and integer targets, in a tuple."""
    if getattr(collate_fn, "__module__", "") != "timm.data.loader" or collate_fn.__name__ != "fast_collate":
        return False
    names = getattr(getattr(collate_fn, "__code__", None), "co_names", None)
    return names == _FAST_BEFORE or (
        names == _FAST and collate_fn.__globals__.get("default_collate") is default_collate
    )


@dataclass(frozen=True)
class Collate:
    """What the engine does in the place of a collate_fn.

    Attributes:
        gives_tuples: images and targets in a tuple; else in a list.
        mixing: of the whole batch; None: nothing.
        looks: what code of the program was read from.
    """

    gives_tuples: bool = False
    mixing: Mixing | None = None
    looks: tuple[Look, ...] = ()


def collates_natively(
    settings: LoaderSettings, reading: Reading, file_datasets: Sequence[FileDataset]
) -> Collate | None:
    """In the place of the loader's collate_fn, of such samples; None: it has to be called."""
    collate_fn = settings.collate_fn
    if collate_fn is default_collate:
        return Collate()
    pixelwise = reading.pixelwise
    if is_fast_collate(collate_fn):
        of_bytes = pixelwise.table.dtype == torch.uint8 and pixelwise.kind in (torch.Tensor, np.ndarray)
        return Collate(gives_tuples=True) if of_bytes and _have_numbers(file_datasets) else None
    collating = read_collate(collate_fn) if settings.in_batches else None
    if collating is None or (collating.unpacks and not _have_numbers(file_datasets)):
        return None
    mixing = None
    if collating.mixing is not None:
        try:
            mixing = _mixing(settings, reading, collating.mixing)
        except NotNative:
            return None
    looks = (*collating.looks, *(mixing.looks if mixing is not None else ()))
    return Collate(collating.gives is tuple, mixing, looks)


def _mixing(settings: LoaderSettings, reading: Reading, transform: object) -> Mixing:
    """Where the engine has the batches that are to be mixed.

    Raises:
        NotNative: it has not, or it is another mixing.
    """
    if settings.rng != "stock" or settings.on_error != "raise" or settings.device is not None:
        raise NotNative("of batches that stock would not have")
    if settings.dtype is not None or settings.memory_format is not None or gives_tv_tensors():
        raise NotNative("of batches of another form")
    if reading.pixelwise.kind not in (torch.Tensor, tv_tensors.Image) or reading.size is None:
        raise NotNative("of samples of another form")
    mixing = Mixing(transform)
    if mixing.mixes_values and reading.pixelwise.table.dtype != torch.float32:
        raise NotNative("of values that are mixed with other roundings")
    return mixing


def _have_numbers(file_datasets: Sequence[FileDataset]) -> bool:
    """Whether all targets are integers, as the data set has them."""
    return all(
        files.has_targets and files.target_transform is None and files.has_int_targets for files in file_datasets
    )
