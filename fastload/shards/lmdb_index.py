"""LMDB databases -> where each sample's encoded image lies in their files, with its target."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastload.remote import redacted
from fastload.shards.called_values import CalledValues, Item, Keys, made_item
from fastload.shards.index_file import text_column
from fastload.shards.index_place import kept_index
from fastload.shards.lmdb_layouts import Found, UnknownLayout, found_layout, in_order, kind_of_targets, target_columns
from fastload.shards.lmdb_values import LmdbValues, lmdb_shard, lmdb_values, looks_like_lmdb
from fastload.shards.sample_index import SampleColumns, SampleIndex, Shard
from fastload.shards.shard_paths import is_url

FORMAT = "lmdb"
_DATA = "data.mdb"
_ENDINGS = (".lmdb", ".mdb")
_HINT = (
    "Give read=, a function of (key, value) that returns (encoded image, target), or None for what is no sample; for pickles that "
    "you trust: read=lambda key, value: None if key.startswith(b'__') else pickle.loads(value)"
)


def index_lmdb(
    paths: Sequence[str], database: str | None = None, read: Item | tuple[Keys, Item] | None = None
) -> SampleIndex:
    """The samples of these databases, one after the other.

    Args:
        paths: of data files.
        database: the name of one within each; None: the main one.
        read: for values of an unknown layout, see :class:`fastload.LMDB`.

    Raises:
        ValueError: a damaged file, one that is written to, values that are not what they should be, or an unknown layout.
        OSError, ImportError.
    """
    shards = [lmdb_shard(path) for path in paths]
    settings = {"database": database}
    if read is None:
        return kept_index(FORMAT, shards, settings, lambda now, _: _built(now, database))
    walked = kept_index(FORMAT, shards, {**settings, "values": True}, lambda now, _: _walked(now, database))
    keys, item = read if isinstance(read, tuple) else (None, read)
    return called_index(walked, keys, item)


def find_lmdb(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """Data files: of a database's folder or file, a pattern, a folder of databases, or several of these.

    Raises FileNotFoundError where there is none.
    """
    if not isinstance(paths, str | os.PathLike):
        return [found for one in paths for found in find_lmdb(one)]
    named = os.fspath(paths)
    if is_url(named):
        raise ValueError(f"an LMDB database is not read from a URL: copy {redacted(named)} to a disk first")
    if os.path.isdir(named):
        if os.path.exists(os.path.join(named, _DATA)):
            return [os.path.join(named, _DATA)]
        inside = sorted(os.path.join(named, name) for name in os.listdir(named) if not name.startswith("."))
        found = [_data_file(path) for path in inside if is_lmdb(path)]
        if not found:
            raise FileNotFoundError(f"{named} holds no LMDB database")
        return found
    if os.path.exists(named) or not glob.has_magic(named):
        return [named]
    matching = [_data_file(path) for path in sorted(glob.glob(named, recursive=True))]
    if not matching:
        raise FileNotFoundError(f"no file matches {named}")
    return matching


def holds_lmdb(path: str) -> bool:
    """Whether it is a database, or a folder of databases."""
    if is_lmdb(path) or not os.path.isdir(path):
        return is_lmdb(path)
    with os.scandir(path) as entries:
        return any(is_lmdb(entry.path) for entry in entries if entry.is_dir() or entry.name.endswith(_ENDINGS))


def is_lmdb(path: str) -> bool:
    """Whether it is a database's folder or file."""
    try:
        with open(_data_file(path), "rb") as file:
            return looks_like_lmdb(file.read(4096))
    except OSError:
        return False


def _data_file(path: str) -> str:
    return os.path.join(path, _DATA) if os.path.isdir(path) else path


def _built(shards: Sequence[Shard], database: str | None) -> SampleIndex:
    try:
        found = [found_layout(lmdb_values(shard.path, database)) for shard in shards]
    except UnknownLayout as error:
        raise ValueError(f"{error}. {_HINT}") from error
    classes = _classes(shards, found)
    if len(found) > 1 and all(one.target_kind == "none" for one in found):
        classes = [class_of_path(shard.path) for shard in shards]
        for number, one in enumerate(found):
            one.target_kind, one.targets = "int", [number] * len(one.names)
            one.names = [f"{classes[number]}/{name}" for name in one.names]
    kinds = {one.target_kind for one in found}
    kind = kinds.pop() if len(kinds) == 1 else "json"
    targets = [target for one in found for target in (one.targets or [None] * len(one.names))]
    if kind == "none":
        targets = []
    return _index(
        shards,
        [len(one.names) for one in found],
        np.concatenate([np.zeros(0, np.int64), *(one.offset for one in found)]),
        np.concatenate([np.zeros(0, np.int64), *(one.length for one in found)]),
        [name for one in found for name in one.names],
        kind,
        targets,
        {"classes": classes, "layout": found[0].layout if found else None},
    )


def _classes(shards: Sequence[Shard], found: Sequence[Found]) -> list[str]:
    named = [one.classes for one in found if one.classes]
    if any(classes != named[0] for classes in named):
        raise ValueError(f"{shards[0].path} and the others do not have the same names of classes")
    return named[0] if named else []


def class_of_path(path: str) -> str:
    """As LSUN names its databases: ``bedroom_train_lmdb`` is of class ``bedroom_train``."""
    name = os.path.basename(path)
    name = os.path.basename(os.path.dirname(path)) if name == _DATA else os.path.splitext(name)[0]
    return name.removesuffix("_lmdb")


def _index(
    shards: Sequence[Shard],
    counts: Sequence[int],
    offset: Any,
    length: Any,
    names: list[str],
    kind: str,
    targets: list[Any],
    facts: Mapping[str, Any],
) -> SampleIndex:
    starts, text = text_column(names)
    numbers = np.repeat(np.arange(len(shards), dtype=np.uint32), counts)
    columns = SampleColumns(numbers, offset, length, starts, text, **target_columns(kind, targets))
    return SampleIndex(FORMAT, shards, columns, target_kind=kind, facts=facts)


def _walked(shards: Sequence[Shard], database: str | None) -> SampleIndex:
    """Every value as a sample, named as its key."""
    values = [lmdb_values(shard.path, database) for shard in shards]
    return _index(
        shards,
        [len(one) for one in values],
        np.concatenate([np.zeros(0, np.int64), *(one.offset for one in values)]),
        np.concatenate([np.zeros(0, np.int64), *(one.length for one in values)]),
        [key.decode("utf-8", "surrogateescape") for one in values for key in one],
        "none",
        [],
        {},
    )


def called_index(walked: SampleIndex, keys: Keys | None, item: Item) -> SampleIndex:
    """The samples that the user's functions make of all values. Raises what these raise, and TypeError for what they return."""
    columns = walked.columns
    counts, offset, length, called = [], [], [], []
    names: list[str] = []
    targets: list[Any] = []
    for number, shard in enumerate(walked.shards):
        rows = np.flatnonzero(columns.shard == number)
        first, last = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        starts = columns.name_starts[first : last + 1]
        text = columns.names[int(starts[0]) : int(starts[-1])] if len(starts) else columns.names[:0]
        values = LmdbValues(
            shard.path, starts - (starts[0] if len(starts) else 0), text, columns.offset[rows], columns.length[rows]
        )
        before = len(names)
        for key in in_order(values) if keys is None else keys(values):
            row = values.row(bytes(key))
            value = values.read(row)
            made = item(bytes(key), memoryview(value))
            if made is None:
                continue
            image, target = made_item(made, key)
            at = value.find(image)
            called.append(at < 0)
            offset.append(int(values.offset[row]) + max(at, 0))
            length.append(len(value) if at < 0 else len(image))
            names.append(bytes(key).decode("utf-8", "surrogateescape"))
            targets.append(target)
        counts.append(len(names) - before)
    kind = kind_of_targets(targets)
    index = _index(
        walked.shards, counts, np.array(offset, np.int64), np.array(length, np.int64), names, kind, targets,
        {"layout": "read by a function"},
    )  # fmt: skip
    return CalledValues(index, item, np.array(called, bool)) if any(called) else index
