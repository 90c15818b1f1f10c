"""Who makes the batches of a loader: native threads, torch's workers with native samples, or torch alone."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import IterableDataset
from torch.utils.data._utils.collate import collate_tensor_fn, default_collate_fn_map, default_convert
from torch.utils.data.dataloader import default_collate
from torchvision import tv_tensors

from fastload import settings
from fastload.datasets.leaf import Leaf, NotNative
from fastload.datasets.locate import Located, locate
from fastload.transforms import Reading, name_of, read

if TYPE_CHECKING:
    from fastload.loader import DataLoader


class Way(enum.Enum):
    """The first word of ``explain()``."""

    native = "native"
    stock = "stock"


@dataclass(frozen=True)
class Mode:
    """A decision, and what it rests on.

    Attributes:
        way: native or stock.
        in_workers: native samples, but inside torch's own iterator (its processes, or the caller's thread without workers).
        reason: why this and nothing faster; empty for native threads.
        located: where samples are; None for stock.
        reading: of the transforms of the first leaf; None for stock.
        rests_on: of each leaf: its transform, its target_transform, and how the first was read.
        further: reasons beside ``reason``.
    """

    way: Way
    in_workers: bool = False
    reason: str = ""
    located: Located | None = None
    reading: Reading | None = None
    rests_on: tuple[tuple[Any, Any, Reading], ...] = ()
    further: tuple[str, ...] = ()

    def holds(self) -> bool:
        """Whether the data set, its transforms and what they call are still as they were. Tens of microseconds."""
        if self.located is None or not self.located.holds():
            return False
        for leaf, (transform, target_transform, _) in zip(self.located.leaves, self.rests_on, strict=True):
            if leaf.dataset.transform is not transform or leaf.dataset.target_transform is not target_transform:
                return False
        return all(reading.watch.holds() for reading in {id(r): r for _, _, r in self.rests_on}.values())

    @property
    def name(self) -> str:
        """For ``stats()``."""
        return f"{self.way.value} in workers" if self.in_workers else self.way.value

    def describe(self, threads: int) -> str:
        """For ``explain()``."""
        if self.way is Way.stock or self.reading is None:
            return f"stock: {self.reason}"
        where = (
            f"in torch's workers, because {self.reason}" if self.in_workers else f"in {threads} threads of this process"
        )
        lines = [f"native: images are read, decoded and transformed {where}"]
        lines += [f"  native: {transform}" for transform in self.reading.native]
        if self.reading.tail:
            lines += [f"  Python: {transform}" for transform in self.reading.tail]
            lines.append(f"  the first in Python: {self.reading.tail_reason}")
        return "\n".join(lines)


def choose(loader: DataLoader[Any], *, frozen: bool = False) -> Mode:
    """Reads the loader as it is now. ``frozen``: later changes to which files the data set names are not to be seen."""
    try:
        if isinstance(loader.dataset, IterableDataset):
            raise NotNative("the data set is iterable-style")
        if why := settings.why_not_native():
            raise NotNative(why)
        located = locate(loader.dataset, frozen=frozen)
        readings = {id(leaf.dataset.transform): read(leaf.dataset.transform) for leaf in located.leaves}
        reading = readings[id(located.leaves[0].dataset.transform)]
        useless = next((r for r in readings.values() if not r.native), None)
        if useless is not None:
            raise NotNative(f"no transform is native ({useless.tail_reason or 'there is none'})")
    except NotNative as reason:
        return Mode(Way.stock, reason=str(reason))
    reason, *further = [*_whys(loader, located.leaves, reading, len(readings))] or [""]
    if reason and runs_thread_workers(loader):
        return Mode(Way.stock, reason=f"{reason}, and torch's workers are threads")
    rests_on = (
        (d.transform, d.target_transform, readings[id(d.transform)]) for d in (x.dataset for x in located.leaves)
    )
    return Mode(Way.native, bool(reason), reason, located, reading, tuple(rests_on), tuple(further))


def runs_thread_workers(loader: DataLoader[Any]) -> bool:
    """Whether torch would run user code in threads of this process."""
    return loader.num_workers > 0 and getattr(loader, "worker_method", "") == "thread"


def _whys(loader: DataLoader[Any], leaves: list[Leaf], reading: Reading, recipes: int) -> Iterator[str]:
    """Why batches cannot come from threads; nothing if they can. User code runs only where torch would run it."""
    if recipes > 1:
        yield "the data sets have different transforms"
    if reading.tail:
        yield f"{name_of(reading.tail[0])} and what follows runs in Python"
    elif not reading.is_tensor:
        yield "the transforms end in an image, not in a tensor"
    elif reading.size is None:
        yield "the transforms give images of different sizes"
    if any(leaf.has_targets and leaf.dataset.target_transform is not None for leaf in leaves):
        yield "there is a target_transform"
    if len({leaf.has_targets for leaf in leaves}) > 1:
        yield "only some of the data sets have targets"
    if loader.num_workers > 0 and settings.gives_tv_tensors() and reading.pixelwise.kind is tv_tensors.Image:
        yield "torchvision's return type is set, which workers may have or not"
    yield from whys_of_loader(loader)


def whys_of_loader(loader: DataLoader[Any]) -> Iterator[str]:
    """What in the loader's own options keeps its batches from threads."""
    if not loader._auto_collation:
        yield "batch_size=None"
    if loader.collate_fn is not (default_collate if loader._auto_collation else default_convert):
        yield "there is a collate_fn"
    if default_collate_fn_map.get(torch.Tensor) is not collate_tensor_fn:
        yield "default_collate was changed for tensors"
    if loader.num_workers > 0 and loader.worker_init_fn is not None:
        yield "there is a worker_init_fn"
