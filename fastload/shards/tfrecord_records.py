"""The records of one TFRecord file one after the other, also of a compressed one; for a look, or for a conversion."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from fastload import _core

_MASK = 0xA282EAD8
_LONGEST = 1 << 31  # no protobuf is longer


def masked_crc32c(data: Any) -> int:
    """The checksum that TFRecord writes."""
    return mask(_core.crc32c(data))


def mask(crc: int) -> int:
    """A CRC-32C as TFRecord writes it."""
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def compression_of(path: str | os.PathLike[str]) -> str | None:
    """ "gzip", "zlib" or None. Raises OSError."""
    with open(path, "rb") as file:
        head = file.read(12)
    if len(head) == 12 and masked_crc32c(head[:8]) == int.from_bytes(head[8:], "little"):
        return None
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    is_zlib = len(head) > 1 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0
    return "zlib" if is_zlib else None


def records(path: str | os.PathLike[str], checks_data: bool = True) -> Iterator[bytes]:
    """The data of each record, from front to back, out of plain, gzip and zlib files.

    Raises:
        ValueError: damaged; the message names file, record and offset (in what was unpacked).
        OSError: a file that cannot be read.
    """
    with _opened(path) as file:
        offset = number = 0
        while True:
            try:
                head = file.read(12)
                if not head:
                    return
                size = int.from_bytes(head[:8], "little")
                if len(head) < 12 or masked_crc32c(head[:8]) != int.from_bytes(head[8:], "little"):
                    raise ValueError("the checksum of its length is wrong: cut, damaged, or no TFRecord")
                if size >= _LONGEST:
                    raise ValueError("it is longer than 2 GiB")
                data = file.read(size)
                crc = file.read(4)
                if len(crc) < 4 or (checks_data and masked_crc32c(data) != int.from_bytes(crc, "little")):
                    raise ValueError("the checksum of its data is wrong: cut, or damaged")
            except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise ValueError(f"{os.fspath(path)}: record {number}, at byte {offset}: {error}") from error
            yield data
            number += 1
            offset += 16 + size


def example_of(data: Any) -> dict[str, list[Any]]:
    """The features of a record. ValueError: it is no ``tf.train.Example``."""
    return {name.decode("utf-8", "replace"): values for name, values in _core.example_features(data).items()}


def first_example(path: str, checks_data: bool = True) -> dict[str, list[Any]] | None:
    """The features of a plain file's first record; None for an empty file. Raises ValueError, and OSError."""
    compression = compression_of(path)
    if compression is not None:
        raise ValueError(
            f"{path} is compressed as a whole ({compression}), so no record of it can be read by itself: unpack it, or convert it "
            "once, with `fastload convert`"
        )
    first = next(records(path, checks_data), None)
    if first is None:
        return None
    try:
        return example_of(first)
    except ValueError as error:
        raise ValueError(f"{path}: record 0, at byte 0: {error}") from error


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    match compression_of(path):
        case "gzip":
            return gzip.open(path, "rb")  # type: ignore[return-value]
        case "zlib":
            return io.BufferedReader(_Zlib(open(path, "rb")))
    return open(path, "rb")


class _Zlib(io.RawIOBase):
    """What a zlib stream holds."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpack = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data and not self._unpack.eof:
            packed = self._unpack.unconsumed_tail or self._file.read(1 << 16)
            if not packed:
                raise EOFError("the compressed stream is cut")
            data = self._unpack.decompress(packed, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
