"""Where each sample of a source is: shard, offset, length, name and target, as columns."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from fastload.engine import ByteRange, CheckedRange, FileState, SampleSource
from fastload.remote import RemoteObject, RemoteRange, is_remote, redacted, remote_stat
from fastload.reports import printable
from fastload.shards.index_file import BadIndexError, Column, read_index, write_index

KIND = "samples"
# How a target's column is to be read.
TARGET_KINDS = ("int", "text", "json", "none")


@dataclass(frozen=True)
class Shard:
    """One file of a source as it was when it was indexed.

    Attributes:
        path: absolute, or a URL.
        size: in bytes.
        version: what changes when it is written again: its time in nanoseconds, or what a store says of it.
        inode: of a file that was looked at in this process, or the one that it was forked from; 0: not known.
    """

    path: str
    size: int
    version: str
    inode: int = field(default=0, compare=False)

    @property
    def shown(self) -> str:
        """The path as it may be printed and written down."""
        return redacted(self.path) if is_remote(self.path) else self.path

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Shard:
        """Of a file or a URL. Raises OSError."""
        return cls(str(path), *remote_stat(str(path))) if is_remote(path) else cls.of_file(path)

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> Shard:
        """Raises OSError."""
        found = os.stat(path)
        return cls(os.path.abspath(os.fspath(path)), found.st_size, str(found.st_mtime_ns), found.st_ino)

    @cached_property
    def is_far(self) -> bool:
        """Whether the path is a URL."""
        return is_remote(self.path)

    @cached_property
    def state(self) -> FileState | None:
        """What the file must be when it is read; None of what is no file."""
        changed_ns = self.version.partition("-")[0]  # what may follow is a number within the file
        return FileState(self.size, int(changed_ns), self.inode) if changed_ns.isdecimal() else None

    def written(self) -> dict[str, Any]:
        """For an index."""
        return {"path": self.shown, "size": self.size, "version": self.version}

    def __reduce__(self) -> Any:
        return Shard, (self.path, self.size, self.version)


@dataclass
class SampleColumns:
    """Columns of n samples, in the order of the data set.

    Attributes:
        shard: uint32 [n], which of the shards.
        offset, length: int64 [n], in bytes; of the encoded image.
        name_starts, names: int64 [n + 1] and uint8: each sample's name in UTF-8.
        target: int64 [n]; None where targets are text, or there are none.
        target_starts, targets: where they are text or JSON, as the names.
        is_file: uint8 [n], 1 where a sample is a file of its own: its name is the path, counted from its shard's folder.
            None: none is.
        crc32c: uint32 [n], of the encoded image; None where it is not checked when it is read.
    """

    shard: Column
    offset: Column
    length: Column
    name_starts: Column
    names: Column
    target: Column | None = None
    target_starts: Column | None = None
    targets: Column | None = None
    is_file: Column | None = None
    crc32c: Column | None = None

    def __len__(self) -> int:
        return len(self.shard)


_COLUMN_TYPES = {
    "shard": "<u4",
    "offset": "<i8",
    "length": "<i8",
    "name_starts": "<i8",
    "names": "|u1",
    "target": "<i8",
    "target_starts": "<i8",
    "targets": "|u1",
    "is_file": "|u1",
    "crc32c": "<u4",
}


class SampleIndex:
    """The samples of a source.

    Attributes:
        shards: its files, as they were when they were indexed.
        settings: what was looked for in them, JSON; an index for other settings is another one.
        facts: what was found beside the samples, JSON: ``classes``, ``label_base``, ``skipped`` and the like; ``unpacked_from``:
            the number of each unpacked file's shard, for messages.
        target_kind: one of TARGET_KINDS.
        unpacked: files that were made from shards whose samples do not lie in them as they are; numbered after the shards.
        path: the file that it is mapped from, or None.
    """

    def __init__(
        self,
        format_name: str,
        shards: Sequence[Shard],
        columns: SampleColumns,
        *,
        target_kind: str = "int",
        settings: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
        unpacked: Sequence[Shard] = (),
        path: str | None = None,
    ) -> None:
        self.format_name = format_name
        self.shards = list(shards)
        self.columns = columns
        self.target_kind = target_kind
        self.settings = dict(settings or {})
        self.facts = dict(facts or {})
        self.unpacked = list(unpacked)
        self.path = path
        self._check(path or "these samples")

    def __len__(self) -> int:
        return len(self.columns)

    def name(self, row: int) -> str:
        return _text(self.columns.name_starts, self.columns.names, row)

    def shard(self, row: int) -> Shard:
        number = int(self.columns.shard[row])
        return self.shards[number] if number < len(self.shards) else self.unpacked[number - len(self.shards)]

    def source(self, row: int) -> SampleSource | str:
        """The encoded image, or the path of its file."""
        shard = self.shard(row)
        if self.columns.is_file is not None and self.columns.is_file[row]:
            beside = os.path.join(os.path.dirname(shard.path), self.name(row))
            return RemoteObject(beside) if is_remote(beside) else beside
        offset, length = int(self.columns.offset[row]), int(self.columns.length[row])
        name = partial(self._shown, row)
        if shard.is_far:
            return RemoteRange(shard.path, offset, length, name(), shard.size, shard.version)
        if self.columns.crc32c is not None:
            return CheckedRange(shard.path, offset, length, name, int(self.columns.crc32c[row]), shard.state)
        return ByteRange(shard.path, offset, length, name, shard.state)

    def _shown(self, row: int) -> str:
        """A sample's name, with where it lies."""
        where, offset = self._place(row, self.shard(row)), int(self.columns.offset[row])
        return printable(f"{where}, sample {self.name(row)} at byte {offset}")

    def _place(self, row: int, shard: Shard) -> str:
        """Of a file that was unpacked, whose name says nothing, also the shard that it was made from."""
        number, known = int(self.columns.shard[row]) - len(self.shards), self.facts.get("unpacked_from")
        return (
            f"{self.shards[known[number]].shown}, unpacked in {shard.shown}" if known and number >= 0 else shard.shown
        )

    def target(self, row: int) -> Any:
        """int, str, or what the JSON says; -1 where there are none."""
        columns = self.columns
        if columns.target is not None:
            return int(columns.target[row])
        if columns.target_starts is None or columns.targets is None:
            return -1
        text = _text(columns.target_starts, columns.targets, row)
        return json.loads(text) if self.target_kind == "json" else text

    def samples_at(self, rows: list[int]) -> tuple[list[SampleSource | str], list[Any]]:
        """Sources and targets of many."""
        column = self.columns.target
        targets = [self.target(row) for row in rows] if column is None else column[rows].tolist()
        return [self.source(row) for row in rows], targets

    def is_of(self, shards: Sequence[Shard]) -> bool:
        """Whether these files, wherever they lie now, are as they were, and what was unpacked is still there."""
        same = [(s.size, s.version) for s in self.shards] == [(s.size, s.version) for s in shards]
        return same and all(map(_is_as_it_was, self.unpacked))

    def at(self, shards: Sequence[Shard]) -> SampleIndex:
        """The same, of the same files where they lie now."""
        self.shards = list(shards)
        return self

    def write(self, path: str | os.PathLike[str]) -> None:
        """As an index file. Raises OSError."""
        header = {
            "kind": KIND,
            "format": self.format_name,
            "shards": [shard.written() for shard in self.shards],
            "target": self.target_kind,
            "settings": self.settings,
            "facts": self.facts,
            "unpacked": [shard.written() for shard in self.unpacked],
        }
        columns = {name: getattr(self.columns, name) for name in _COLUMN_TYPES}
        write_index(path, header, {name: column for name, column in columns.items() if column is not None})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> SampleIndex:
        """Mapped from its file. Raises BadIndexError, and OSError."""
        header, columns = read_index(path)
        if header.get("kind") != KIND:
            raise BadIndexError(f"{os.fspath(path)} is no index of samples")
        try:
            shards, unpacked = (
                [Shard(str(s["path"]), int(s["size"]), str(s["version"])) for s in listed]
                for listed in (header["shards"], header.get("unpacked", []))
            )
            known = {name: columns[name] for name in _COLUMN_TYPES if name in columns}
            settings, facts = dict(header["settings"]), dict(header["facts"])
            named, kind = str(header["format"]), str(header["target"])
            found = SampleColumns(**known)
        except (KeyError, TypeError, ValueError) as error:
            raise BadIndexError(f"{os.fspath(path)} is damaged: {error!r}") from error
        return cls(
            named,
            shards,
            found,
            target_kind=kind,
            settings=settings,
            facts=facts,
            unpacked=unpacked,
            path=os.path.abspath(path),
        )

    def __reduce__(self) -> Any:
        if self.path is not None:
            return _mapped_again, (self.path, len(self), self.shards)
        more = {
            "target_kind": self.target_kind,
            "settings": self.settings,
            "facts": self.facts,
            "unpacked": self.unpacked,
        }
        return _from_parts, (self.format_name, self.shards, self.columns, more)

    def _check(self, where: str) -> None:
        columns, count = self.columns, len(self.columns)
        for name, kind in _COLUMN_TYPES.items():
            column = getattr(columns, name)
            rows = count + 1 if name.endswith("_starts") else count
            if column is not None and (
                column.dtype.str != kind or (len(column) != rows and name not in ("names", "targets"))
            ):
                raise BadIndexError(f"{where} is damaged: column {name} does not fit the others")
        if self.target_kind not in TARGET_KINDS:
            raise BadIndexError(f"{where}: targets of an unknown kind, {self.target_kind}")
        if self.target_kind in ("text", "json") and (columns.target_starts is None or columns.targets is None):
            raise BadIndexError(f"{where} is damaged: it has no targets")
        if self.target_kind == "int" and columns.target is None:
            raise BadIndexError(f"{where} is damaged: it has no targets")
        for starts, text in ((columns.name_starts, columns.names), (columns.target_starts, columns.targets)):
            if starts is not None and text is not None and not _are_starts(starts, len(text)):
                raise BadIndexError(f"{where} is damaged: texts begin nowhere")
        known = self.facts.get("unpacked_from")
        if known is not None and not _are_numbers(known, len(self.unpacked), len(self.shards)):
            raise BadIndexError(f"{where} is damaged: files unpacked from a shard that is not there")
        if count == 0:
            return
        files = self.shards + self.unpacked
        if int(columns.shard.max()) >= len(files):
            raise BadIndexError(f"{where} is damaged: samples of a shard that is not there")
        sizes = np.array([shard.size for shard in files], np.int64)[columns.shard]
        if int(columns.offset.min()) < 0 or int(columns.length.min()) < 0:
            raise BadIndexError(f"{where} is damaged: negative offsets or lengths")
        if bool((columns.offset > sizes - columns.length).any()):
            raise BadIndexError(f"{where} is damaged: samples that end behind their shard")


def _are_starts(starts: Column, size: int) -> bool:
    return int(starts[0]) == 0 and int(starts[-1]) == size and bool((starts[1:] >= starts[:-1]).all())


def _are_numbers(found: Any, count: int, end: int) -> bool:
    return isinstance(found, list) and len(found) == count and all(type(one) is int and 0 <= one < end for one in found)


def _text(starts: Column, text: Column, row: int) -> str:
    count = len(starts) - 1
    if not -count <= row < count:
        raise IndexError("index out of range")
    row %= count
    return text[int(starts[row]) : int(starts[row + 1])].tobytes().decode("utf-8", "surrogateescape")


def _mapped_again(path: str, count: int, shards: list[Shard]) -> SampleIndex:
    index = SampleIndex.read(path)
    if len(index) != count or not index.is_of(shards):
        raise BadIndexError(f"{path} is not what it was: it was written again since the data set was sent")
    return index.at(shards)


def _from_parts(format_name: str, shards: list[Shard], columns: SampleColumns, more: dict[str, Any]) -> SampleIndex:
    return SampleIndex(format_name, shards, columns, **more)


def _is_as_it_was(shard: Shard) -> bool:
    try:
        return Shard.of_file(shard.path) == shard
    except OSError:
        return False
