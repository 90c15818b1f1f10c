"""Whether a storage that was lent as a tensor is still held by anybody but the one who lent it."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Mapping
from typing import Any

import torch

# How many tensors, views, arrays and saved graphs hold a storage; torch's own graph trees decide by it what may be overwritten.
# What Python holds, as x.untyped_storage(), x.storage() and whatever has these as an attribute, is one object, counted by Python.
_use_count = getattr(torch._C, "_storage_Use_Count", None)


def can_tell() -> bool:
    """Whether this torch says who holds a storage, and copies to an accelerator have read it when their call has returned."""
    return _use_count is not None and _copies_from_pageable_memory_are_done_on_return()


def as_tensors_have_it(storage: torch.UntypedStorage) -> torch.UntypedStorage:
    """The object that ``untyped_storage()`` of every tensor on it is. Torch 2.4 makes another one for shared memory."""
    return torch.empty(0, dtype=torch.uint8, device="cpu").set_(storage).untyped_storage()


def is_held(kept: Mapping[Any, tuple[torch.UntypedStorage, int, int]], key: Any) -> bool:
    """Whether anything but the entry ``kept[key]`` (storage, address, bytes) holds that storage."""
    if _use_count is None or _references(kept, key) != _ALONE:
        return True
    # Torch 2.4 counts nothing in both: in between, another thread may have put the storage in the place of its tensor.
    return _use_count(kept[key][0]._cdata) > 1 or _references(kept, key) != _ALONE


def is_as_it_was(kept: Mapping[Any, tuple[torch.UntypedStorage, int, int]], key: Any) -> bool:
    """Whether a storage that nobody holds is still where it was, and nobody can come back to it: had it not been kept it would be
    gone by now, and what refers to it weakly would say so."""
    storage, address, nbytes = kept[key]
    return storage.nbytes() == nbytes and storage.data_ptr() == address and weakref.getweakrefcount(storage) == 0


def is_of_one_tensor(tensor: torch.Tensor) -> bool:
    """Whether no other tensor shares its memory."""
    return _use_count is not None and _use_count(tensor.untyped_storage()._cdata) == _OF_ONE_TENSOR


def _references(kept: Mapping[Any, tuple[torch.UntypedStorage, int, int]], key: Any) -> int:
    """To a storage from Python, those of this call included."""
    return sys.getrefcount(kept[key][0])


# Versions of Python and torch differ; where C++ holds it too, some count one more.
_ALONE = _references({0: (torch.UntypedStorage(1, device="cpu"), 0, 1)}, 0)
_one = torch.empty(1, device="cpu")
_OF_ONE_TENSOR = _use_count(_one.untyped_storage()._cdata) if _use_count is not None else 0
del _one


def _copies_from_pageable_memory_are_done_on_return() -> bool:
    accelerator = torch.accelerator.current_accelerator() if hasattr(torch, "accelerator") else None
    if accelerator is None:
        return not torch.backends.mps.is_available()
    return accelerator.type == "cuda"
