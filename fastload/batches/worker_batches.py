"""In a worker: whole batches of native samples, written by the engine straight into a block of shared memory."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from operator import add
from typing import Any

import numpy as np
import torch
from torch.utils.data._utils.collate import collate_tensor_fn, default_collate, default_collate_fn_map

from fastload import _core
from fastload.batches.worker_blocks import WorkerBlocks, blocks_of_this_worker
from fastload.datasets import Located
from fastload.engine import BatchSamples, Engine, Items, SampleCache, drawing, engine_of, pixel_limit
from fastload.entries import EntryPoints
from fastload.transforms import Reading, gives_tv_tensors


@dataclass
class MadeBatch:
    """What default_collate would have made of the samples, but for the targets; None: there are none."""

    images: torch.Tensor
    targets: list[Any] | None

    def collated(self) -> Any:
        """The batch."""
        return self.images if self.targets is None else [self.images, default_collate(tuple(self.targets))]


class WholeBatches:
    """Of one data set in one worker, with one thread, as the worker would be one.

    Attributes:
        found, looked_up: of the samples so far, those that the cache had, and all.
        entered: … that were decoded by entry points, of which some were kept, and whose were of no use.
    """

    def __init__(self, cache: SampleCache | None, entries: EntryPoints | None) -> None:
        self.found = self.looked_up = 0
        self.entered: tuple[int, ...] = (0, 0, 0)
        self._cache = cache
        self._entries = entries
        self._engine: Engine | None = None
        self._target: tuple[Reading, _core.Target] | None = None

    def made(
        self, located: Located, length: int, items: Items, indices: list[Any], indexed: tuple[int, int] | None
    ) -> MadeBatch | None:
        """A batch; None: it has to be made sample by sample, and nothing was drawn.

        Args:
            length: of the data set.
            items: which know the transforms.
            indexed: seed and epoch that native draws depend on beside the index; None: they come from torch's generator.
        """
        blocks, first = blocks_of_this_worker(), located.file_datasets[0]
        if blocks is None or not indices or not _are_alike(located):
            return None
        reading, _ = items.recipe(first.dataset.transform)
        if reading.tail or not reading.is_tensor or reading.size is None or not _stacks(reading.pixelwise.kind):
            return None
        samples = BatchSamples(located.find, indices, length, self._cache)
        if indexed is not None:
            images = self._written(samples, reading, blocks, None, indexed)
        elif not reading.recipe.draws:
            images = self._written(samples, reading, blocks, _core.DrawOrder(_core.Streams(_core.Mt19937(0))), (0, 0))
        else:
            with drawing(reading.recipe) as drawn:
                order = _core.DrawOrder(drawn.native)
                images = self._written(samples, reading, blocks, order, (0, 0))
                if images is not None:
                    drawn.keep(order.generators())
        return None if images is None else MadeBatch(images, samples.targets if first.has_targets else None)

    def _written(
        self,
        samples: BatchSamples,
        reading: Reading,
        blocks: WorkerBlocks,
        order: _core.DrawOrder | None,
        indexed: tuple[int, int],
    ) -> torch.Tensor | None:
        """The images; None: there is no block, or a sample failed, which whoever makes it alone will say."""
        assert reading.size is not None
        if self._target is None or self._target[0] is not reading:
            self._target = reading, reading.pixelwise.target("chw")
        dtype = reading.pixelwise.table.dtype
        shape = (len(samples.indices), reading.pixelwise.table.shape[0], *reading.size)
        nbytes = int(np.prod(shape)) * dtype.itemsize
        block = blocks.take(nbytes)
        if block is None:
            return None
        memory = (ctypes.c_uint8 * nbytes).from_address(block.data_ptr())
        memory.block = block  # type: ignore[attr-defined]  # which the engine holds while it writes, should the wait be interrupted
        self._engine = engine_of(self._engine, 1)
        batch = self._engine.submit(
            samples.sources,
            samples.numbers,
            recipe=reading.recipe,
            target=self._target[1],
            size=reading.size,
            out=np.frombuffer(memoryview(memory), np.uint8),
            order=order,
            seed=indexed[0],
            epoch=indexed[1],
            stop_at_failure=True,
            max_pixels=pixel_limit(),
            load=samples.load,
            entries=None if self._entries is None else self._entries.native,
            **({} if self._cache is None else self._cache.asked_for(samples)),
        )
        batch.wait()
        if batch.failures:
            return None
        self.entered = tuple(map(add, self.entered, batch.entries))
        if self._cache is not None:
            self.found += batch.cached
            self.looked_up += len(samples.indices)
        return torch.empty(0, dtype=dtype, device="cpu").set_(block).view(shape)


def _are_alike(located: Located) -> bool:
    """Whether all samples are made in one way, without code of the user's."""
    first = located.file_datasets[0]
    return all(
        files.dataset.transform is first.dataset.transform
        and files.has_targets == first.has_targets
        and not (files.has_targets and files.dataset.target_transform is not None)
        for files in located.file_datasets
    )


def _stacks(kind: type) -> bool:
    """Whether default_collate, as it is now, stacks such tensors to a plain one."""
    if gives_tv_tensors() and kind is not torch.Tensor:
        return False
    return all(
        function is collate_tensor_fn if known is torch.Tensor else not issubclass(kind, known)
        for known, function in default_collate_fn_map.items()
    )
