"""Images named one by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from torch.utils.data import Dataset
from torchvision.datasets.folder import default_loader

from fastload.datasets.batched_getitems import GivesLists
from fastload.datasets.exclude_lists import Exclude, excluded_names
from fastload.datasets.sample_table import SampleTable
from fastload.engine import name_of, names_files


class ImageFiles(GivesLists, Dataset[Any]):
    """Images by path.

    Args:
        paths: any iterable of paths; one that ``open`` would not take is a sample that cannot be read.
        targets: as many integers, or None; then an item is the image alone.
        transform: torchvision transform of the RGB image.
        target_transform: of the target.
        exclude: paths of samples that are left out, or a file of paths, one a line.

    Items are ``(image, target)``, or ``image`` without targets. ``samples`` is a sequence of ``(path, target)``; the target is
    -1 where there are none.
    """

    def __init__(
        self,
        paths: Iterable[str | bytes | os.PathLike[Any]],
        targets: Iterable[int] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        *,
        exclude: Exclude = None,
    ) -> None:
        if targets is None:
            samples: Any = ((path, -1) for path in paths)
        else:
            samples = ((path, int(target)) for path, target in zip(paths, targets, strict=True))
        if unwanted := excluded_names(exclude):
            samples = (sample for sample in samples if name_of(sample[0]) not in unwanted)
        self.samples = SampleTable(samples)
        self.has_targets = targets is not None
        self.transform = transform
        self.target_transform = target_transform
        self.loader = default_loader

    @property
    def targets(self) -> list[int] | None:
        """The targets as a list, or None."""
        return [target for _, target in self.samples] if self.has_targets else None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        path, target = self.samples[index]
        image = self.loader(path)
        if self.transform is not None:
            image = self.transform(image)
        if not self.has_targets:
            return image
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target


names_files(ImageFiles)
