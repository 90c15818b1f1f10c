"""Records -> one TFRecord file, with the features that TensorFlow's own scripts give to ImageNet."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

from fastload import _core
from fastload.shards.new_file import new_file, write_pieces
from fastload.shards.record import Record
from fastload.shards.tfrecord_features import CLASSES, IMAGE, LABEL_BASE, TARGET
from fastload.shards.tfrecord_records import mask
from fastload.shards.varint import varint

_BYTES, _INTS = 1, 3  # of a Feature
_ALL_BITS = (1 << 64) - 1
_FORMATS = ((b"\xff\xd8", b"JPEG"), (b"\x89PNG", b"PNG"), (b"GIF8", b"GIF"), (b"BM", b"BMP"), (b"II*\0", b"TIFF"))


def write_tfrecord(
    path: str | os.PathLike[str], records: Iterable[Record], classes: Sequence[str] | None = None
) -> None:
    """One file, written beside its place and renamed; the same records give the same bytes.

    Each record is a ``tf.train.Example``: ``image/encoded``; ``image/class/label``, counted from 0, and
    ``image/class/label_base``, which says so; ``image/class/text``, the class's name; ``image/filename`` and ``image/format``.
    A text target is a label of bytes, and none is left out. The first record names all classes, in ``fastload/classes``.

    Args:
        path: of the file.
        records: in this order; their bytes are passed through.
        classes: names of 0, 1, …

    Raises:
        TypeError: a target that is neither int, a list of ints, text nor None.
        OSError: a full disk and the like.
    """
    with new_file(path) as place, open(place, "wb", buffering=0) as file:
        for number, record in enumerate(records):
            write_pieces(file, _framed(*_example(record, classes if number == 0 else None)))


def _example(record: Record, classes: Sequence[str] | None) -> tuple[bytes, memoryview, bytes]:
    """Its message, the features sorted by name: what is before the image, the image, what is behind it."""
    data = memoryview(record.data).cast("B")
    head = bytes(data[:12])
    kind = next((name for magic, name in _FORMATS if head.startswith(magic)), None)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        kind = b"WEBP"
    before = [_feature(CLASSES, _BYTES, *map(_text, classes))] if classes else []
    before += _label(record)
    if record.class_name is not None:
        before.append(_short_feature("image/class/text", _BYTES, _text(record.class_name)))
    behind = [_feature("image/filename", _BYTES, _text(record.name))]
    if kind is not None:
        behind.append(_short_feature("image/format", _BYTES, kind))
    # From the inside out: a list's value, the list, the feature, the entry. Only lengths are written before the image.
    value = _head(1, len(data))
    listed = _head(_BYTES, len(value) + len(data)) + value
    feature = _head(1, len(IMAGE)) + IMAGE.encode() + _head(2, len(listed) + len(data)) + listed
    before.append(_head(1, len(feature) + len(data)) + feature)
    first, last = b"".join(before), b"".join(behind)
    return _head(1, len(first) + len(data) + len(last)) + first, data, last


def _label(record: Record) -> list[bytes]:
    target = record.target
    if target is None:
        return []
    if isinstance(target, str):
        return [_short_feature(TARGET, _BYTES, _text(target))]
    if isinstance(target, int) or hasattr(target, "__index__"):
        return [
            _short_feature(TARGET, _INTS, _number(target.__index__())),
            _short_feature(LABEL_BASE, _INTS, _number(0)),
        ]
    if isinstance(target, list) and target and all(isinstance(number, int) for number in target):
        return [_feature(TARGET, _INTS, *map(_number, target))]
    raise TypeError(f"{record.name}: a TFRecord's label is int, ints, text or none, not {target!r:.60}")


def _text(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def _number(value: int) -> bytes:
    return varint(value & _ALL_BITS)


def _head(number: int, length: int) -> bytes:
    """Of one of a message's first fifteen fields, of so many bytes."""
    return bytes((number << 3 | 2,)) + varint(length)


def _field(number: int, data: bytes) -> bytes:
    return _head(number, len(data)) + data


def _feature(name: str, kind: int, *values: bytes) -> bytes:
    """An entry of the features; numbers packed, as TensorFlow writes them."""
    listed = _field(1, b"".join(values)) if kind == _INTS else b"".join(_field(1, value) for value in values)
    return _field(1, _field(1, name.encode()) + _field(2, _field(kind, listed)))


# Of what many samples have alike.
_short_feature = functools.lru_cache(1 << 12)(_feature)


def _framed(before: bytes, data: memoryview, behind: bytes) -> list[Any]:
    """With the record's length and checksums around it."""
    length = (len(before) + len(data) + len(behind)).to_bytes(8, "little")
    crc = _core.crc32c(behind, _core.crc32c(data, _core.crc32c(before)))
    head = length + mask(_core.crc32c(length)).to_bytes(4, "little") + before
    return [head, data, behind + mask(crc).to_bytes(4, "little")]
