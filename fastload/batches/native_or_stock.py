"""Who makes the batches of a loader: native threads, torch's workers with native samples, or torch alone."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import IterableDataset
from torch.utils.data._utils.collate import collate_tensor_fn, default_collate_fn_map, default_convert
from torch.utils.data.dataloader import default_collate
from torchvision import tv_tensors

from fastload.batches.loader_settings import LoaderSettings
from fastload.datasets import Located, locate
from fastload.engine import FileDataset
from fastload.reports import NotNative
from fastload.transforms import Reading, gives_tv_tensors, name_of, read, why_modes_not_native


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
        reading: of the transforms of the first data set that names files; None for stock.
        rests_on: of each such data set: its transform, its target_transform, and how the first was read.
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
        for files, (transform, target_transform, _) in zip(self.located.file_datasets, self.rests_on, strict=True):
            if files.dataset.transform is not transform or files.dataset.target_transform is not target_transform:
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


def choose(settings: LoaderSettings, *, frozen: bool = False) -> Mode:
    """Who makes the batches of such a loader. ``frozen``: later changes to which files the data set names are not to be seen."""
    try:
        if isinstance(settings.dataset, IterableDataset):
            raise NotNative("the data set is iterable-style")
        if why := why_modes_not_native():
            raise NotNative(why)
        located = locate(settings.dataset, frozen=frozen)
        readings = {id(files.dataset.transform): read(files.dataset.transform) for files in located.file_datasets}
        reading = readings[id(located.file_datasets[0].dataset.transform)]
        useless = next((r for r in readings.values() if not r.native), None)
        if useless is not None:
            raise NotNative(f"no transform is native ({useless.tail_reason or 'there is none'})")
    except NotNative as error:
        return Mode(Way.stock, reason=str(error))
    reason, *further = [*_whys(settings, located.file_datasets, reading, len(readings))] or [""]
    if reason and settings.has_thread_workers:
        return Mode(Way.stock, reason=f"{reason}, and torch's workers are threads")
    rests_on = (
        (d.transform, d.target_transform, readings[id(d.transform)]) for d in (x.dataset for x in located.file_datasets)
    )
    return Mode(Way.native, bool(reason), reason, located, reading, tuple(rests_on), tuple(further))


def _whys(settings: LoaderSettings, file_datasets: list[FileDataset], reading: Reading, recipes: int) -> Iterator[str]:
    """Why batches cannot come from threads; nothing if they can. User code runs only where torch would run it."""
    if recipes > 1:
        yield "the data sets have different transforms"
    if reading.tail:
        yield f"{name_of(reading.tail[0])} and what follows runs in Python"
    elif not reading.is_tensor:
        yield "the transforms end in an image, not in a tensor"
    elif reading.size is None:
        yield "the transforms give images of different sizes"
    if any(files.has_targets and files.dataset.target_transform is not None for files in file_datasets):
        yield "there is a target_transform"
    if len({files.has_targets for files in file_datasets}) > 1:
        yield "only some of the data sets have targets"
    if settings.num_workers > 0 and gives_tv_tensors() and reading.pixelwise.kind is tv_tensors.Image:
        yield "torchvision's return type is set, which workers may have or not"
    yield from whys_of_options(settings)


def whys_of_options(settings: LoaderSettings) -> Iterator[str]:
    """What in the loader's own options keeps its batches from threads."""
    if not settings.in_batches:
        yield "batch_size=None"
    if settings.collate_fn is not (default_collate if settings.in_batches else default_convert):
        yield "there is a collate_fn"
    if default_collate_fn_map.get(torch.Tensor) is not collate_tensor_fn:
        yield "default_collate was changed for tensors"
    if settings.num_workers > 0 and settings.worker_init_fn is not None:
        yield "there is a worker_init_fn"
