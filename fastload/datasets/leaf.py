"""Data sets that name files: what makes one, and what the engine needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torchvision
from torchvision.datasets.folder import default_loader, pil_loader

from fastload.originals import reach

for _loader in (default_loader, pil_loader):
    reach(_loader)  # as it is when this is imported


class NotNative(Exception):
    """Why something is left to torch or to Python; the message is shown to the user."""


@dataclass(frozen=True)
class Leaf:
    """A data set that names files: ``samples[i]`` is ``(path, target)``.

    Attributes:
        frozen: the samples as they were; None: they are read live, since users filter and replace them.
    """

    dataset: Any
    has_targets: bool
    frozen: Sequence[tuple[str, Any]] | None = None

    def rests_on(self) -> tuple[Any, ...]:
        """What makes the data set one, to be compared by identity."""
        dataset = self.dataset
        return type(dataset), dataset.loader, getattr(dataset, "has_targets", True), vars(dataset).get("__getitems__")

    def sample(self, index: int) -> tuple[str, Any]:
        """Path and target."""
        path, target = (self.dataset.samples if self.frozen is None else self.frozen)[index]
        return path, target

    def load(self, path: str) -> Any:
        """The RGB image as the plain loader would have it."""
        return self.dataset.loader(path)


def leaf_of(dataset: Any, *, frozen: bool = False) -> Leaf:
    """The data set as a leaf, if its files are opened as torchvision opens them; raises NotNative if not."""
    name = f"{type(dataset).__module__}.{type(dataset).__qualname__}"
    if dataset.loader not in (default_loader, pil_loader):
        raise NotNative(f"the data set {name} has a loader of its own")
    if dataset.loader is default_loader and torchvision.get_image_backend() != "PIL":
        raise NotNative(f"torchvision's image backend is {torchvision.get_image_backend()}")
    if why := reach(dataset.loader).what_changed():
        raise NotNative(why)
    samples = None
    if frozen:
        samples = list(dataset.samples) if isinstance(dataset.samples, list) else dataset.samples
    return Leaf(dataset, getattr(dataset, "has_targets", True), samples)
