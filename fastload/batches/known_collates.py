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


def collates_natively(settings: LoaderSettings, reading: Reading, file_datasets: Sequence[FileDataset]) -> Collate:
    """In the place of the loader's collate_fn, of such samples.

    Raises:
        NotNative: it has to be called; in words where it is known what it does.
    """
    collate_fn = settings.collate_fn
    if collate_fn is default_collate:
        return Collate()
    pixelwise = reading.pixelwise
    if is_fast_collate(collate_fn):
        of_bytes = pixelwise.table.dtype == torch.uint8 and pixelwise.kind in (torch.Tensor, np.ndarray)
        if not of_bytes or not _have_numbers(file_datasets):
            raise NotNative
        return Collate(gives_tuples=True)
    collating = read_collate(collate_fn) if settings.in_batches else None
    if collating is None:
        raise NotNative
    if collating.mixing is None:
        if collating.unpacks and not _have_numbers(file_datasets):
            raise NotNative
        return Collate(collating.gives is tuple, None, collating.looks)
    try:
        mixing = Mixing(collating.mixing)
        _require_mixed(settings, reading, file_datasets, mixing)
    except NotNative as why:
        raise NotNative(
            f"there is a collate_fn with {type(collating.mixing).__name__}, which is not native: {why}"
        ) from None
    return Collate(collating.gives is tuple, mixing, (*collating.looks, *mixing.looks))


def _require_mixed(
    settings: LoaderSettings, reading: Reading, file_datasets: Sequence[FileDataset], mixing: Mixing
) -> None:
    """Raises NotNative where the engine has not the batches that are to be mixed."""
    values, wanted = reading.pixelwise.table.dtype, settings.dtype
    if settings.rng != "stock":
        raise NotNative(f"rng={settings.rng!r}")
    if settings.on_error != "raise":
        raise NotNative(f"on_error={settings.on_error!r}")
    if settings.device is not None:
        raise NotNative("there is a device=")
    if gives_tv_tensors():
        raise NotNative("torchvision's return type is set")
    if reading.pixelwise.kind not in (torch.Tensor, tv_tensors.Image) or reading.size is None:
        raise NotNative("samples are no tensors of one size")
    if mixing.mixes_values and values != torch.float32:
        raise NotNative(f"it mixes float32, and values are {values}")
    if mixing.mixes_values and wanted not in (None, torch.float32):
        raise NotNative(f"it mixes float32, and dtype={wanted}")
    if not _have_numbers(file_datasets):
        raise NotNative("targets are no integers of the data set")


def _have_numbers(file_datasets: Sequence[FileDataset]) -> bool:
    """Whether all targets are integers, as the data set has them."""
    return all(
        files.has_targets and files.target_transform is None and files.has_int_targets for files in file_datasets
    )
