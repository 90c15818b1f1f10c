"""Uncompressed pages of a Parquet column of bytes -> where each value lies in the file.

Only headers, levels and the values' own lengths are read. Everything must fit exactly: each page ends where its header says, the
values are as many as the metadata says. What does not fit, or is encoded otherwise, raises UnreadPages, and is left to pyarrow.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from fastload.shards.index_file import Column
from fastload.shards.thrift_compact import UnreadPages, read_struct, read_varint

# Of Parquet's format.
_DATA, _INDEX, _DICTIONARY, _DATA_V2 = 0, 1, 2, 3
_PLAIN, _PLAIN_DICTIONARY, _RLE, _RLE_DICTIONARY = 0, 2, 3, 8
_LONGEST_HEADER = 1 << 16


def value_places(file: BinaryIO, start: int, size: int, values: int, deepest: int) -> tuple[Column, Column]:
    """Offset and length, int64, of each value of one column chunk that is not compressed; length -1 where it is null.

    Args:
        file: opened for reading, buffered.
        start, size: of the chunk's pages, in bytes.
        values: as many there are, nulls counted.
        deepest: the column's largest definition level; a value with a smaller one is null.
    """
    end = start + size
    if start < 0 or size < 0 or end > 1 << 62:
        raise UnreadPages("a column that lies nowhere")
    offsets, lengths = [], []
    dictionary: tuple[Column, Column] | None = None
    left, at = values, start
    while left > 0:
        header, at = _page_header(file, at, end)
        body, at = at, at + _number(header, 3)
        if at > end or _number(header, 2) != at - body:
            raise UnreadPages("a page that ends behind its column")
        kind = _number(header, 1)
        if kind == _DICTIONARY:
            counts = _part(header, 7)
            if dictionary is not None or _number(counts, 2) not in (_PLAIN, _PLAIN_DICTIONARY):
                raise UnreadPages("an unknown dictionary")
            dictionary = _plain(file, body, at, _number(counts, 1))
        elif kind in (_DATA, _DATA_V2):
            counts = _part(header, 5 if kind == _DATA else 8)
            count = _number(counts, 1)
            if not 0 < count <= left:
                raise UnreadPages("more values than the metadata says")
            left -= count
            here, body = _is_there(file, kind, counts, body, at, count, deepest)
            encoding = _number(counts, 2 if kind == _DATA else 4)
            found = np.full(count, 0, np.int64), np.full(count, -1, np.int64)
            found[0][here], found[1][here] = _values(file, encoding, body, at, int(here.sum()), dictionary)
            offsets.append(found[0])
            lengths.append(found[1])
        elif kind != _INDEX:
            raise UnreadPages(f"a page of kind {kind}")
    empty = np.zeros(0, np.int64)
    return np.concatenate(offsets or [empty]), np.concatenate(lengths or [empty])


def _values(
    file: BinaryIO, encoding: int, start: int, end: int, count: int, dictionary: tuple[Column, Column] | None
) -> tuple[Column, Column]:
    if encoding == _PLAIN:
        return _plain(file, start, end, count)
    if encoding not in (_PLAIN_DICTIONARY, _RLE_DICTIONARY) or dictionary is None:
        raise UnreadPages(f"values of encoding {encoding}")
    if count == 0:
        return dictionary[0][:0], dictionary[1][:0]
    data = _bytes(file, start, end)
    rows = _runs(data[1:], data[0], count)
    if int(rows.max()) >= len(dictionary[0]):
        raise UnreadPages("a value that is not in the dictionary")
    return dictionary[0][rows], dictionary[1][rows]


def _plain(file: BinaryIO, start: int, end: int, count: int) -> tuple[Column, Column]:
    """Values one behind the other, each behind its length."""
    if count * 4 > end - start:
        raise UnreadPages("more values than bytes")
    lengths = np.empty(count, np.int64)
    at = start
    for row in range(count):
        file.seek(at)
        length = int.from_bytes(file.read(4), "little")
        lengths[row] = length
        at += 4 + length
        if at > end:
            raise UnreadPages("a value that ends behind its page")
    if at != end:
        raise UnreadPages("a page that goes on behind its values")
    return start + np.cumsum(lengths + 4) - lengths, lengths


def _is_there(
    file: BinaryIO, kind: int, counts: dict[int, Any], start: int, end: int, count: int, deepest: int
) -> tuple[Column, int]:
    """Which values are not null, and where they begin."""
    if kind == _DATA_V2:
        if _number(counts, 6) != 0:
            raise UnreadPages("lists")
        size = _number(counts, 5)
    elif deepest == 0:
        size = 0
    else:
        if _number(counts, 3) != _RLE:
            raise UnreadPages("levels of an old encoding")
        size = int.from_bytes(_bytes(file, start, min(start + 4, end)), "little")
        start += 4
    if start + size > end:
        raise UnreadPages("levels that end behind their page")
    if deepest == 0:
        return np.ones(count, bool), start + size
    return _runs(_bytes(file, start, start + size), deepest.bit_length(), count) == deepest, start + size


def _runs(data: bytes, width: int, count: int) -> Column:
    """``count`` numbers of ``width`` bits from Parquet's mix of repeated and bit-packed runs."""
    if width > 32:
        raise UnreadPages(f"numbers of {width} bits")
    found = np.zeros(count, np.int64)
    done = at = 0
    while done < count:
        try:
            head, at = read_varint(data, at)
        except IndexError as error:
            raise UnreadPages("a run that is cut") from error
        if head & 1:
            size = (head >> 1) * width
            packed = np.frombuffer(data[at : at + size], np.uint8)
            bits = np.unpackbits(packed, bitorder="little")
            rows = min((head >> 1) * 8, count - done)
            if len(bits) < rows * width or rows == 0:
                raise UnreadPages("a run that is cut")
            weights = 1 << np.arange(width, dtype=np.int64)
            found[done : done + rows] = bits[: rows * width].reshape(rows, width) @ weights
        else:
            size = (width + 7) // 8
            rows = min(head >> 1, count - done)
            if at + size > len(data) or rows == 0:
                raise UnreadPages("a run that is cut")
            found[done : done + rows] = int.from_bytes(data[at : at + size], "little")
        at += size
        done += rows
    return found


def _page_header(file: BinaryIO, at: int, end: int) -> tuple[dict[int, Any], int]:
    """A page's header, by the numbers of its fields, and where the page begins."""
    data = _bytes(file, at, min(end, at + 256))
    try:
        header, length = read_struct(data)
    except IndexError:  # statistics of long values
        data = _bytes(file, at, min(end, at + _LONGEST_HEADER))
        try:
            header, length = read_struct(data)
        except IndexError as error:
            raise UnreadPages("a header that is cut") from error
    return header, at + length


def _number(fields: dict[int, Any], number: int) -> int:
    value = fields.get(number)
    if type(value) is not int or value < 0:
        raise UnreadPages(f"a header without its field {number}")
    return value


def _part(fields: dict[int, Any], number: int) -> dict[int, Any]:
    value = fields.get(number)
    if not isinstance(value, dict):
        raise UnreadPages(f"a header without its part {number}")
    return value


def _bytes(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    data = file.read(end - start)
    if len(data) != end - start:
        raise UnreadPages("the file is cut")
    return data
