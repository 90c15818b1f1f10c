"""An Arrow table in memory -> an index of the images in its buffers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastload.reports import needs
from fastload.shards.arrow_columns import (
    buffer_places,
    class_names,
    encoded_and_paths,
    image_field,
    target_column,
    targets_of,
)
from fastload.shards.arrow_samples import joined, joined_paths, sample_columns
from fastload.shards.index_file import Column
from fastload.shards.mapped_buffers import files_of
from fastload.shards.sample_index import SampleIndex, Shard


def table_index(
    table: Any, image: str, target: str | None, rows: Column | None, format_name: str
) -> tuple[SampleIndex, list[memoryview | None]]:
    """The index, whose shards are buffers, or the files that they are mapped from; and each shard's buffer, None: it is a file.

    Args:
        table: pyarrow's.
        image, target: names of columns, as for :class:`fastload.Parquet`.
        rows: which of them, in this order; None: all.

    Raises ValueError for columns that are not there, or not of images.
    """
    schema, where = table.schema, "the data set"
    image_field(schema, image, where)
    target = target_column(schema, image, target, where)
    parts = [encoded_and_paths(chunk) for chunk in table.column(image).chunks]
    places = [_nowhere(paths) if encoded is None else buffer_places(encoded) for encoded, paths in parts]
    held = [memoryview(b"") if data is None else memoryview(data).cast("B") for _, _, data in places]
    files = files_of(held, [0 if data is None else data.address for _, _, data in places])
    numbers: dict[str, int] = {}
    shards: list[Shard] = []
    buffers: list[memoryview | None] = []
    of_chunk = []
    for number, (buffer, file) in enumerate(zip(held, files, strict=True)):
        known = file[0] if file is not None else Shard(f"buffer {number}", len(buffer), "")
        if known.path not in numbers:
            numbers[known.path] = len(shards)
            shards.append(known)
            buffers.append(None if file is not None else buffer)
        of_chunk.append(numbers[known.path])
    shard = joined(np.full(len(starts), number) for number, (starts, _, _) in zip(of_chunk, places, strict=True))
    offsets = joined(place[0] + (file[1] if file else 0) for place, file in zip(places, files, strict=True))
    lengths = joined(place[1] for place in places)
    paths = joined_paths([(len(place[0]), part[1] and [part[1]]) for place, part in zip(places, parts, strict=True)])
    wanted = None if target is None else table.column(target)
    if rows is not None:
        shard, offsets, lengths, paths = shard[rows], offsets[rows], lengths[rows], paths.take(_array(rows))
        wanted = None if wanted is None else wanted.take(_array(rows))
    targets = targets_of(wanted, schema.metadata, where)
    index = SampleIndex(
        format_name,
        shards,
        sample_columns(shard, offsets, lengths, paths, [targets], [("row", len(shard))]),
        target_kind=targets.kind,
        facts={"classes": class_names(schema.metadata, target)},
    )
    return index, buffers


def _nowhere(paths: Any) -> tuple[Column, Column, None]:
    return np.zeros(len(paths), np.int64), np.full(len(paths), -1, np.int64), None


def _array(rows: Column) -> Any:
    return needs("pyarrow", "parquet").array(rows)
