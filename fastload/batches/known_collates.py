"""Functions that collate a batch as the engine makes it: torch's default, and timm's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data.dataloader import default_collate

from fastload.engine import FileDataset
from fastload.transforms import Reading

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


def collates_natively(collate_fn: Any, reading: Reading, file_datasets: list[FileDataset]) -> bool:
    """Whether ``collate_fn`` is timm's and makes of such samples the batch that the engine makes."""
    pixelwise = reading.pixelwise
    if not is_fast_collate(collate_fn) or pixelwise.table.dtype != torch.uint8:
        return False
    if pixelwise.kind not in (torch.Tensor, np.ndarray):
        return False
    return all(
        files.has_targets and files.target_transform is None and files.has_int_targets for files in file_datasets
    )
