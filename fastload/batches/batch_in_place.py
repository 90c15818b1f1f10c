"""In a worker: samples that are written straight into the batch that default_collate would have copied them to.

A sample's tensor looks like any other while code of the data set's may see it: its memory is its own. Once there is a batch of
them, and nobody holds one of them any more, their memory is the batch. Where somebody does, the batch is a copy, as torch's is.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils.data._utils.collate import default_collate, default_collate_fn_map
from torchvision import tv_tensors

from fastload import _core
from fastload.batches.worker_blocks import WorkerBlocks, blocks_of_this_worker
from fastload.engine import written_to
from fastload.transforms import gives_tv_tensors, why_modes_not_native

_AS_TORCH_HAS_IT = dict(default_collate_fn_map)
_MOST_DEPTH = 4
# After so many batches in a row that were copied after all, no more is tried.
_MOST_COPIED = 4
_copied = 0


class ItemsInPlace(list[Any]):
    """The samples of a batch, of which nobody else has the list."""

    def __init__(self, items: Iterable[Any], places: _core.Places) -> None:
        super().__init__(items)
        self._places = places

    def collated(self) -> Any:
        """What default_collate makes of them. They are gone afterwards."""
        global _copied
        if default_collate_fn_map != _AS_TORCH_HAS_IT or why_modes_not_native() or torch.is_inference_mode_enabled():
            return default_collate(list(self))
        columns = {column.address: column for column in self._places.columns}
        batches: list[tuple[torch.Tensor, _core.Column]] = []
        batch = _collated(self, columns, batches, _MOST_DEPTH)
        self.clear()
        held = [one for one, column in batches if column.held or column.is_apart]
        for one in held:
            _copy(one)
        _copied = 0 if len(batches) > len(held) else _copied + 1
        return batch


def made_in_place(make: Callable[[Any], Any], indices: Any, make_all: Callable[[Any], Any] | None = None) -> list[Any]:
    """``[make(index) for index in indices]``, or ``make_all(indices)`` if that is given."""
    blocks = blocks_of_this_worker()
    if blocks is None or _copied >= _MOST_COPIED:
        return [make(index) for index in indices] if make_all is None else make_all(indices)
    places = _core.Places(functools.partial(_taken, blocks), len(indices))
    made: list[Any] = []
    with written_to(places):
        if make_all is not None:
            places.one_each()
            made = make_all(indices)
            if type(made) is not list:
                return made
        else:
            for sample, index in enumerate(indices):
                places.begin(sample)
                made.append(make(index))
    return ItemsInPlace(made, places) if places.columns else made


def _taken(blocks: WorkerBlocks, nbytes: int) -> tuple[torch.UntypedStorage, int, int] | None:
    block = blocks.take(nbytes)
    return None if block is None else (block, block.data_ptr(), blocks.descriptor_of(block))


def _collated(
    samples: Any, columns: dict[int, _core.Column], batches: list[tuple[torch.Tensor, _core.Column]], depth: int
) -> Any:
    """As default_collate, but for columns of tensors that lie in their places; these are noted in ``batches``."""
    kind = type(samples[0])
    if not columns or _references(samples) > _OF_NOBODY_ELSE[depth == _MOST_DEPTH]:
        return default_collate(samples)
    first = samples[0]
    if (kind is torch.Tensor or kind is tv_tensors.Image) and first.layout is torch.strided:
        column = columns.get(first.data_ptr())
        if column is not None and _lie_in(column, samples):
            del columns[column.address]
            batch = torch.empty(0, dtype=first.dtype, device="cpu").set_(column.block)
            batches.append((batch.view(len(samples), *first.shape), column))
            return batches[-1][0]
    elif depth and (kind is tuple or kind is list):
        if all(type(sample) is kind and len(sample) == len(first) for sample in samples):
            return [_collated(part, columns, batches, depth - 1) for part in zip(*samples, strict=True)]
    elif depth and kind is dict and all(type(sample) is kind and sample.keys() == first.keys() for sample in samples):
        return {name: _collated([s[name] for s in samples], columns, batches, depth - 1) for name in first}
    return default_collate(samples)


def _lie_in(column: _core.Column, samples: Any) -> bool:
    """Whether they are the values of the column, one sample behind the other, all of it."""
    first = samples[0]
    kind, shape, dtype = type(first), first.shape, first.dtype
    if kind is not torch.Tensor and (kind is not tv_tensors.Image or gives_tv_tensors()):
        return False
    if first.numel() * first.element_size() != column.nbytes or dtype.is_complex:
        return False
    address, alone = column.address, _uses_of_one()
    for sample in samples:
        if (
            type(sample) is not kind
            or sample.data_ptr() != address
            or sample.dtype is not dtype
            or sample.shape != shape
            or not sample.is_contiguous()
            or sample.requires_grad
            or sample.is_neg()
            or _uses(sample) != alone
        ):
            return False
        address += column.nbytes
    whole: int = column.block.nbytes()
    return address == column.address + whole


def _references(samples: Any) -> int:
    """Of the one of them that has most. Who else holds a sample, or what it is part of, may write to it at any time, and at
    last when the sample dies, as a label with a ``__del__`` does: torch has copied it by then."""
    return max(map(sys.getrefcount, samples)) + max(map(weakref.getweakrefcount, samples))


def _references_of_nobody_else() -> list[int]:
    """Of parts, and of the samples themselves, as _collated has them."""
    samples = [(torch.empty(0, device="cpu"),)]
    return [_references(part) for part in zip(*samples, strict=True)] + [_references(samples)]


_OF_NOBODY_ELSE = _references_of_nobody_else()


def _uses(tensor: torch.Tensor) -> tuple[int, ...]:
    """How many tensors and others have it or its memory."""
    storage = tensor.untyped_storage()
    ours = tensor._use_count() if hasattr(tensor, "_use_count") else 1  # not in torch 2.4
    uses = torch._C._storage_Use_Count(storage._cdata)
    return ours, uses, sys.getrefcount(storage), weakref.getweakrefcount(storage)


@functools.cache
def _uses_of_one() -> tuple[int, ...]:
    return _uses(torch.empty(1, device="cpu"))  # some torchs count who asks, too


def _copy(batch: torch.Tensor) -> None:
    """From now on it has memory of its own."""
    size, stride, copy = batch.size(), batch.stride(), batch.clone()
    batch.set_(copy.untyped_storage(), 0, size, stride)
