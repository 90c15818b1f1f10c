"""Records -> one Parquet file that ``datasets`` shows with Image and ClassLabel features, its images uncompressed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from fastload.reports import needs
from fastload.shards.arrow_columns import FEATURES, TARGETS
from fastload.shards.new_file import new_file
from fastload.shards.record import Record

# A row group ends at so many rows, or when its images reach so many bytes: readers that know no byte ranges read whole ones.
_ROWS_IN_GROUP = 1000
_BYTES_IN_GROUP = 32 << 20
# Memory for the image that ends it; more where it needs more.
_ROOM_FOR_LAST = 4 << 20
# Values that are written before a page's size is looked at: with photos of 100 KB pages of about a MB.
_VALUES_AT_ONCE = 8


def write_parquet(
    path: str | os.PathLike[str],
    records: Iterable[Record],
    classes: Sequence[str] | None = None,
    *,
    row_group: int = _ROWS_IN_GROUP,
) -> None:
    """Writes one Parquet file, whole or not at all: column ``image``, ``struct<bytes: binary, path: string>``, and ``label``.

    The same records give the same bytes, with one version of pyarrow. Images are neither compressed nor in a dictionary, so they
    are read from the file by their place. Memory: twice one row group.

    Args:
        path: of the file.
        records: taken as they come. The targets are all integers, all texts, all None (then there is no column ``label``), or what
            JSON can say, as the first is.
        classes: names of the integers.
        row_group: rows in each, at the most; one also ends at 32 MB.

    Raises ValueError for a target that is not as the first, OSError, ImportError without pyarrow.
    """
    if row_group < 1:
        raise ValueError(f"row_group must be positive, not {row_group}")
    pyarrow, parquet = needs("pyarrow", "parquet", "write_parquet"), needs("pyarrow.parquet", "parquet")
    coming = iter(records)
    first = next(coming, None)
    schema = _schema(first, classes)
    with (
        new_file(path) as place,
        pyarrow.OSFile(place, "wb") as file,
        parquet.ParquetWriter(
            file,
            schema,
            compression="none",
            use_dictionary=False,
            write_statistics=False,
            write_page_index=True,
            write_batch_size=_VALUES_AT_ONCE,
        ) as writer,
    ):
        for group in _groups(chain([first] if first is not None else [], coming), row_group):
            writer.write_table(_table(group, schema, pyarrow))


class _Group:
    """The rows of a row group; their images one after the other in memory that the next group has again."""

    def __init__(self) -> None:
        self.images = np.empty(_BYTES_IN_GROUP + _ROOM_FOR_LAST, np.uint8)
        self.clear()

    def clear(self) -> None:
        self.ends = [0]
        self.names: list[str] = []
        self.targets: list[Any] = []

    def add(self, record: Record) -> None:
        data = memoryview(record.data).cast("B")
        begin = self.ends[-1]
        end = begin + len(data)
        if end > len(self.images):
            larger = np.empty(2 * end, np.uint8)
            larger[:begin] = self.images[:begin]
            self.images = larger
        self.images[begin:end] = data
        self.ends.append(end)
        self.names.append(record.name)
        self.targets.append(record.target)


def _groups(records: Iterable[Record], most: int) -> Iterator[_Group]:
    group = _Group()
    for record in records:
        group.add(record)
        if len(group.names) >= most or group.ends[-1] >= _BYTES_IN_GROUP:
            yield group
            group.clear()
    if group.names:
        yield group


def _schema(first: Record | None, classes: Sequence[str] | None) -> Any:
    pyarrow = needs("pyarrow", "parquet")
    target = first.target if first is not None else 0 if classes else None
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    metadata = {}
    fields = [
        pyarrow.field("image", pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])),
    ]
    if _is_integer(target):
        fields.append(pyarrow.field("label", pyarrow.int64()))
        features["label"] = (
            {"names": list(classes), "_type": "ClassLabel"} if classes else {"dtype": "int64", "_type": "Value"}
        )
    elif target is not None:
        fields.append(pyarrow.field("label", pyarrow.string()))
        features["label"] = {"dtype": "string", "_type": "Value"}
        if not isinstance(target, str):
            metadata[TARGETS] = b"json"
    metadata[FEATURES] = json.dumps({"info": {"features": features}}).encode()
    return pyarrow.schema(fields, metadata=metadata)


def _table(group: _Group, schema: Any, pyarrow: Any) -> Any:
    ends = pyarrow.py_buffer(np.array(group.ends, np.int32))
    images = pyarrow.py_buffer(group.images)
    data = pyarrow.Array.from_buffers(pyarrow.binary(), len(group.names), [None, ends, images])
    paths = pyarrow.array(group.names, pyarrow.string())
    columns = [pyarrow.StructArray.from_arrays([data, paths], ["bytes", "path"])]
    rows = list(zip(group.names, group.targets, strict=True))
    if "label" in schema.names:
        is_json = TARGETS in schema.metadata
        is_text = schema.field("label").type == pyarrow.string()
        for name, target in rows:
            fits = is_json or (isinstance(target, str) if is_text else _is_integer(target))
            if not fits:
                raise ValueError(
                    f"{name}: the target is {target!r}; those before it are {'text' if is_text else 'integers'}"
                )
        targets = [json.dumps(target) for target in group.targets] if is_json else group.targets
        columns.append(pyarrow.array(targets, schema.field("label").type))
    elif odd := next((row for row in rows if row[1] is not None), None):
        raise ValueError(f"{odd[0]}: the target is {odd[1]!r}; those before it have none")
    return pyarrow.Table.from_arrays(columns, schema=schema)


def _is_integer(target: Any) -> bool:
    return isinstance(target, int) and not isinstance(target, bool)
