"""A folder of class folders of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torchvision.datasets
import torchvision.datasets.folder

from fastload.datasets.batched_getitems import GivesLists
from fastload.datasets.exclude_lists import Exclude, excluded_names, path_below
from fastload.datasets.sample_table import SampleTable
from fastload.engine import names_files


class ImageFolder(GivesLists, torchvision.datasets.ImageFolder):
    """torchvision's ``ImageFolder`` with a compact index.

    Same signature, classes, order, items and errors; ``samples`` (and ``imgs``) is a read-only sequence of ``(path, target)``
    that takes tens of bytes a sample instead of hundreds. Assigning a list to ``samples`` works as with torchvision's.

    Args:
        exclude: samples that are left out, by their path below ``root`` with "/", as ``class/file.jpg``, or a file of these, one a
            line.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = torchvision.datasets.folder.default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
        *,
        exclude: Exclude = None,
    ) -> None:
        super().__init__(root, transform, target_transform, loader, is_valid_file, allow_empty)
        if unwanted := excluded_names(exclude):
            self._leave_out(unwanted)

    def _leave_out(self, unwanted: frozenset[str]) -> None:
        kept = SampleTable(
            sample for sample in vars(self)["samples"] if path_below(sample[0], self.root) not in unwanted
        )
        self.samples = self.imgs = kept
        self.targets = [target for _, target in kept]

    @staticmethod
    def make_dataset(
        directory: str,
        class_to_idx: dict[str, int],
        extensions: str | tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> SampleTable | list[tuple[str, int]]:
        """``(path, target)`` of every image file, class by class, as torchvision lists them."""
        walk = torchvision.datasets.folder.make_dataset
        if not class_to_idx:  # torchvision's errors
            plain = torchvision.datasets.DatasetFolder.make_dataset
            return plain(directory, class_to_idx, extensions, is_valid_file, allow_empty)
        empty: dict[str, int] = {}

        def samples() -> Any:
            # One class at a time: no list of all samples is ever made.
            for name in sorted(class_to_idx):
                of_class = walk(directory, {name: class_to_idx[name]}, extensions, is_valid_file, True)
                if not of_class:
                    empty[name] = class_to_idx[name]
                yield from of_class

        table = SampleTable(samples())
        if empty and not allow_empty:
            walk(directory, empty, extensions, is_valid_file, False)  # raises torchvision's error with all their names
        return table


names_files(ImageFolder)
