"""A file of named columns: numbers in native arrays, mapped where they are read. docs/index-file.md has the layout.

Nothing in it is believed before it was checked: sizes, types, and a checksum of each column. It is written beside its place and
renamed, so a crash leaves the old one or none.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastload.shards.new_file import new_file

MAGIC = b"FASTLOAD"
VERSION = 1
_ALIGNMENT = 64
_PREAMBLE = 24  # magic, version, length of the header, its checksum, zero
_LONGEST_HEADER = 1 << 28
_TYPES = frozenset({"|u1", "<u2", "<u4", "<u8", "<i4", "<i8"})

Column = npt.NDArray[Any]


@dataclass(frozen=True)
class SelfChecked:
    """A column whose rows hold checksums of their own, as it is written: too long to be looked at as a whole.

    Attributes:
        type: of its rows.
        rows: how many.
        pieces: their bytes.
    """

    type: str
    rows: int
    pieces: Callable[[], Iterator[Any]]

    @property
    def nbytes(self) -> int:
        return self.rows * np.dtype(self.type).itemsize


class BadIndexError(ValueError):
    """A file that is no index, or a damaged one, or one of another version; the message names it and says which."""


def write_index(
    path: str | os.PathLike[str], header: Mapping[str, Any], columns: Mapping[str, Column | SelfChecked]
) -> None:
    """Writes ``columns`` (one-dimensional, little-endian integers) with ``header`` (JSON) as ``path``, whole or not at all.

    The same header and columns give the same bytes. Raises OSError.
    """
    with new_file(path) as beside, open(beside, "wb") as file:
        for piece in index_bytes(header, columns):
            file.write(piece)


def index_bytes(header: Mapping[str, Any], columns: Mapping[str, Column | SelfChecked]) -> Iterator[Any]:
    """The bytes of such a file, in pieces."""
    described: dict[str, Any] = {}
    start = 0  # counted from where the columns begin
    for name, column in columns.items():
        if isinstance(column, SelfChecked):
            described[name] = {"type": column.type, "rows": column.rows, "start": start, "crc32": None}
            start += _rounded(column.nbytes)
            continue
        if column.ndim != 1 or column.dtype.str not in _TYPES:
            raise ValueError(f"column {name}: {column.dtype.str}, {column.ndim} dimensions")
        described[name] = {
            "type": column.dtype.str,
            "rows": len(column),
            "start": start,
            "crc32": zlib.crc32(_bytes(column)),
        }
        start += _rounded(column.nbytes)
    text = json.dumps({**header, "columns": described}, sort_keys=True, separators=(",", ":")).encode()
    preamble = MAGIC + b"".join(number.to_bytes(4, "little") for number in (VERSION, len(text), zlib.crc32(text), 0))
    yield (preamble + text).ljust(_rounded(_PREAMBLE + len(text)), b"\0")
    for column in columns.values():
        if isinstance(column, SelfChecked):
            yield from column.pieces()
        else:
            yield _bytes(column)
        yield bytes(_rounded(column.nbytes) - column.nbytes)


def read_index(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Column]]:
    """Header, and columns mapped from the file, read-only. Raises BadIndexError, and OSError where it cannot be read."""
    if os.path.getsize(path) == 0:  # which cannot be mapped
        raise BadIndexError(f"{os.fspath(path)} is no index of fastload: too short")
    return index_of_bytes(path, np.memmap(path, np.uint8, "r").view(np.ndarray))


def read_parts(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, tuple[str, int, int]]]:
    """Header, and of each column that holds checksums of its own type, first byte in the file, and rows; none of it is read.

    Raises BadIndexError, and OSError where the file cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(_PREAMBLE)
        length = int.from_bytes(start[len(MAGIC) + 4 : len(MAGIC) + 8], "little")
        begin = np.frombuffer(start + file.read(min(length + _ALIGNMENT, _LONGEST_HEADER)), np.uint8)
    if len(start) < _PREAMBLE:
        raise BadIndexError(f"{os.fspath(path)} is no index of fastload: too short")
    header, body = _header(Path(path), begin, size)
    columns = header.pop("columns", None)
    if not isinstance(columns, dict):
        raise BadIndexError(f"{os.fspath(path)}: the header names no columns")
    found = {}
    for name, place in columns.items():
        if isinstance(place, dict) and place.get("crc32", 0) is None:
            kind, rows, at = (place.get(key) for key in ("type", "rows", "start"))
            if kind not in _TYPES or type(rows) is not int or type(at) is not int or rows < 0 or at < 0:
                raise BadIndexError(f"{os.fspath(path)} is damaged: column {name} is {place}")
            if body + at + rows * np.dtype(kind).itemsize > size:
                raise BadIndexError(f"{os.fspath(path)} is cut: column {name} ends behind it")
            found[name] = (kind, body + at, rows)
    return header, found


def index_of_bytes(path: str | os.PathLike[str], data: Any) -> tuple[dict[str, Any], dict[str, Column]]:
    """The same of bytes that are elsewhere, as columns of these; ``path`` is for errors."""
    whole = np.frombuffer(data, np.uint8)
    if len(whole) < _PREAMBLE:
        raise BadIndexError(f"{os.fspath(path)} is no index of fastload: too short")
    header, body = _header(Path(path), whole, len(whole))
    columns = header.pop("columns", None)
    if not isinstance(columns, dict):
        raise BadIndexError(f"{os.fspath(path)}: the header names no columns")
    return header, {name: _column(Path(path), whole[body:], name, place) for name, place in columns.items()}


def text_column(values: list[str]) -> tuple[Column, Column]:
    """Texts as two columns: where each begins and the last ends, and all their bytes in UTF-8."""
    encoded = [value.encode("utf-8", "surrogateescape") for value in values]
    starts = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(value) for value in encoded], out=starts[1:])
    return starts, np.frombuffer(b"".join(encoded), np.uint8)


def texts_of(starts: Column, text: Column) -> list[str]:
    """The texts of two such columns."""
    whole = text.tobytes()
    return [whole[begin:end].decode("utf-8", "surrogateescape") for begin, end in pairwise(starts.tolist())]


def _header(path: Path, whole: Column, size: int) -> tuple[dict[str, Any], int]:
    """Of the beginning of a file of that size."""
    preamble = whole[:_PREAMBLE].tobytes()
    version, length, checksum, _ = (
        int.from_bytes(preamble[at : at + 4], "little") for at in range(len(MAGIC), _PREAMBLE, 4)
    )
    if preamble[: len(MAGIC)] != MAGIC:
        raise BadIndexError(f"{path} is no index of fastload")
    if version != VERSION:
        raise BadIndexError(f"{path} is an index of version {version}; this fastload reads version {VERSION}")
    body = _rounded(_PREAMBLE + length)
    if length > _LONGEST_HEADER or body > size or _PREAMBLE + length > len(whole):
        raise BadIndexError(f"{path} is cut")
    text = whole[_PREAMBLE : _PREAMBLE + length].tobytes()
    if zlib.crc32(text) != checksum:
        raise BadIndexError(f"{path} is damaged: its header's checksum is wrong")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadIndexError(f"{path} is damaged: {error}") from error
    if not isinstance(header, dict):
        raise BadIndexError(f"{path} is damaged: its header is no object")
    return header, body


def _column(path: Path, body: Column, name: str, place: Any) -> Column:
    try:
        kind, rows, start, checksum = place["type"], place["rows"], place["start"], place["crc32"]
        fits = kind in _TYPES and all(type(number) is int and number >= 0 for number in (rows, start, checksum))
    except (KeyError, TypeError) as error:
        raise BadIndexError(f"{path} is damaged: column {name} has no {error}") from error
    if not fits:
        raise BadIndexError(f"{path} is damaged: column {name} is {place}")
    dtype = np.dtype(kind)
    end = start + rows * dtype.itemsize
    if end > len(body):
        raise BadIndexError(f"{path} is cut: column {name} ends behind it")
    column = body[start:end]
    if zlib.crc32(_bytes(column)) != checksum:
        raise BadIndexError(f"{path} is damaged: the checksum of column {name} is wrong")
    if start % dtype.itemsize:
        raise BadIndexError(f"{path} is damaged: column {name} begins at {start}")
    return column.view(dtype)


def _bytes(column: Column) -> memoryview:
    return np.ascontiguousarray(column).view(np.uint8).data


def _rounded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
