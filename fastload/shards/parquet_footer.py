"""What the end of a Parquet file says of one column: where its chunks are, and how they are packed.

Read here and not through pyarrow's own objects, which end the process where a footer is damaged (pyarrow 26: a C++ exception in
``RowGroupMetaData.column``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from fastload.shards.thrift_compact import UnreadPages, read_struct


@dataclass(frozen=True)
class Chunk:
    """A column's values in one row group: the bytes of its pages, how many values with the nulls, whether they are compressed."""

    start: int
    size: int
    unpacked_size: int
    values: int
    is_compressed: bool


def column_chunks(path: str | os.PathLike[str], column: str, columns: int) -> list[Chunk]:
    """Those of a column, as ``image.bytes``, one a row group, each of which has so many columns. Raises UnreadPages, OSError."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(max(size - 8, 0))
        end = file.read(8)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != b"PAR1" or length > size - 8:
            raise UnreadPages("no footer")
        file.seek(size - 8 - length)
        footer = file.read(length)
    try:
        groups = read_struct(footer)[0][4]
        if any(len(group[1]) != columns for group in groups):
            raise UnreadPages("a row group without some of the columns")
        return [_chunk(_of_column(group, column), size) for group in groups]
    except (IndexError, KeyError, TypeError, AttributeError) as error:
        raise UnreadPages(f"a footer that is damaged: {error!r}") from error


def _of_column(group: Any, column: str) -> Any:
    found = [chunk for chunk in group[1] if b".".join(chunk[3][3]) == column.encode()]
    if len(found) != 1:
        raise UnreadPages(f"{len(found)} columns {column}")
    if 1 in found[0]:
        raise UnreadPages("values in another file")
    return found[0][3]


def _chunk(described: Any, size: int) -> Chunk:
    numbers = [described[field] for field in (5, 6, 7, 9, 4)]
    dictionary = described.get(11, None)
    if any(type(number) is not int or number < 0 for number in numbers):
        raise UnreadPages("a column that lies nowhere")
    values, unpacked_size, packed_size, start, codec = numbers
    if type(dictionary) is int and 0 < dictionary < start:
        start = dictionary
    if start + packed_size > size:
        raise UnreadPages("a column that ends behind its file")
    return Chunk(start, packed_size, unpacked_size, values, codec != 0)
