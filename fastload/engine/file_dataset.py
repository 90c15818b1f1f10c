"""Data sets that name files: what makes one, and what the engine needs of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torchvision
from torchvision.datasets import DatasetFolder, ImageFolder
from torchvision.datasets.folder import default_loader, pil_loader

from fastload.engine.plain_loaders import opens_like
from fastload.reports import NotNative
from fastload.transforms import Look, Reach, reach, still_holds, together

# What gives the items of data sets that name files; most have no __getitems__.
_PLAIN: dict[str, list[Any]] = {"__getitem__": [], "__getitems__": [None]}
_PLAIN_TARGETS = (int, float, str, bool)
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
    if not gives_its_files(kind) and any(issubclass(kind, known) for known, _ in _places):
        return f"the data set {name} overrides `__getitem__`"
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
        opener: what its loader does, as a loader of torchvision's or ours; and what that was told from.
        frozen: the samples as they were; None: they are read live, since users filter and replace them.
    """

    dataset: Any
    has_targets: bool
    opener: Callable[[Any], Any] = pil_loader
    looks: Sequence[Look] = ()
    frozen: Sequence[tuple[Any, Any]] | None = None

    def rests_on(self) -> tuple[Any, ...]:
        """What makes the data set one, to be compared by identity."""
        dataset = self.dataset
        return type(dataset), dataset.loader, getattr(dataset, "has_targets", True), vars(dataset).get("__getitems__")

    def opens_as_before(self) -> bool:
        """Whether files are still opened as when this was made."""
        return reach(self.opener).holds() and still_holds(self.looks)

    def sample(self, index: int) -> tuple[Any, Any]:
        """Path, or SampleSource, and target."""
        path, target = self.samples[index]
        return path, target

    def samples_at(self, indices: list[Any]) -> tuple[list[Any], list[Any]]:
        """Paths and targets of many, in a fraction of the time; raises where one of them is not there."""
        samples = self.samples
        if _is_ours(samples) and hasattr(samples, "samples_at"):
            paths, targets = samples.samples_at(indices)
            return paths, targets
        pairs = [samples[index] for index in indices]
        return [path for path, _ in pairs], [target for _, target in pairs]

    @property
    def samples(self) -> Sequence[tuple[Any, Any]]:
        """All of them."""
        return self.dataset.samples if self.frozen is None else self.frozen

    @property
    def target_transform(self) -> Any:
        """Of the targets; None where there are none, or nothing is done to them."""
        return self.dataset.target_transform if self.has_targets else None

    @property
    def has_plain_targets(self) -> bool:
        """Whether all targets are numbers or texts, or made anew each time."""
        samples = self.samples
        if _is_ours(samples):
            return True
        return isinstance(samples, list | tuple) and all(type(target) in _PLAIN_TARGETS for _, target in samples)

    @property
    def has_int_targets(self) -> bool:
        """Whether all targets are integers, as far as can be told at once."""
        return isinstance(self.samples, list) and all(type(target) is int for _, target in self.samples)

    @property
    def is_far(self) -> bool:
        """Whether samples are better asked for before they are read."""
        return getattr(self.samples, "is_far", False)

    def plain_item(self, index: int) -> Any:
        """The item, made in Python."""
        made = getattr(self.dataset, "_plain_item", None)
        return self.dataset[index] if made is None else made(index)

    def load_of(self, index: int, instead: Callable[[Any], None]) -> Callable[[Any], Any]:
        """What loads a sample; ``instead`` is told the target, where it loads another one in its place."""
        return self.load

    def load(self, path: Any) -> Any:
        """The RGB image as the plain loader would have it."""
        return self.dataset.loader(path)


def _is_ours(samples: Any) -> bool:
    """Whether they are a sequence of this package's."""
    return type(samples).__module__.partition(".")[0] == "fastload"


class Find:
    """The way from an index of a data set to the one that names the sample's file, and the sample's index there.

    Args:
        files: they are that one's.
    """

    def __init__(self, files: FileDataset) -> None:
        self._files = files

    def __call__(self, index: Any) -> tuple[FileDataset, Any]:
        return self._files, index

    def each(self, indices: list[Any]) -> tuple[list[FileDataset], list[Any]]:
        """The same of many; raises where one of them is not there."""
        return [self._files] * len(indices), indices


def file_dataset_of(dataset: Any, *, frozen: bool = False) -> FileDataset:
    """The data set, if its files are opened as torchvision opens them; raises NotNative if not."""
    name = f"{type(dataset).__module__}.{type(dataset).__qualname__}"
    opener, looks = opens_like(dataset.loader)
    if opener is None:
        raise NotNative(f"the data set {name} has a loader of its own")
    if opener is default_loader and torchvision.get_image_backend() != "PIL":
        raise NotNative(f"torchvision's image backend is {torchvision.get_image_backend()}")
    if why := reach(opener).what_changed():
        raise NotNative(why)
    samples = None
    if frozen:
        samples = list(dataset.samples) if isinstance(dataset.samples, list) else dataset.samples
    return FileDataset(dataset, getattr(dataset, "has_targets", True), opener, looks, samples)
