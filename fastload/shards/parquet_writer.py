"""Records -> one Parquet file that ``datasets`` shows with Image and ClassLabel features, its images uncompressed."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from fastload.reports import needs
from fastload.shards.arrow_columns import FEATURES, TARGETS
from fastload.shards.record import Record

# A row group ends at so many rows, or when its images reach so many bytes: readers that know no byte ranges read whole ones.
_ROWS_IN_GROUP = 1000
_BYTES_IN_GROUP = 128 << 20
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
        row_group: rows in each, at the most; one also ends at 128 MB.

    Raises ValueError for a target that is not as the first, OSError, ImportError without pyarrow.
    """
    if row_group < 1:
        raise ValueError(f"row_group must be positive, not {row_group}")
    pyarrow, parquet = needs("pyarrow", "parquet", "write_parquet"), needs("pyarrow.parquet", "parquet")
    coming = iter(records)
    first = next(coming, None)
    schema = _schema(first, classes)
    place = Path(path)
    beside = place.parent / f".{place.name}.{os.getpid()}.{secrets.token_hex(4)}.part"
    try:
        with open(beside, "xb") as file:
            with parquet.ParquetWriter(
                file,
                schema,
                compression="none",
                use_dictionary=False,
                write_statistics=False,
                write_page_index=True,
                write_batch_size=_VALUES_AT_ONCE,
            ) as writer:
                for rows in _groups(chain([first] if first is not None else [], coming), row_group):
                    writer.write_table(_table(rows, schema, pyarrow))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def _groups(records: Iterable[Record], most: int) -> Iterator[list[Record]]:
    rows: list[Record] = []
    size = 0
    for record in records:
        rows.append(record)
        size += memoryview(record.data).nbytes
        if len(rows) >= most or size >= _BYTES_IN_GROUP:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


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


def _table(rows: list[Record], schema: Any, pyarrow: Any) -> Any:
    ends = np.cumsum([0, *(memoryview(row.data).nbytes for row in rows)]).astype(np.int32)
    joined = pyarrow.py_buffer(b"".join(row.data for row in rows))
    data = pyarrow.Array.from_buffers(pyarrow.binary(), len(rows), [None, pyarrow.py_buffer(ends), joined])
    paths = pyarrow.array([row.name for row in rows], pyarrow.string())
    columns = [pyarrow.StructArray.from_arrays([data, paths], ["bytes", "path"])]
    if "label" in schema.names:
        is_json = TARGETS in schema.metadata
        is_text = schema.field("label").type == pyarrow.string()
        for row in rows:
            fits = is_json or (isinstance(row.target, str) if is_text else _is_integer(row.target))
            if not fits:
                raise ValueError(
                    f"{row.name}: the target is {row.target!r}; those before it are {'text' if is_text else 'integers'}"
                )
        targets = [json.dumps(row.target) if is_json else row.target for row in rows]
        columns.append(pyarrow.array(targets, schema.field("label").type))
    elif odd := next((row for row in rows if row.target is not None), None):
        raise ValueError(f"{odd.name}: the target is {odd.target!r}; those before it have none")
    return pyarrow.Table.from_arrays(columns, schema=schema)


def _is_integer(target: Any) -> bool:
    return isinstance(target, int) and not isinstance(target, bool)
