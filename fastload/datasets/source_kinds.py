"""Which kind of source a path is, told by looking at it, and the data set of it: the one place that knows all kinds."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastload.datasets.image_folder import ImageFolder
from fastload.datasets.lmdb import LMDB
from fastload.datasets.parquet import Parquet
from fastload.datasets.tfrecord import TFRecord
from fastload.datasets.web_dataset import WebDataset
from fastload.remote import is_remote, listing, redacted
from fastload.reports import FastloadWarning
from fastload.shards import (
    cache_folder,
    find_lmdb,
    find_tfrecords,
    holds_lmdb,
    holds_tfrecords,
    is_url,
    looks_like_parquet,
    looks_like_tar,
    parquet_files,
    shard_list,
    target_of_tars,
)


@dataclass(frozen=True)
class SourceKind:
    """A kind of source.

    Attributes:
        name: in the field's words: "tar", "folder" …
        endings: of its files, by which a URL and the files of a folder are told.
        looks_like: whether an existing file, or a folder, is one.
        open: the data set of ``(source, transform, target_transform)`` and what else its class takes.
        files: the shards that a source names; of a folder of images none.
    """

    name: str
    endings: tuple[str, ...]
    looks_like: Callable[[str], bool]
    open: Callable[..., Any]
    files: Callable[[Any], list[str]]


def _has_class_folders(path: str) -> bool:
    if not os.path.isdir(path):
        return False
    with os.scandir(path) as entries:
        return any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)


def _folder_of(looks_like: Callable[[str], bool], endings: tuple[str, ...]) -> Callable[[str], bool]:
    """Also of a folder whose files have such an ending."""

    def looks(path: str) -> bool:
        if not os.path.isdir(path):
            return looks_like(path)
        return any(name.endswith(endings) and not name.startswith(".") for name in os.listdir(path))

    return looks


def _open_tar(
    source: Any, transform: Any = None, target_transform: Any = None, progress: Any = None, **options: Any
) -> WebDataset:
    """With the target that its samples have."""
    if "target" not in options:
        options["target"] = target_of_tars(_quietly_listed(source), options.get("on_damage", "raise"))
    return WebDataset(source, transform, target_transform, progress=progress, **options)


def _quietly_listed(source: Any) -> list[str]:
    """For a look: whoever opens them is told what is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastloadWarning)
        return shard_list(source)


_TARS = (".tar",)
_PARQUETS = (".parquet", ".arrow")
# In this order: a folder of class folders is what has no files of another kind.
KINDS = [
    SourceKind("tar", _TARS, _folder_of(looks_like_tar, _TARS), _open_tar, shard_list),
    SourceKind("parquet", _PARQUETS, _folder_of(looks_like_parquet, _PARQUETS), Parquet, parquet_files),
    SourceKind("tfrecord", (".tfrecord", ".tfrecords", ".tfrec"), holds_tfrecords, TFRecord, find_tfrecords),
    SourceKind("lmdb", (".lmdb", ".mdb"), holds_lmdb, LMDB, find_lmdb),
    SourceKind("folder", (), _has_class_folders, ImageFolder, lambda source: []),
]


def _kind_afar(url: str) -> SourceKind:
    """Of a URL that stands for a folder, by what lies there: as a listing has it that is kept. Raises OSError and ValueError."""
    names = [one.url[len(url) :] for one in listing(url, cache_folder() / "listings")]
    for kind in KINDS:
        if any("/" not in name and name.endswith(kind.endings) for name in names):
            return kind
    if any("/" in name for name in names):
        return KINDS[-1]
    raise FileNotFoundError(
        f"{redacted(url)} holds nothing that fastload knows: {', '.join(kind.name for kind in KINDS)}"
    )


def kind_of_source(source: Any) -> SourceKind:
    """Of a path, pattern or list of them, by the first that is of a kind. Raises FileNotFoundError, and ValueError that says what
    was looked for."""
    if is_remote(source) and source.endswith("/") and not any(mark in source for mark in "*{"):
        return _kind_afar(source)
    is_path = isinstance(source, (str, bytes, os.PathLike))
    paths = [os.fsdecode(source)] if is_path and os.path.exists(source) else _quietly_listed(source)
    for path in paths:
        if is_url(path):
            found = [kind for kind in KINDS if path.partition("?")[0].endswith(kind.endings or "/")]
        elif os.path.exists(path):
            found = [kind for kind in KINDS if kind.looks_like(path)]
        else:
            raise FileNotFoundError(f"{path} is not there")
        if found:
            return found[0]
    raise ValueError(f"{paths[0]} is no source that fastload knows: {', '.join(kind.name for kind in KINDS)}")


def open_source(source: Any, transform: Any = None, target_transform: Any = None, **options: Any) -> Any:
    """The data set of a source, whatever its kind; ``options`` are those of its class. Raises what it does, and ValueError."""
    return kind_of_source(source).open(source, transform, target_transform, **options)
