"""Values of a shard that do not lie in it as they are, because it is compressed: written once, as they are, into the cache folder.

One file of values a shard, and beside it where each lies. Both are whole or not there; after an interruption the shards that are
done stay. The files of a shard that has changed since are taken away.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastload.shards.arrow_columns import buffer_places
from fastload.shards.index_file import BadIndexError, Column, read_index, write_index
from fastload.shards.index_place import cache_folder
from fastload.shards.new_file import new_file
from fastload.shards.sample_index import Shard


def unpacked(
    shard: Shard, column: str, needed: int, arrays: Callable[[], Iterator[Any]], tell: Callable[[int], None]
) -> tuple[Shard, Column, Column]:
    """The file of values, and offset and length of each, int64; the length is -1 where it is null.

    Args:
        shard, column: whose values.
        needed: bytes that they will take, more or less.
        arrays: pyarrow's arrays of bytes, one after the other.
        tell: is called with the bytes that were written.

    Raises OSError, also where there is too little room.
    """
    folder = cache_folder() / "unpacked"
    whose = hashlib.sha256(f"{shard.shown}\0{column}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    version = hashlib.sha256(f"{shard.size}\0{shard.version}".encode()).hexdigest()[:16]
    values, places = folder / f"{whose}-{version}.values", folder / f"{whose}-{version}.index"
    found = _read(values, places)
    if found is not None:
        tell(found[0].size)
        return found
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"the compressed images of {shard.shown} take {needed / 1e9:.2f} GB unpacked, and {folder} has {free / 1e9:.2f} GB "
            "free. Set XDG_CACHE_HOME to a folder with more room, or write the images uncompressed "
            "(datasets' to_parquet and fastload's write_parquet do): then nothing is unpacked",
        )
    offsets, lengths = _written(values, arrays(), tell)
    write_index(places, {"kind": "values", "size": values.stat().st_size}, {"offset": offsets, "length": lengths})
    for other in folder.glob(f"{whose}-*"):
        if not other.name.startswith(f"{whose}-{version}."):
            with contextlib.suppress(OSError):
                other.unlink()
    return Shard.of_file(values), offsets, lengths


def _written(place: Path, arrays: Iterator[Any], tell: Callable[[int], None]) -> tuple[Column, Column]:
    offsets, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    with new_file(place) as beside, open(beside, "wb") as file:
        at = 0
        for array in arrays:
            starts, sizes, data = buffer_places(array)
            if len(starts) == 0:
                continue
            first, last = int(starts[0]), int(starts[-1]) + max(int(sizes[-1]), 0)
            if data is not None:
                file.write(memoryview(data)[first:last])
            offsets.append(starts - first + at)
            lengths.append(sizes)
            at += last - first
            tell(last - first)
    return np.concatenate(offsets), np.concatenate(lengths)


def _read(values: Path, places: Path) -> tuple[Shard, Column, Column] | None:
    """What is there, whole; None if not."""
    try:
        header, columns = read_index(places)
        shard = Shard.of_file(values)
        if header.get("size") != shard.size:
            return None
        return shard, columns["offset"], columns["length"]
    except (OSError, BadIndexError, KeyError):
        return None
