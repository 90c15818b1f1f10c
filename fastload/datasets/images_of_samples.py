"""Items of data sets that name their samples: each is loaded and transformed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.utils.data import Dataset
from torchvision.datasets.vision import StandardTransform

from fastload.datasets.batched_getitems import GivesLists
from fastload.engine import names_files


class ImagesOfSamples(GivesLists, Dataset[Any]):
    """Items are ``(image, target)``, or ``image`` without targets.

    Attributes:
        samples: ``(source, target)`` of each: a path, or a SampleSource.
        loader: gives the RGB image of a source.
        transform, target_transform: of the image, and of the target; or None.
        has_targets: whether items have one.
    """

    samples: Sequence[tuple[Any, Any]]
    loader: Callable[[Any], Any]
    transform: Callable[[Any], Any] | None
    target_transform: Callable[[Any], Any] | None
    has_targets: bool

    def __repr__(self) -> str:
        """As torchvision's data sets have it."""
        lines = [f"Number of datapoints: {len(self)}", *self.described()]
        if self.transform is not None or self.target_transform is not None:
            lines.append(repr(StandardTransform(self.transform, self.target_transform)))
        return "\n".join([f"Dataset {type(self).__name__}", *(f"    {line}" for line in lines)])

    def described(self) -> list[str]:
        """Where the samples are, in lines for ``repr``."""
        return []

    def __len__(self) -> int:
        return len(self.samples)

    def _plain_item(self, index: Any) -> Any:
        source, target = self.samples[index]
        image = self.loader(source)
        if self.transform is not None:
            image = self.transform(image)
        if not self.has_targets:
            return image
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target


names_files(ImagesOfSamples)
