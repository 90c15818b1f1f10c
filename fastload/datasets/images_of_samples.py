"""Items of data sets that name their samples: each is loaded and transformed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.utils.data import Dataset

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

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
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
