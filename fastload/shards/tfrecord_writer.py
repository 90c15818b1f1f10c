"""Records -> one TFRecord file, with the features that TensorFlow's own scripts give to ImageNet."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from fastload import _core
from fastload.shards.record import Record
from fastload.shards.tfrecord_features import CLASSES, IMAGE, LABEL_BASE, TARGET
from fastload.shards.tfrecord_records import mask

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
    with _replaced(path) as file:
        for number, record in enumerate(records):
            features = features_of(record)
            if number == 0 and classes:
                features[CLASSES] = _feature(_BYTES, [_text(name) for name in classes])
            _write_record(file, _example(features))


def features_of(record: Record) -> dict[str, list[bytes]]:
    """Each feature's message, in pieces."""
    data = memoryview(record.data).cast("B")
    features = {IMAGE: _feature(_BYTES, [data]), "image/filename": _feature(_BYTES, [_text(record.name)])}
    kind = next((name for magic, name in _FORMATS if bytes(data[: len(magic)]) == magic), None)
    if bytes(data[:4]) == b"RIFF" and bytes(data[8:12]) == b"WEBP":
        kind = b"WEBP"
    if kind is not None:
        features["image/format"] = _feature(_BYTES, [kind])
    if record.class_name is not None:
        features["image/class/text"] = _feature(_BYTES, [_text(record.class_name)])
    target = record.target
    if isinstance(target, str):
        features[TARGET] = _feature(_BYTES, [_text(target)])
    elif isinstance(target, int) or hasattr(target, "__index__"):
        features[TARGET] = _feature(_INTS, [_varint(target.__index__() & _ALL_BITS)])
        features[LABEL_BASE] = _feature(_INTS, [_varint(0)])
    elif isinstance(target, list) and target and all(isinstance(number, int) for number in target):
        features[TARGET] = _feature(_INTS, [_varint(number & _ALL_BITS) for number in target])
    elif target is not None:
        raise TypeError(f"{record.name}: a TFRecord's label is int, ints, text or none, not {target!r:.60}")
    return features


def _text(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def _field(number: int, *pieces: Any) -> list[Any]:
    """One of a message's fields of bytes, its contents in pieces that are not copied."""
    return [_varint(number << 3 | 2) + _varint(sum(map(len, pieces))), *pieces]


def _feature(kind: int, values: list[Any]) -> list[Any]:
    """Numbers packed, as TensorFlow writes them."""
    listed = _field(1, *values) if kind == _INTS else [piece for value in values for piece in _field(1, value)]
    return _field(kind, *listed)


def _example(features: dict[str, list[Any]]) -> list[Any]:
    entries: list[Any] = []
    for name in sorted(features):
        entries += _field(1, *_field(1, name.encode()), *_field(2, *features[name]))
    return _field(1, *entries)


def _write_record(file: BinaryIO, pieces: list[Any]) -> None:
    length = sum(map(len, pieces)).to_bytes(8, "little")
    pieces = [
        piece  # the image as it is; what stands around it as one
        for is_image, run in itertools.groupby(pieces, lambda piece: isinstance(piece, memoryview))
        for piece in (run if is_image else [b"".join(run)])
    ]
    crc = 0
    for piece in pieces:
        crc = _core.crc32c(piece, crc)
    file.writelines(
        [length, mask(_core.crc32c(length)).to_bytes(4, "little"), *pieces, mask(crc).to_bytes(4, "little")]
    )


@contextlib.contextmanager
def _replaced(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` once it is whole and on the disk; on an error nothing is left."""
    folder, name = os.path.split(os.path.abspath(path))
    beside = os.path.join(folder, f".{name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb", buffering=io.DEFAULT_BUFFER_SIZE) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
