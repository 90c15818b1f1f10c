"""The folders that a data set's samples lie below, here or afar: what entry points are kept for."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fastload.engine import ByteRange, FileDataset, SampleSource
from fastload.remote import is_remote
from fastload.shards import cache_folder

# So many samples tell the folder that all lie below.
_TELLING = 64


class EntryRoot(NamedTuple):
    """One folder.

    Attributes:
        prefix: of the paths in it, as the data set writes them; of what lies afar, of its places.
        folder: the same as an absolute path, or a URL.
    """

    prefix: str
    folder: str

    @property
    def cache(self) -> Path:
        """Where its entry points are kept: in the user's cache folder, never among the data. Raises OSError."""
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", os.path.basename(self.folder.rstrip("/")))[:40].strip(".") or "root"
        return cache_folder() / "entries" / f"{name}-{digest}"


def roots_of(datasets: Iterable[FileDataset]) -> list[EntryRoot]:
    """Those of data sets, the longest first; none where their samples lie in no files, here or afar."""
    found = set()
    for files in datasets:
        sources = _some(files.samples)
        found |= {root for root in (_root_here(files, sources), _root_afar(sources)) if root is not None}
    return sorted(found, key=lambda root: (-len(root.prefix), root))


def _root_afar(sources: Iterable[Any]) -> EntryRoot | None:
    """The longest URL of a folder that all of them have in common; ``https://`` alone of several servers."""
    places = [source.place[0] for source in sources if isinstance(source, SampleSource) and source.place is not None]
    if not places:
        return None
    folder = os.path.commonprefix([place.rpartition("/")[0] + "/" for place in places]).rpartition("/")[0] + "/"
    return EntryRoot(folder, folder) if "://" in folder else EntryRoot("", "://")


def _root_here(files: FileDataset, sources: Iterable[Any]) -> EntryRoot | None:
    paths = [path for path in map(_local_path, sources) if path is not None]
    if not paths:
        return None
    root = getattr(files.dataset, "root", None)
    if isinstance(root, str | os.PathLike) and not is_remote(root):
        prefix = os.path.join(os.fsdecode(root), "")
        if all(path.startswith(prefix) for path in paths):
            return _root_at(prefix)
    try:
        prefix = os.path.join(os.path.commonpath([os.path.dirname(path) for path in paths]), "")
    except ValueError:  # some are absolute and some are not
        prefix = ""
    return _root_at(prefix)


def _root_at(prefix: str) -> EntryRoot | None:
    try:
        return EntryRoot(prefix, os.path.abspath(prefix or "."))
    except OSError:  # this process's working folder is gone
        return None


def _some(samples: Any) -> list[Any]:
    """Sources of samples from all over."""
    count = len(samples)
    rows = sorted({count * i // _TELLING for i in range(_TELLING)} | {count - 1}) if count else []
    try:
        return [samples[row][0] for row in rows]
    except Exception:  # which is told where it is read
        return []


def _local_path(source: Any) -> str | None:
    """Of the file that a sample lies in."""
    if isinstance(source, ByteRange):
        return source.path
    if not isinstance(source, str | bytes | os.PathLike) or is_remote(source):
        return None
    try:
        return os.fsdecode(source)
    except Exception:  # whatever a PathLike raises
        return None
