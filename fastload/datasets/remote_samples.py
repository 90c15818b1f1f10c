"""Samples that are objects: what stands for the list ``samples`` where paths are URLs."""

from __future__ import annotations

import posixpath
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from torchvision.datasets.folder import IMG_EXTENSIONS, has_file_allowed_extension

from fastload.datasets.sample_table import SampleTable
from fastload.engine import name_of
from fastload.remote import LearnedVersions, Listed, Pin, RemoteObject, disk_cache, is_remote, listing
from fastload.shards import cache_folder


class RemoteSamples(Sequence[tuple[Any, int]]):
    """``(RemoteObject, target)`` of each sample, made when it is asked for; a path that is no URL stays what it is.

    Args:
        samples: ``(path, URL or Listed, target)``.
        refresh: learn anew which objects URLs stand for that are not listed.
    """

    is_far = True

    def __init__(self, samples: Iterable[tuple[Any, int]], *, refresh: bool = False) -> None:
        sizes, versions = array("q"), []

        def pairs() -> Iterator[tuple[Any, int]]:
            for path, target in samples:
                is_listed = isinstance(path, Listed)
                sizes.append(path.size if is_listed else -1)
                versions.append(path.version.encode() if is_listed else b"")
                yield path.url if is_listed else path, target

        self._table = SampleTable(pairs())
        self._sizes = np.array(sizes, np.int64)
        self._versions = np.array(versions, np.bytes_)
        self._learned = None if (self._sizes >= 0).all() else self._to_be_learned(refresh)

    def _to_be_learned(self, refresh: bool) -> LearnedVersions:
        cache = disk_cache()
        folder = cache_folder() / "listings" if cache is None else cache.folder / "versions"
        urls = (path if is_remote(path) else "" for path, _ in self._table)
        return LearnedVersions(folder, urls, lasts=cache is not None, refresh=refresh)

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[one] for one in range(*i.indices(len(self)))]
        path, target = self._table[i]
        if not is_remote(path):
            return path, target
        if self._learned is not None and self._sizes[i] < 0:
            return Pin(self._learned, range(len(self))[i], path).source(), target
        return RemoteObject(path, int(self._sizes[i]), self._versions[i].decode()), target

    def without(self, is_unwanted: Callable[[str], bool]) -> RemoteSamples:
        """Those whose URLs are wanted."""
        kept = (self[i] for i in range(len(self)))
        return RemoteSamples((Listed(one.url, one.size, one.version), t) for one, t in kept if not is_unwanted(one.url))

    def notes(self) -> list[str]:
        """Lines for ``explain()``."""
        lacks = self._learned is not None and self._learned.lacks_some
        return ["of objects whose server says neither ETag nor Last-Modified nothing is kept"] if lacks else []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} samples)"


def name_of_listed(path: Any) -> str | None:
    """Of a path, or of what stands in its place in a listing."""
    return path.url if isinstance(path, Listed) else name_of(path)


def images_below(url: str, *, refresh: bool, is_image: Callable[[str], bool] | None = None) -> list[Listed]:
    """The images below a URL that stands for a folder, as a listing has them: the one in this package's cache folder, or with
    ``refresh`` a new one. Raises OSError."""
    folder = url if url.endswith("/") else f"{url}/"
    wanted = is_image or (lambda path: has_file_allowed_extension(path, IMG_EXTENSIONS))
    return [one for one in listing(folder, cache_folder() / "listings", refresh=refresh) if wanted(one.url)]


def in_class_folders(url: str, listed: Iterable[Listed]) -> dict[str, list[Listed]]:
    """The objects of each folder right below a URL, in torchvision's order: folder by folder, and in each by name."""
    start = len(url.rstrip("/")) + 1
    found: dict[str, list[Listed]] = {}
    for one in listed:
        folder, slash, _ = one.url[start:].partition("/")
        if slash:
            found.setdefault(folder, []).append(one)
    for objects in found.values():
        objects.sort(key=lambda one: posixpath.split(one.url))
    return found
