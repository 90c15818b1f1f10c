"""Tensors of a batch that lie in a worker's own memory, moved into blocks; torch would move them into new shared memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch

from fastload.batches.worker_blocks import WorkerBlocks
from fastload.engine import is_of_one_tensor

# Of a batch: how deep its containers are looked into, and how many of its tensors are moved.
_DEPTH, _MOST_TENSORS = 4, 32


def move_into_blocks(batch: Any, blocks: WorkerBlocks, samples: Any = None) -> None:
    """In place, as torch does: whoever holds such a tensor sees it in shared memory from now on. Others are left to torch.

    Args:
        batch: a container.
        samples: what else holds tensors of the batch, once.
    """
    _move_parts(batch, blocks, set(_tensors_in(samples, _DEPTH)), _DEPTH, _MOST_TENSORS)


def _move_parts(batch: Any, blocks: WorkerBlocks, beside: set[int], depth: int, most: int) -> int:
    """How many more may be moved."""
    for part in batch.values() if type(batch) is dict else batch if isinstance(batch, (list, tuple)) else ():
        if most == 0:
            break
        if type(part) is torch.Tensor:
            if sys.getrefcount(part) <= _REFERENCES + (id(part) in beside):
                _move(part, blocks)
                most -= 1
        elif depth and isinstance(part, (list, tuple, dict)):
            most = _move_parts(part, blocks, beside, depth - 1, most)
    return most


def _tensors_in(samples: Any, depth: int) -> Iterator[int]:
    """Their ids."""
    for part in samples.values() if type(samples) is dict else samples if isinstance(samples, (list, tuple)) else ():
        if type(part) is torch.Tensor:
            yield id(part)
        elif depth and isinstance(part, (list, tuple, dict)):
            yield from _tensors_in(part, depth - 1)


def _move(tensor: torch.Tensor, blocks: WorkerBlocks) -> None:
    if (
        tensor.layout is not torch.strided
        or tensor.device.type != "cpu"
        or tensor.requires_grad
        or tensor.is_inference()
        or tensor.is_conj()
        or tensor.is_neg()
        or tensor.is_quantized
        or tensor.is_shared()
        or not is_of_one_tensor(tensor)
    ):
        return
    storage = tensor.untyped_storage()
    block = blocks.take(storage.nbytes())
    if block is not None:
        block.copy_(storage)
        with torch.no_grad():
            tensor.set_(block, tensor.storage_offset(), tensor.size(), tensor.stride())


def _references_of(batch: list[torch.Tensor]) -> int:
    """As the loop above has them, where the batch alone holds a tensor. An array that was made of its memory holds it, too."""
    for part in batch:
        return sys.getrefcount(part)
    raise AssertionError


_REFERENCES = _references_of([torch.empty(0, device="cpu")])
