"""Data sets that name files: what makes one, and what the engine needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torchvision
from torchvision.datasets import DatasetFolder, ImageFolder
from torchvision.datasets.folder import default_loader, pil_loader

from fastload.engine.sample_sources import load_sample
from fastload.reports import NotNative
from fastload.transforms import Reach, reach, together

# What a data set may have as its loader.
_LOADERS = (default_loader, pil_loader, load_sample)
for _loader in _LOADERS:
    reach(_loader)  # as it is when this is imported
# What gives the items of data sets that name files; most have no __getitems__.
_PLAIN: dict[str, list[Any]] = {"__getitem__": [], "__getitems__": [None]}
_places: set[tuple[type, str]] = set()


def names_files(kind: type) -> None:
    """Says of a class of this package that its items are its ``loader``'s images of the paths in its ``samples``, transformed, as
    DatasetFolder has them. A class without targets says so by ``has_targets``. To be called in the module that defines it."""
    for name, plain in _PLAIN.items():
        method = getattr(kind, name, None)
        if method is not None:
            plain.append(method)
            _places.add((kind, name))
            reach((kind, name))  # as it is now


names_files(DatasetFolder)
names_files(ImageFolder)


def gives_its_files(kind: type) -> bool:
    """Whether the ``__getitem__`` of a class is that of a class that names files."""
    return getattr(kind, "__getitem__", None) in _PLAIN["__getitem__"]


def why_items_differ(kind: type) -> str:
    """Why a class of data sets may give other items than those of its files; empty if it does not."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    if not gives_its_files(kind):
        return f"the data set {name} is no ImageFolder, DatasetFolder, ImageFiles, Subset or ConcatDataset of them"
    if getattr(kind, "__getitems__", None) not in _PLAIN["__getitems__"]:
        return f"the data set {name} defines __getitems__"
    return ""


def is_of_images(dataset: Any) -> bool:
    """Whether a data set is of one of these classes, or of a subclass; a DatasetFolder alone may be of anything."""
    return isinstance(dataset, tuple(kind for kind, _ in _places if kind is not DatasetFolder))


def items_of_files() -> Reach:
    """What gives the items of all such classes."""
    return together(frozenset(_places))


@dataclass(frozen=True)
class FileDataset:
    """A data set that names files: ``samples[i]`` is ``(path, target)``, or a SampleSource in the path's place.

    Attributes:
        frozen: the samples as they were; None: they are read live, since users filter and replace them.
    """

    dataset: Any
    has_targets: bool
    frozen: Sequence[tuple[Any, Any]] | None = None

    def rests_on(self) -> tuple[Any, ...]:
        """What makes the data set one, to be compared by identity."""
        dataset = self.dataset
        return type(dataset), dataset.loader, getattr(dataset, "has_targets", True), vars(dataset).get("__getitems__")

    def sample(self, index: int) -> tuple[Any, Any]:
        """Path, or SampleSource, and target."""
        path, target = (self.dataset.samples if self.frozen is None else self.frozen)[index]
        return path, target

    @property
    def is_far(self) -> bool:
        """Whether samples are better asked for before they are read."""
        return getattr(self.dataset.samples, "is_far", False)

    def load(self, path: Any) -> Any:
        """The RGB image as the plain loader would have it."""
        return self.dataset.loader(path)


def file_dataset_of(dataset: Any, *, frozen: bool = False) -> FileDataset:
    """The data set, if its files are opened as torchvision opens them; raises NotNative if not."""
    name = f"{type(dataset).__module__}.{type(dataset).__qualname__}"
    if dataset.loader not in _LOADERS:
        raise NotNative(f"the data set {name} has a loader of its own")
    if dataset.loader is default_loader and torchvision.get_image_backend() != "PIL":
        raise NotNative(f"torchvision's image backend is {torchvision.get_image_backend()}")
    if why := reach(dataset.loader).what_changed():
        raise NotNative(why)
    samples = None
    if frozen:
        samples = list(dataset.samples) if isinstance(dataset.samples, list) else dataset.samples
    return FileDataset(dataset, getattr(dataset, "has_targets", True), samples)
