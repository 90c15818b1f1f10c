"""A folder of class folders of images."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torchvision.datasets
import torchvision.datasets.folder
from torchvision.datasets.folder import default_loader, has_file_allowed_extension

from fastload.datasets.batched_getitems import GivesLists
from fastload.datasets.exclude_lists import Exclude, excluded_names, path_below, warn_of_unknown
from fastload.datasets.remote_samples import RemoteSamples, images_below, in_class_folders
from fastload.datasets.sample_table import SampleTable
from fastload.engine import load_sample, names_files
from fastload.remote import is_remote, redacted
from fastload.shards import refuse_unfinished


class ImageFolder(GivesLists, torchvision.datasets.ImageFolder):
    """torchvision's ``ImageFolder`` with a compact index.

    Same signature, classes, order, items and errors; ``samples`` (and ``imgs``) is a read-only sequence of ``(path, target)``
    that takes tens of bytes a sample instead of hundreds. Assigning a list to ``samples`` works as with torchvision's.

    Args:
        exclude: samples that are left out, by their path below ``root`` with "/", as ``class/file.jpg``, or a file of these, one a
            line.

    ``root`` may be a URL (``s3://bucket/train``): what lies below it is asked once and kept in the user's cache folder;
    ``ImageFolder.refresh(url)`` asks anew. Each sample's path is a :class:`RemoteObject` then.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
        *,
        exclude: Exclude = None,
    ) -> None:
        if is_remote(root) and loader is default_loader:
            loader = load_sample
        if isinstance(root, str | os.PathLike) and not is_remote(root):
            refuse_unfinished([os.path.expanduser(os.fsdecode(root))])
        super().__init__(root, transform, target_transform, loader, is_valid_file, allow_empty)
        if unwanted := excluded_names(exclude):
            before = len(self.samples)
            self._leave_out(unwanted)
            warn_of_unknown(exclude, unwanted, before - len(self.samples))

    def _leave_out(self, unwanted: frozenset[str]) -> None:
        samples = vars(self)["samples"]
        if isinstance(samples, RemoteSamples):
            kept: Any = samples.without(lambda url: url[len(str(self.root).rstrip("/")) + 1 :] in unwanted)
        else:
            kept = SampleTable(sample for sample in samples if path_below(sample[0], self.root) not in unwanted)
        self.samples = self.imgs = kept
        self.targets = [target for _, target in kept]

    @staticmethod
    def refresh(root: str) -> None:
        """Asks what lies below a URL, and keeps that for the data sets that are made from now on. Raises OSError."""
        images_below(root, refresh=True)

    def find_classes(self, directory: Any) -> tuple[list[str], dict[str, int]]:
        """The folders right below, sorted."""
        if not is_remote(directory):
            found: tuple[list[str], dict[str, int]] = super().find_classes(directory)
            return found
        listed = images_below(directory, refresh=False, is_image=lambda path: True)
        classes = sorted(in_class_folders(directory, listed))
        if not classes:
            raise FileNotFoundError(f"Couldn't find any class folder in {redacted(directory)}.")
        return classes, {name: number for number, name in enumerate(classes)}

    @staticmethod
    def make_dataset(
        directory: str,
        class_to_idx: dict[str, int],
        extensions: str | tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> SampleTable | RemoteSamples | list[tuple[str, int]]:
        """``(path, target)`` of every image file, class by class, as torchvision lists them."""
        if is_remote(directory) and class_to_idx:
            return _remote_samples(directory, class_to_idx, extensions, is_valid_file, allow_empty)
        walk = torchvision.datasets.folder.make_dataset
        if not class_to_idx:  # torchvision's errors
            plain = torchvision.datasets.DatasetFolder.make_dataset
            none: list[tuple[str, int]] = plain(directory, class_to_idx, extensions, is_valid_file, allow_empty)
            return none
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


def _remote_samples(
    url: str,
    class_to_idx: dict[str, int],
    extensions: str | tuple[str, ...] | None,
    is_valid_file: Callable[[str], bool] | None,
    allow_empty: bool,
) -> RemoteSamples:
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("Both extensions and is_valid_file cannot be None or not None at the same time")
    is_image = is_valid_file or (lambda path: has_file_allowed_extension(path, extensions))
    of_class = in_class_folders(url, images_below(url, refresh=False, is_image=is_image))
    empty = sorted(set(class_to_idx) - of_class.keys())
    if empty and not allow_empty:
        raise FileNotFoundError(f"Found no valid file for the classes {', '.join(empty)}.")
    listed = [(one, class_to_idx[name]) for name in sorted(class_to_idx) for one in of_class.get(name, [])]
    return RemoteSamples(listed)


names_files(ImageFolder)
