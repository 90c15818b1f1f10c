"""Columns of Arrow, which pyarrow reads -> columns of an index: no Python object a sample."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastload.reports import needs
from fastload.shards.index_file import Column

# Where `datasets` keeps a table's features, and where a writer of this package says of what kind targets are.
FEATURES, TARGETS = b"huggingface", b"fastload.target"


@dataclass
class Targets:
    """As columns of an index has them: ``kind``, numbers, or texts with their beginnings."""

    kind: str
    numbers: Column | None = None
    starts: Column | None = None
    texts: Column | None = None


def image_field(schema: Any, image: str, where: str) -> Any:
    """The type of the column of images, or of what its dictionary holds; ValueError for one that is none, with the reason."""
    pyarrow = needs("pyarrow", "parquet")
    if schema.names.count(image) != 1:
        raise ValueError(f"{where} has no column {image!r}; it has {', '.join(map(repr, schema.names)) or 'none'}")
    kind = held = _value_type(schema.field(image).type)
    if pyarrow.types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        if "bytes" not in names:
            raise ValueError(f"{where}: column {image!r} is {kind}, which has no field 'bytes'")
        held = _value_type(kind.field("bytes").type)
    if not (is_bytes(held) or (is_text(kind) if held == kind else pyarrow.types.is_null(held))):
        why = "decoded pixels or several images a row" if "list" in str(held) else "no encoded images"
        raise ValueError(
            f"{where}: column {image!r} is {kind}: {why}. What is read is one encoded image a row: binary, or "
            "struct<bytes: binary, path: string>, as `datasets.Image` stores it"
        )
    return kind


def _value_type(kind: Any) -> Any:
    return kind.value_type if needs("pyarrow", "parquet").types.is_dictionary(kind) else kind


def plain(array: Any) -> Any:
    """Without a dictionary."""
    return array if _value_type(array.type) == array.type else array.dictionary_decode()


def is_bytes(kind: Any) -> bool:
    types, kind = needs("pyarrow", "parquet").types, _value_type(kind)
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def is_text(kind: Any) -> bool:
    types, kind = needs("pyarrow", "parquet").types, _value_type(kind)
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def encoded_and_paths(array: Any) -> tuple[Any, Any]:
    """From an array of images as :func:`image_field` takes them: the bytes (or None) and the paths (or None)."""
    array = plain(array)
    if is_text(array.type):
        return None, array
    if is_bytes(array.type):
        return array, None
    names = (array.type.field(i).name for i in range(array.type.num_fields))
    parts = dict(zip(names, map(plain, array.flatten()), strict=True))
    paths = parts.get("path")
    return parts["bytes"], paths if paths is not None and is_text(paths.type) else None


def buffer_places(array: Any) -> tuple[Column, Column, Any]:
    """Offset in the array's buffer and length of each value of an array of bytes, int64; -1 where it is null; and the buffer.

    Raises pyarrow's ArrowInvalid for an array whose offsets lie.
    """
    pyarrow = needs("pyarrow", "parquet")
    if pyarrow.types.is_binary_view(array.type):
        array = array.cast(pyarrow.large_binary())
    array.validate(full=True)
    if pyarrow.types.is_null(array.type):
        return np.zeros(len(array), np.int64), np.full(len(array), -1, np.int64), None
    kind = np.int64 if pyarrow.types.is_large_binary(array.type) else np.int32
    _, places, data = array.buffers()
    if len(array) == 0 or places is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), data
    ends = np.frombuffer(places, kind)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    lengths = np.diff(ends)
    if array.null_count:
        lengths[array.is_null().to_numpy(zero_copy_only=False)] = -1
    return ends[:-1], lengths, data


def text_of(array: Any) -> tuple[Column, Column]:
    """Texts, nulls as empty ones, as ``text_column`` has them."""
    pyarrow = needs("pyarrow", "parquet")
    array = _one(array.cast(pyarrow.large_string()))
    if array.null_count:
        array = array.fill_null("")
    starts, lengths, data = buffer_places(array.cast(pyarrow.large_binary()))
    begins = np.zeros(len(array) + 1, np.int64)
    np.cumsum(lengths, out=begins[1:])
    if data is None or len(array) == 0:
        return begins, np.zeros(0, np.uint8)
    return begins, np.frombuffer(data, np.uint8)[int(starts[0]) : int(starts[0]) + int(begins[-1])]


def targets_of(array: Any, metadata: dict[bytes, bytes] | None, where: str) -> Targets:
    """Integers (a null is -1), texts (a null is empty), or whatever else JSON can say."""
    pyarrow = needs("pyarrow", "parquet")
    if array is None:
        return Targets("none")
    array = plain(_one(array))
    kind = array.type
    if pyarrow.types.is_null(kind):
        raise ValueError(f"{where}: no target has a value, all are null: target=None gives images alone")
    if pyarrow.types.is_integer(kind) or pyarrow.types.is_boolean(kind):
        try:
            numbers = array.cast(pyarrow.int64())
        except pyarrow.ArrowInvalid as error:
            raise ValueError(
                f"{where}: targets are {kind}, and of 64 bits one is left for the sign: {error}"
            ) from error
        if numbers.null_count:
            numbers = numbers.fill_null(-1)
        return Targets("int", numbers.to_numpy(zero_copy_only=False).astype("<i8", copy=False))
    if is_text(kind):
        starts, texts = text_of(array)
        return Targets("json" if (metadata or {}).get(TARGETS) == b"json" else "text", None, starts, texts)
    try:
        said = [json.dumps(value) for value in array.to_pylist()]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: targets are {kind}, which is neither a number, nor text, nor JSON") from error
    starts, texts = text_of(pyarrow.array(said, pyarrow.large_string()))
    return Targets("json", None, starts, texts)


def names_of(paths: Any, has_bytes: Column, stems: Iterable[tuple[str, int]]) -> tuple[Column, Column]:
    """A name for each sample: its path; where it has none, or where paths are not distinct, its file's stem and its row.

    Args:
        paths: array of large texts.
        has_bytes: of each sample; one that has not is named by its path in any case.
        stems: of each file, with its number of rows.
    """
    pyarrow = needs("pyarrow", "parquet")
    compute = needs("pyarrow.compute", "parquet")
    rows = [
        compute.binary_join_element_wise(
            pyarrow.scalar(stem, pyarrow.large_string()),
            compute.utf8_lpad(pyarrow.array(np.arange(count)).cast(pyarrow.large_string()), 8, "0"),
            pyarrow.scalar("-", pyarrow.large_string()),
        )
        for stem, count in stems
    ]
    numbered = _one(pyarrow.chunked_array(rows, pyarrow.large_string()))
    distinct = len(compute.unique(paths.drop_null())) == len(paths) - paths.null_count
    if not distinct:
        longer = compute.binary_join_element_wise(numbered, paths, pyarrow.scalar("/", pyarrow.large_string()))
        paths = compute.if_else(pyarrow.array(has_bytes), longer, paths)
    return text_of(compute.coalesce(paths, numbered))


def class_names(metadata: dict[bytes, bytes] | None, target: str | None) -> list[str]:
    """Names of classes, where `datasets` wrote the column as a ClassLabel; empty where it did not."""
    try:
        features = json.loads((metadata or {}).get(FEATURES, b"{}"))["info"]["features"]
        names = features[target]["names"] if features[target]["_type"] == "ClassLabel" else []
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []


def target_column(schema: Any, image: str, target: str | None, where: str) -> str | None:
    """The name of the column of targets, None where there is none; ValueError where there should be one."""
    if target is None or target in schema.names:
        return target
    others = [name for name in schema.names if name != image]
    if target == "label" and not others:
        return None
    raise ValueError(
        f"{where} has no column {target!r} for the target; it has {', '.join(map(repr, others)) or 'none'}. "
        "target=None gives images alone"
    )


def _one(array: Any) -> Any:
    pyarrow = needs("pyarrow", "parquet")
    if not isinstance(array, pyarrow.ChunkedArray):
        return array
    return (
        array.chunk(0)
        if array.num_chunks == 1
        else pyarrow.concat_arrays(array.chunks or [pyarrow.array([], array.type)])
    )
