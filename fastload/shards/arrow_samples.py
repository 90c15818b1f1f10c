"""Images, paths and targets of Arrow's columns -> the columns of an index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastload.reports import needs
from fastload.shards.arrow_columns import Targets, names_of
from fastload.shards.index_file import Column
from fastload.shards.sample_index import SampleColumns


def sample_columns(
    shard: Column,
    offsets: Column,
    lengths: Column,
    paths: Any,
    targets: Sequence[Targets],
    stems: Iterable[tuple[str, int]],
) -> SampleColumns:
    """Columns of n samples.

    Args:
        shard, offsets, lengths: integers [n]; the length is -1 where there are no bytes, and the path is read.
        paths: pyarrow's array of n large texts, null where there is none.
        targets: of parts of the samples, one after the other, of one kind.
        stems: of each file, with its number of samples, for names.

    Raises ValueError for a sample that is elsewhere.
    """
    without_bytes = lengths < 0
    is_file = without_bytes & _are_paths(paths, without_bytes)
    return SampleColumns(
        shard.astype("<u4"),
        np.where(without_bytes, 0, offsets).astype("<i8"),
        np.maximum(lengths, 0).astype("<i8"),
        *names_of(paths, ~without_bytes, stems),
        *_joined_targets(targets),
        is_file=is_file.astype("|u1") if is_file.any() else None,
    )


def joined_paths(parts: Sequence[tuple[int, Sequence[Any] | None]]) -> Any:
    """One array of large texts from the paths of several files: the number of samples of each, and its arrays of texts, or None."""
    pyarrow = needs("pyarrow", "parquet")
    text = pyarrow.large_string()
    arrays = [
        array.cast(text)
        for count, paths in parts
        for array in ([pyarrow.nulls(count, text)] if paths is None else paths)
    ]
    return pyarrow.concat_arrays(arrays) if arrays else pyarrow.array([], text)


def joined(columns: Iterable[Column | None]) -> Column:
    """One column of int64 of those that are there."""
    return np.concatenate([np.zeros(0, np.int64), *(column for column in columns if column is not None)])


def _are_paths(paths: Any, without_bytes: Column) -> Column:
    compute = needs("pyarrow.compute", "parquet")
    remote = paths.filter(compute.and_(compute.match_substring(paths, "://"), without_bytes))
    if len(remote):
        raise ValueError(
            f"the bytes of {len(remote)} images are not there, and their paths are elsewhere, as {remote[0]}: "
            "download the images, or write the data set with its images embedded (datasets' to_parquet does)"
        )
    return np.asarray(paths.is_valid().to_numpy(zero_copy_only=False))


def _joined_targets(targets: Sequence[Targets]) -> tuple[Column | None, Column | None, Column | None]:
    if not targets or targets[0].kind == "none":
        return None, None, None
    if targets[0].kind == "int":
        return joined(one.numbers for one in targets), None, None
    starts, texts, at = [np.zeros(1, np.int64)], [], 0
    for one in targets:
        if one.starts is not None and one.texts is not None:
            starts.append(one.starts[1:] + at)
            texts.append(one.texts)
            at += len(one.texts)
    return None, np.concatenate(starts), np.concatenate(texts)
