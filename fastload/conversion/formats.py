"""The formats that a conversion writes: each one's function for one file, and how its files are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastload.conversion.folder_writer import write_folder
from fastload.shards import write_lmdb, write_parquet, write_tar, write_tfrecord


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        write: ``(path, records, classes, **options)``: writes one file; of a folder, many.
        pattern: of the files' names, with ``{number}`` and ``{count}``; None for the files of a folder.
    """

    write: Callable[..., Any]
    pattern: str | None

    def file(self, number: int, count: int) -> str | None:
        """The name of a part's file, of so many."""
        return None if self.pattern is None else self.pattern.format(number=number, count=count)


FORMATS = {
    "webdataset": Format(write_tar, "{number:06d}.tar"),
    "tfrecord": Format(write_tfrecord, "train-{number:05d}-of-{count:05d}.tfrecord"),
    "lmdb": Format(write_lmdb, "data.mdb"),  # one, whatever its size: others open the folder that it lies in
    "parquet": Format(write_parquet, "train-{number:05d}-of-{count:05d}.parquet"),
    "folder": Format(write_folder, None),
}
