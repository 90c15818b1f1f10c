"""Images named one by one, or all that lie below a URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from torchvision.datasets.folder import default_loader

from fastload.datasets.exclude_lists import Exclude, excluded_names, warn_of_unknown
from fastload.datasets.images_of_samples import ImagesOfSamples
from fastload.datasets.remote_samples import RemoteSamples, images_below, name_of_listed
from fastload.datasets.sample_table import SampleTable
from fastload.engine import load_sample, names_files
from fastload.remote import is_remote, redacted


class ImageFiles(ImagesOfSamples):
    """Images by path.

    Args:
        paths: any iterable of paths and URLs; one that ``open`` would not take is a sample that cannot be read. Or one URL that
            stands for a folder (``s3://bucket/train/``): all images below it, in the order of their names. Which there are is asked
            once and kept in the user's cache folder.
        targets: as many integers, or None; then an item is the image alone.
        transform: torchvision transform of the RGB image.
        target_transform: of the target.
        exclude: paths of samples that are left out, or a file of paths, one a line.
        refresh: ask for the images below a URL anew; of a list of URLs, learn anew which objects they are.

    Items are ``(image, target)``, or ``image`` without targets. ``samples`` is a sequence of ``(path, target)``; the target is
    -1 where there are none; a :class:`RemoteObject` in the path's place where that is a URL.
    """

    def __init__(
        self,
        paths: str | Iterable[str | bytes | os.PathLike[Any]],
        targets: Iterable[int] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        *,
        exclude: Exclude = None,
        refresh: bool = False,
    ) -> None:
        if isinstance(paths, str | bytes | os.PathLike) and not is_remote(paths):
            shown = redacted(os.fsdecode(paths))
            raise TypeError(
                f"ImageFiles takes paths one by one, or one URL of a folder, and {shown!r} is neither: "
                "fastload.ImageFolder reads a folder of class folders"
            )
        found: list[Any] = [paths] if is_remote(paths) else list(paths)
        are_far = any(is_remote(path) for path in found)
        if is_remote(paths):
            found = list(images_below(str(paths), refresh=refresh))
            if not found:
                raise FileNotFoundError(f"there are no images below {redacted(str(paths))}")
        if targets is None:
            samples: Any = ((path, -1) for path in found)
        else:
            samples = ((path, int(target)) for path, target in zip(found, targets, strict=True))
        unwanted = excluded_names(exclude)
        if unwanted:
            samples = (sample for sample in samples if name_of_listed(sample[0]) not in unwanted)
        self.samples = RemoteSamples(samples, refresh=refresh) if are_far else SampleTable(samples)
        warn_of_unknown(exclude, unwanted, len(found) - len(self.samples))
        self._below = redacted(str(paths)) if is_remote(paths) else None
        self.has_targets = targets is not None
        self.transform = transform
        self.target_transform = target_transform
        self.loader = load_sample if are_far else default_loader

    def described(self) -> list[str]:
        return [] if self._below is None else [f"Root location: {self._below}"]

    @property
    def targets(self) -> list[int] | None:
        """The targets as a list, or None."""
        return [target for _, target in self.samples] if self.has_targets else None


names_files(ImageFiles)
