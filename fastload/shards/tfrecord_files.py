"""The TFRecord files that a user names: by path, pattern, folder, or several of these."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import os
import zlib
from collections.abc import Iterable

from fastload.shards.shard_paths import is_url, shard_list
from fastload.shards.tfrecord_records import begins_a_record, opened
from fastload.shards.whole_sets import NUMBERED, warn_of_missing

_ENDINGS = (".tfrecord", ".tfrecords", ".tfrec")
_PACKED = (".gz", ".gzip", ".zlib")


def find_tfrecords(files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """Paths, those of a pattern or a folder in the order of their numbers and names.

    A folder's TFRecords are those whose beginning or whose name says so; what begins with a dot is none. Shards that are missing
    from a numbered set are warned of.

    Raises FileNotFoundError where a pattern or a folder names none.
    """
    if not isinstance(files, str | os.PathLike):
        return [found for one in files for found in find_tfrecords(one)]
    named = os.fspath(files)
    if is_url(named) or ("{" in named and not os.path.exists(named)):
        return [
            path for path in shard_list(named, ("",)) if not named.endswith("/") or _is_named_so(os.path.basename(path))
        ]
    if os.path.isdir(named):
        inside = [os.path.join(named, name) for name in os.listdir(named)]
        paths = [path for path in inside if os.path.isfile(path) and is_tfrecord(path)]
    elif os.path.exists(named) or not glob.has_magic(named):
        return [named]
    else:
        paths = glob.glob(named, recursive=True)
    if not paths:
        raise FileNotFoundError(f"{named} holds no TFRecords" if os.path.isdir(named) else f"no file matches {named}")
    found = sorted(paths, key=_order)
    warn_of_missing(found, lambda missing: os.path.isdir(named) or fnmatch.fnmatchcase(missing, named))
    return found


def holds_tfrecords(path: str) -> bool:
    """Whether it is a TFRecord, or a folder with files that are named as such. Raises OSError."""
    return any(map(_is_named_so, os.listdir(path))) if os.path.isdir(path) else is_tfrecord(path)


def is_tfrecord(path: str) -> bool:
    """Whether a file's beginning, or its name, says so. Raises OSError."""
    name = os.path.basename(path)
    if name.startswith("."):
        return False
    if _is_named_so(name):
        return True
    with contextlib.suppress(EOFError, zlib.error), opened(path) as file:
        return begins_a_record(file.read(12))
    return False


def _is_named_so(name: str) -> bool:
    for ending in _PACKED:
        name = name.removesuffix(ending)
    numbered = NUMBERED.fullmatch(name)
    is_shard = numbered is not None and not numbered["end"]  # as TensorFlow names them: "train-00003-of-01024"
    return not name.startswith(".") and (is_shard or name.endswith(_ENDINGS))


def _order(path: str) -> tuple[str, int, str]:
    numbered = NUMBERED.fullmatch(path)
    return (numbered["name"], int(numbered["number"]), path) if numbered else (path, 0, path)
