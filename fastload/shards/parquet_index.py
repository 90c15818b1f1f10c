"""Parquet and Arrow files -> index of their samples. Uncompressed values are found in the file itself; others are unpacked once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastload.remote import is_remote, name_in, redacted
from fastload.reports import ProgressLine, needs
from fastload.shards.arrow_columns import (
    Targets,
    buffer_places,
    class_names,
    encoded_and_paths,
    image_field,
    is_bytes,
    is_text,
    plain,
    target_column,
    targets_of,
)
from fastload.shards.arrow_samples import joined, joined_paths, sample_columns
from fastload.shards.index_file import Column
from fastload.shards.index_place import kept_index
from fastload.shards.parquet_footer import Chunk, column_chunks
from fastload.shards.parquet_pages import value_places
from fastload.shards.sample_index import SampleIndex, Shard
from fastload.shards.shard_bytes import near, shards_of
from fastload.shards.shard_paths import shard_list
from fastload.shards.thrift_compact import UnreadPages
from fastload.shards.unpacked_values import unpacked

FORMAT = "parquet"
ENDINGS = (".parquet", ".arrow", ".feather")
# What files begin with.
_PARQUET, _ARROW_FILE, _ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
# Rows that pyarrow unpacks at once: a few MB of photos.
_ROWS_AT_ONCE = 64
# That pyarrow reads at once, instead of the whole column of a row group.
_BUFFER = 1 << 20
# Of `datasets`' names for the files of one split.
_SPLIT = re.compile(r"^(.*)-\d+-of-\d+\.\w+$")


@dataclass
class _Images:
    """Of one file: where the bytes of each sample are (length -1: not there), in ``values`` or else in the file itself."""

    offsets: Column
    lengths: Column
    paths: list[Any] | None
    targets: Targets
    classes: list[str]
    values: Shard | None = None


def index_parquet(files: Sequence[str], image: str, target: str | None) -> SampleIndex:
    """The samples of these files, in their order. Raises ValueError, OSError, ImportError without pyarrow, and pyarrow's errors for
    damaged files, with their names."""
    shards = shards_of(files)
    return kept_index(FORMAT, shards, {"image": image, "target": target}, lambda now, _: _built(now, image, target))


def parquet_files(files: Any) -> list[str]:
    """Of whatever names shards. Raises FileNotFoundError, and ValueError for a folder that holds more than one split."""
    named = [files] if isinstance(files, str | bytes | os.PathLike) else list(files)
    for folder in named:
        if is_remote(folder) and str(folder).endswith("/"):
            inside = [os.path.basename(url) for url in shard_list(folder, ENDINGS)]
        elif not is_remote(folder) and os.path.isdir(folder):
            inside = sorted(os.fsdecode(name) for name in os.listdir(folder))
        else:
            continue
        splits = {match[1] for name in inside if name.endswith(ENDINGS) and (match := _SPLIT.match(name))}
        if len(splits) > 1:
            where = redacted(os.fsdecode(folder)).rstrip("/")
            raise ValueError(f"{where} holds several splits, {', '.join(sorted(splits))}: name one, as {where}/NAME-*")
    return shard_list(named, ENDINGS)


def looks_like_parquet(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as a Parquet or an Arrow file does. Raises OSError."""
    with open(path, "rb") as file:
        magic = file.read(6)
    return magic[:4] == _PARQUET or magic == _ARROW_FILE or magic[:4] == _ARROW_STREAM


def _built(shards: Sequence[Shard], image: str, target: str | None) -> SampleIndex:
    needs("pyarrow", "parquet", "fastload.Parquet")
    read = [_of_shard(shard, image, target) for shard in shards]
    classes = _agreed(shards, [one.classes for one in read if one.classes])
    kinds = {one.targets.kind for one in read}
    if len(kinds) > 1:
        raise ValueError(f"targets are not of one kind in all files: {', '.join(sorted(kinds))}")
    files = [one.values for one in read if one.values is not None]
    numbers = iter(range(len(shards), len(shards) + len(files)))
    parts = [(number if one.values is None else next(numbers), one) for number, one in enumerate(read)]
    columns = sample_columns(
        joined(np.where(one.lengths < 0, i, number) for i, (number, one) in enumerate(parts)),
        joined(one.offsets for one in read),
        joined(one.lengths for one in read),
        joined_paths([(len(one.lengths), one.paths) for one in read]),
        [one.targets for one in read],
        [(_stem(shard), len(one.lengths)) for shard, one in zip(shards, read, strict=True)],
    )
    kind = next(iter(kinds), "none")
    facts: dict[str, Any] = {"classes": classes}
    if files:
        facts["unpacked_from"] = [number for number, one in enumerate(read) if one.values is not None]
    return SampleIndex(FORMAT, shards, columns, target_kind=kind, facts=facts, unpacked=files)


def _of_shard(shard: Shard, image: str, target: str | None) -> _Images:
    with near(shard) as path:
        return _of_file(shard, path, image, target)


def _of_file(shard: Shard, path: str, image: str, target: str | None) -> _Images:
    """Of a shard whose bytes lie in a file."""
    pyarrow = needs("pyarrow", "parquet")
    with open(path, "rb") as file:
        magic = file.read(6)
    try:
        if magic[:4] == _PARQUET:
            return _of_parquet(shard, path, image, target)
        if magic == _ARROW_FILE or magic[:4] == _ARROW_STREAM:
            return _of_arrow(shard, path, image, target, is_stream=magic != _ARROW_FILE)
    except (pyarrow.ArrowException, UnreadPages, UnicodeDecodeError) as error:
        raise ValueError(f"{shard.shown} is damaged: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{shard.shown} is damaged: {error}") from error  # pyarrow's, for what it cannot read
    raise ValueError(f"{shard.shown} is neither a Parquet nor an Arrow file")


def _of_parquet(shard: Shard, path: str, image: str, target: str | None) -> _Images:
    parquet = needs("pyarrow.parquet", "parquet")
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
        kind = image_field(schema, image, shard.shown)
        target = target_column(schema, image, target, shard.shown)
        if rows > 8 * shard.size:
            raise ValueError(f"{shard.shown} is damaged: {rows} rows in {shard.size} bytes")
        wanted = [] if target is None else [target]
        leaf = image
        if not is_bytes(kind) and not is_text(kind):
            leaf = f"{image}.bytes"
            if "path" in (kind.field(i).name for i in range(kind.num_fields)):
                wanted.append(f"{image}.path")
        elif is_text(kind):
            wanted.append(image)
        # Before pyarrow looks at them: it believes that they are there.
        chunks = column_chunks(path, leaf, file.metadata.num_columns)
        table = file.read(columns=wanted, use_threads=False)
        if len(table) != rows:
            raise ValueError(f"{shard.shown} is damaged: {len(table)} rows, and {rows} in its metadata")
        paths = None
        if is_text(kind):
            paths = [plain(chunk) for chunk in table.column(image).chunks]
        elif f"{image}.path" in wanted:
            paths = [plain(chunk.flatten()[0]) for chunk in table.column(image).chunks]
        targets = targets_of(None if target is None else table.column(target), schema.metadata, shard.shown)
        found = _Images(*_nowhere(rows), paths, targets, class_names(schema.metadata, target))
        if is_bytes(kind) or (leaf != image and is_bytes(kind.field("bytes").type)):
            try:
                found.offsets, found.lengths = _in_pages(file, path, image, leaf, chunks)
            except UnreadPages:
                size = sum(chunk.unpacked_size for chunk in chunks)
                found.values, found.offsets, found.lengths = _unpacked_pages(file, shard, image, leaf, size)
    if len(found.lengths) != rows:
        raise ValueError(f"{shard.shown} is damaged: {len(found.lengths)} images in {rows} rows")
    return found


def _in_pages(file: Any, path: str, image: str, leaf: str, chunks: list[Chunk]) -> tuple[Column, Column]:
    """Offsets and lengths of values in the file itself; UnreadPages where they do not lie there as they are."""
    schema = file.metadata.schema
    described = next(column for column in map(schema.column, range(len(schema))) if column.path == leaf)
    if described.physical_type != "BYTE_ARRAY" or described.max_repetition_level:
        raise UnreadPages(described.physical_type)
    if any(chunk.is_compressed for chunk in chunks):
        raise UnreadPages("compressed")
    deepest = described.max_definition_level
    places = []
    with open(path, "rb", buffering=4096) as pages:
        for chunk in chunks:
            places.append(value_places(pages, chunk.start, chunk.size, chunk.values, deepest))
    offsets, lengths = joined(place[0] for place in places), joined(place[1] for place in places)
    _compare_first(_parquet_values(file, image, leaf, rows=1), path, offsets, lengths)
    return offsets, lengths


def _compare_first(values: Iterator[Any], path: str, offsets: Column, lengths: Column) -> None:
    """UnreadPages where pyarrow reads another first value."""
    for array in values:
        with open(path, "rb") as pages:
            pages.seek(int(offsets[0]))
            ours = pages.read(int(lengths[0])) if lengths[0] >= 0 else None
        if ours != array[0].as_py():
            raise UnreadPages("other values than pyarrow's")
        return


def _parquet_values(file: Any, image: str, leaf: str, rows: int = _ROWS_AT_ONCE) -> Iterator[Any]:
    for batch in file.iter_batches(batch_size=rows, columns=[leaf], use_threads=False):
        yield encoded_and_paths(batch.column(image))[0]


def _unpacked_pages(file: Any, shard: Shard, image: str, leaf: str, size: int) -> tuple[Shard, Column, Column]:
    with ProgressLine(f"unpacking {_stem(shard)}", size, "bytes") as line:
        return unpacked(shard, image, size, lambda: _parquet_values(file, image, leaf), line.add)


def _of_arrow(shard: Shard, path: str, image: str, target: str | None, *, is_stream: bool) -> _Images:
    pyarrow = needs("pyarrow", "parquet")
    with pyarrow.memory_map(path) as mapped:
        whole = mapped.read_buffer(shard.size)
        reader = pyarrow.ipc.open_stream(whole) if is_stream else pyarrow.ipc.open_file(whole)
        schema = reader.schema
        kind = image_field(schema, image, shard.shown)
        target = target_column(schema, image, target, shard.shown)
        batches = list(reader) if is_stream else [reader.get_batch(i) for i in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate()
        images = [encoded_and_paths(_checked(batch.column(image))) for batch in batches]
        paths = [paths for _, paths in images if paths is not None]
        wanted = None
        if target is not None:
            wanted = pyarrow.chunked_array(
                [_checked(batch.column(target)) for batch in batches], schema.field(target).type
            )
        targets = targets_of(wanted, schema.metadata, shard.shown)
        found = _Images(
            *_nowhere(sum(len(batch) for batch in batches)),
            paths or None,
            targets,
            class_names(schema.metadata, target),
        )
        if is_text(kind):
            return found
        values = [array for array, _ in images]
        places = [_in_map(array, whole) for array in values]
        if all(place is not None for place in places):
            found.offsets = joined(place[0] for place in places if place is not None)
            found.lengths = joined(place[1] for place in places if place is not None)
        else:
            size = sum(array.nbytes for array in values)
            with ProgressLine(f"unpacking {_stem(shard)}", size, "bytes") as line:
                found.values, found.offsets, found.lengths = unpacked(
                    shard, image, size, lambda: iter(values), line.add
                )
        return found


def _in_map(array: Any, whole: Any) -> tuple[Column, Column] | None:
    """Offsets in the file that is mapped as ``whole``, and lengths; None where the values are not in it."""
    starts, lengths, data = buffer_places(array)
    if data is None or data.size == 0:
        return starts, np.minimum(lengths, 0) if data is None else lengths
    begin = data.address - whole.address
    if begin < 0 or begin + data.size > whole.size:
        return None
    return starts + begin, lengths


def _checked(array: Any) -> Any:
    array.validate(full=True)
    return array


def _stem(shard: Shard) -> str:
    return Path(name_in(shard.path) if is_remote(shard.path) else shard.path).stem


def _nowhere(rows: int) -> tuple[Column, Column]:
    return np.zeros(rows, np.int64), np.full(rows, -1, np.int64)


def _agreed(shards: Sequence[Shard], classes: list[list[str]]) -> list[str]:
    if any(names != classes[0] for names in classes):
        raise ValueError(f"{shards[0].shown} and the others do not have the same names of classes")
    return classes[0] if classes else []
