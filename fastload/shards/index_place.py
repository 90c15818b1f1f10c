"""Where an index is kept, whether it is still that of its shards, and who makes it: one process, once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastload.reports import printable_errors
from fastload.shards.distinct_names import number_equal_names
from fastload.shards.index_file import BadIndexError
from fastload.shards.sample_index import SampleIndex, Shard
from fastload.shards.whole_sets import refuse_unfinished

# Beside the shards.
FOLDER = ".fastload"

# From shards that have changed, or are new, and an older index that may know the others, the index of all.
Build = Callable[[Sequence[Shard], SampleIndex | None], SampleIndex]


def kept_index(format_name: str, shards: Sequence[Shard], settings: Mapping[str, Any], build: Build) -> SampleIndex:
    """The index of these shards for these settings: one that is kept, where no shard has changed since; else a new one.

    It is kept beside the shards, in ``.fastload/``; where that folder cannot be written in the user's cache folder; where neither
    can, in memory alone. Several processes that want it at once make it once. Raises UnfinishedConversionError.
    """
    refuse_unfinished(shard.path for shard in shards)
    places = index_places(format_name, [shard.path for shard in shards], settings)
    older = None
    for place in places:
        found = _read(place, format_name, settings)
        if found is not None and found.is_of(shards):
            return found.at(shards)
        older = older or found
    for number, place in enumerate(places):
        with _one_at_a_time(place.parent) as is_writable:
            if not is_writable:
                continue
            for other in places:
                found = _read(other, format_name, settings)
                if found is not None and found.is_of(shards):
                    return found.at(shards)  # another process has made it
            return _written(_built(build, shards, older, settings), places[number:])
    return _built(build, shards, older, settings)


def index_places(format_name: str, paths: Sequence[str], settings: Mapping[str, Any]) -> list[Path]:
    """Where the index of such a source is looked for, in this order; the last is in the user's cache folder."""
    paths = [path.partition("?")[0] if "://" in path else path for path in paths]  # signatures change
    parent = _common_folder(paths)
    relative = [os.path.relpath(path, parent) if parent else path for path in paths]
    text = json.dumps([format_name, dict(settings), relative], sort_keys=True)
    name = f"{format_name}-{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.index"
    absolute = hashlib.sha256(f"{parent}\0{text}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    cache = cache_folder() / "index" / f"{format_name}-{absolute}.index"
    return [Path(parent, FOLDER, name), cache] if parent else [cache]


def cache_folder() -> Path:
    """This package's, of this user; of one without a home, as in a container, below the folder for temporary files."""
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named, "fastload")
    with contextlib.suppress(RuntimeError):
        return Path.home() / ".cache" / "fastload"
    folder = Path(tempfile.gettempdir(), f"fastload-{os.getuid()}")
    folder.mkdir(0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} is somebody else's: set XDG_CACHE_HOME to a folder for what fastload keeps")
    return folder


def _common_folder(paths: Sequence[str]) -> str:
    """Empty for URLs."""
    if not paths or any("://" in path for path in paths):
        return ""
    return os.path.commonpath([os.path.dirname(path) for path in paths])


def _built(
    build: Build, shards: Sequence[Shard], older: SampleIndex | None, settings: Mapping[str, Any]
) -> SampleIndex:
    with printable_errors():
        index = build(shards, older)
    index.settings = dict(settings)
    number_equal_names(index)
    return index


def _read(place: Path, format_name: str, settings: Mapping[str, Any]) -> SampleIndex | None:
    """The index that is there; None where there is none that can be used."""
    try:
        found = SampleIndex.read(place)
    except (OSError, BadIndexError):
        return None
    return found if (found.format_name, found.settings) == (format_name, dict(settings)) else None


def _written(index: SampleIndex, places: Sequence[Path]) -> SampleIndex:
    """Mapped from the first of these places where it could be written. What was unpacked lies in the user's cache folder, and so
    does an index that knows it: another machine's is another."""
    for place in places[-1:] if index.unpacked else places:
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            index.write(place)
            return SampleIndex.read(place).at(index.shards)
    return index


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[bool]:
    """A lock on the folder itself, so nothing is left behind; whether it can be written. Where there are no locks, two processes do
    the work of one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield os.access(folder, os.W_OK)
    finally:
        os.close(handle)
