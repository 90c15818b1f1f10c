"""Who makes the batches of a loader: native threads, torch's workers with native samples, or torch alone."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import IterableDataset
from torch.utils.data._utils.collate import collate_tensor_fn, default_collate_fn_map, default_convert
from torch.utils.data.dataloader import default_collate
from torchvision import tv_tensors

from fastload import _core
from fastload.batches.known_collates import Collate, collates_natively
from fastload.batches.loader_settings import LoaderSettings
from fastload.batches.worker_seeds import only_seeds
from fastload.datasets import Located, locate
from fastload.engine import FileDataset, Find
from fastload.reports import NotNative
from fastload.transforms import (
    Look,
    Reading,
    gives_tv_tensors,
    name_of,
    read,
    still_holds,
    why_impure,
    why_modes_not_native,
)


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
        looks: what code of the program was read from.
        notes: what else is to be said.
        collate: what the engine does in the place of the collate_fn; None: it is called.
    """

    way: Way
    in_workers: bool = False
    reason: str = ""
    located: Located | None = None
    reading: Reading | None = None
    rests_on: tuple[tuple[Any, Any, Reading], ...] = ()
    further: tuple[str, ...] = ()
    looks: tuple[Look, ...] = ()
    notes: tuple[str, ...] = ()
    collate: Collate | None = None

    def holds(self) -> bool:
        """Whether the data set, its transforms and what they call are still as they were. Tens of microseconds."""
        if self.located is None or not self.located.holds():
            return False
        for files, (transform, target_transform, _) in zip(self.located.file_datasets, self.rests_on, strict=True):
            if files.dataset.transform is not transform or files.dataset.target_transform is not target_transform:
                return False
        readings = {id(reading): reading for _, _, reading in self.rests_on}.values()
        return all(reading.watch.holds() for reading in readings) and still_holds(self.looks)

    @property
    def files(self) -> Sequence[FileDataset]:
        """The data sets that name files; none for stock."""
        return self.located.file_datasets if self.located is not None else ()

    @property
    def find(self) -> Find | None:
        """Where a sample is: its data set that names files, and its index there; None for stock."""
        return None if self.located is None else self.located.find

    @property
    def erases(self) -> bool:
        """Whether values of samples are erased, so that their bytes do not tell them."""
        return self.reading is not None and bool(self.reading.pixelwise.erased)

    @property
    def name(self) -> str:
        """For ``stats()``."""
        return f"{self.way.value} in workers" if self.in_workers else self.way.value

    def describe(self, settings: LoaderSettings) -> str:
        """For ``explain()``."""
        if self.way is Way.stock or self.reading is None:
            return f"stock: {self.reason}"
        where = f"in {settings.thread_count} threads of this process"
        if self.in_workers:
            who = "torch's workers" if settings.num_workers else "the main process (num_workers=0)"
            where = f"in {who}, because {self.reason}"
        lines = [f"native: images are read, decoded and transformed {where}"]
        lines += [f"  native: {transform}" for transform in self.reading.native]
        if self.reading.tail:
            lines += [f"  Python: {transform}" for transform in self.reading.tail]
            lines.append(f"  the first in Python: {self.reading.tail_reason}")
        lines += [f"  {note}" for note in self.notes]
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
    collate, called_because = None, ""
    try:
        collate = collates_natively(settings, reading, located.file_datasets)
    except NotNative as why:
        called_because = str(why)
    looks: list[Look] = [*collate.looks] if collate is not None else []
    whys = _whys(settings, located.file_datasets, reading, len(readings), looks, collate, called_because)
    reason, *further = [*whys] or [""]
    notes: tuple[str, ...] = ()
    if not reason and collate is not None and collate.mixing is not None:
        notes = (f"collate_fn: it is default_collate and {collate.mixing.name}, which whole batches get natively",)
    if not reason and settings.num_workers > 0 and settings.worker_init_fn is not None:
        notes += ("worker_init_fn: it only seeds generators, and is not run; native draws are seeded as it says",)
    if reason and settings.has_thread_workers:
        return Mode(Way.stock, reason=f"{reason}, and torch's workers are threads")
    rests_on = (
        (d.transform, d.target_transform, readings[id(d.transform)]) for d in (x.dataset for x in located.file_datasets)
    )
    return Mode(
        Way.native,
        bool(reason),
        reason,
        located,
        reading,
        tuple(rests_on),
        tuple(further),
        tuple(looks),
        notes,
        collate,
    )


def _whys(
    settings: LoaderSettings,
    file_datasets: list[FileDataset],
    reading: Reading,
    recipes: int,
    looks: list[Look],
    collate: Collate | None,
    called_because: str,
) -> Iterator[str]:
    """Why batches cannot come from threads; nothing if they can. User code runs only where torch would run it."""
    if recipes > 1:
        yield "the data sets have different transforms"
    if reading.tail:
        yield f"{name_of(reading.tail[0])} and what follows runs in Python"
    elif not reading.is_tensor:
        yield "the transforms end in an image, not in a tensor"
    elif reading.size is None:
        yield "the transforms give images of different sizes"
    for files in file_datasets:
        if files.target_transform is not None:
            impure, rests_on = why_impure(files.target_transform, in_workers=settings.num_workers > 0)
            looks += rests_on
            if impure:
                yield "there is a target_transform"
            elif not files.has_plain_targets:
                yield "there is a target_transform, and targets that are neither numbers nor texts"
    if len({files.has_targets for files in file_datasets}) > 1:
        yield "only some of the data sets have targets"
    if settings.num_workers > 0 and gives_tv_tensors() and reading.pixelwise.kind is tv_tensors.Image:
        yield "torchvision's return type is set, which workers may have or not"
    collates = settings.in_batches and collate is not None
    yield from whys_of_options(settings, collates=collates, called_because=called_because, recipe=reading.recipe)


def whys_of_options(
    settings: LoaderSettings, *, collates: bool = False, called_because: str = "", recipe: _core.Recipe | None = None
) -> Iterator[str]:
    """What in the loader's own options keeps its batches from threads.

    Args:
        collates: the engine makes what its collate_fn would.
        called_because: why it does not; empty: nobody knows what the collate_fn does.
        recipe: what draws; None: it is not known yet.
    """
    if not settings.in_batches:
        yield "batch_size=None"
    if not collates and settings.collate_fn is not (default_collate if settings.in_batches else default_convert):
        yield called_because or "there is a collate_fn"
    if default_collate_fn_map.get(torch.Tensor) is not collate_tensor_fn:
        yield "default_collate was changed for tensors"
    if settings.num_workers > 0 and settings.worker_init_fn is not None:
        context = settings.torch_loader.multiprocessing_context
        if not only_seeds(settings.worker_init_fn, settings.num_workers, context, recipe):
            yield "there is a worker_init_fn"
