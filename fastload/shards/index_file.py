"""A file of named columns: numbers in native arrays, mapped where they are read. docs/index-file.md has the layout.

Nothing in it is believed before it was checked: sizes, types, and a checksum of each column. It is written beside its place and
renamed, so a crash leaves the old one or none.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import zlib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = b"FASTLOAD"
VERSION = 1
_ALIGNMENT = 64
_PREAMBLE = 24  # magic, version, length of the header, its checksum, zero
_LONGEST_HEADER = 1 << 28
_TYPES = frozenset({"|u1", "<u2", "<u4", "<u8", "<i4", "<i8"})

Column = npt.NDArray[Any]


class BadIndexError(ValueError):
    """A file that is no index, or a damaged one, or one of another version; the message names it and says which."""


def write_index(path: str | os.PathLike[str], header: Mapping[str, Any], columns: Mapping[str, Column]) -> None:
    """Writes ``columns`` (one-dimensional, little-endian integers) with ``header`` (JSON) as ``path``, whole or not at all.

    The same header and columns give the same bytes. Raises OSError.
    """
    folder = os.path.dirname(os.path.abspath(path))
    beside = os.path.join(folder, f".{os.path.basename(path)}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as file:
            for piece in index_bytes(header, columns):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def index_bytes(header: Mapping[str, Any], columns: Mapping[str, Column]) -> Iterator[Any]:
    """The bytes of such a file, in pieces."""
    described: dict[str, Any] = {}
    start = 0  # counted from where the columns begin
    for name, column in columns.items():
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
        yield _bytes(column)
        yield bytes(_rounded(column.nbytes) - column.nbytes)


def read_index(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Column]]:
    """Header, and columns mapped from the file, read-only. Raises BadIndexError, and OSError where it cannot be read."""
    if os.path.getsize(path) == 0:  # which cannot be mapped
        raise BadIndexError(f"{os.fspath(path)} is no index of fastload: too short")
    return index_of_bytes(path, np.memmap(path, np.uint8, "r").view(np.ndarray))


def index_of_bytes(path: str | os.PathLike[str], data: Any) -> tuple[dict[str, Any], dict[str, Column]]:
    """The same of bytes that are elsewhere, as columns of these; ``path`` is for errors."""
    whole = np.frombuffer(data, np.uint8)
    if len(whole) < _PREAMBLE:
        raise BadIndexError(f"{os.fspath(path)} is no index of fastload: too short")
    header, body = _header(Path(path), whole)
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


def _header(path: Path, whole: Column) -> tuple[dict[str, Any], int]:
    preamble = whole[:_PREAMBLE].tobytes()
    version, length, checksum, _ = (
        int.from_bytes(preamble[at : at + 4], "little") for at in range(len(MAGIC), _PREAMBLE, 4)
    )
    if preamble[: len(MAGIC)] != MAGIC:
        raise BadIndexError(f"{path} is no index of fastload")
    if version != VERSION:
        raise BadIndexError(f"{path} is an index of version {version}; this fastload reads version {VERSION}")
    body = _rounded(_PREAMBLE + length)
    if length > _LONGEST_HEADER or body > len(whole):
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
