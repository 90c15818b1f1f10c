"""Data sets that name files: what makes one, and what the engine needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torchvision
from torchvision.datasets.folder import default_loader, pil_loader


class NotNative(Exception):
    """Why something is left to torch or to Python; the message is shown to the user."""


@dataclass(frozen=True)
class Leaf:
    """A data set that names files: ``samples[i]`` is ``(path, target)``."""

    dataset: Any
    has_targets: bool

    def sample(self, index: int) -> tuple[str, Any]:
        """Path and target, read live: users filter and replace ``samples``."""
        path, target = self.dataset.samples[index]
        return path, target

    def load(self, path: str) -> Any:
        """The RGB image as the plain loader would have it."""
        return self.dataset.loader(path)


def leaf_of(dataset: Any) -> Leaf:
    """The data set as a leaf, if its files are opened as torchvision opens them; raises NotNative if not."""
    name = f"{type(dataset).__module__}.{type(dataset).__qualname__}"
    if dataset.loader not in (default_loader, pil_loader):
        raise NotNative(f"the data set {name} has a loader of its own")
    if dataset.loader is default_loader and torchvision.get_image_backend() != "PIL":
        raise NotNative(f"torchvision's image backend is {torchvision.get_image_backend()}")
    return Leaf(dataset, getattr(dataset, "has_targets", True))
