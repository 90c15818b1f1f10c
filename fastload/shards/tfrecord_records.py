"""The records of one TFRecord file one after the other, also of a compressed one; for a look, or for a conversion."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from fastload import _core
from fastload.remote import is_remote, open_remote, redacted

_MASK = 0xA282EAD8
_LONGEST = 1 << 31  # no protobuf is longer
_ANY = 32 + zlib.MAX_WBITS  # zlib's word for either kind
_PIECE = 1 << 16


def masked_crc32c(data: Any) -> int:
    """The checksum that TFRecord writes."""
    return mask(_core.crc32c(data))


def mask(crc: int) -> int:
    """A CRC-32C as TFRecord writes it."""
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def compression_of(path: str | os.PathLike[str]) -> str | None:
    """ "gzip", "zlib" or None, of a file or a URL. Raises OSError."""
    with _file(path) as file:
        return _compression(file.peek(12)[:12])


def _compression(head: bytes) -> str | None:
    if begins_a_record(head):
        return None
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    is_zlib = len(head) > 1 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0
    return "zlib" if is_zlib else None


def begins_a_record(head: bytes) -> bool:
    """Whether these 12 bytes are a record's header."""
    return len(head) == 12 and masked_crc32c(head[:8]) == int.from_bytes(head[8:], "little")


def refusal(path: str, compression: str) -> str:
    """What is said of a compressed file where any record of it may be wanted."""
    begins = f"{_shown(path)} is compressed as a whole ({compression}), so no record of it can be read by itself: "
    if is_remote(path):
        return f"{begins}copy it to a disk, and unpack it there or convert it once, with `fastload convert`"
    return f"{begins}unpack it, or convert it once, with `fastload convert`"


def records(path: str | os.PathLike[str], checks_data: bool = True) -> Iterator[bytes]:
    """The data of each record, from front to back, out of plain, gzip and zlib files.

    Raises:
        ValueError: damaged; the message names file, record and offset (in what was unpacked).
        OSError: a file that cannot be read.
    """
    with opened(path) as file:
        offset = number = 0
        while True:
            try:
                head = file.read(12)
                if not head:
                    return
                size = int.from_bytes(head[:8], "little")
                if not begins_a_record(head):
                    raise ValueError("the checksum of its length is wrong: cut, damaged, or no TFRecord")
                if size >= _LONGEST:
                    raise ValueError("it is longer than 2 GiB")
                data = file.read(size)
                crc = file.read(4)
                if len(crc) < 4 or (checks_data and masked_crc32c(data) != int.from_bytes(crc, "little")):
                    raise ValueError("the checksum of its data is wrong: cut, or damaged")
            except (ValueError, EOFError, zlib.error) as error:
                raise ValueError(f"{_shown(path)}: record {number}, at byte {offset}: {error}") from error
            yield data
            number += 1
            offset += 16 + size


def example_of(data: Any) -> dict[str, list[Any]]:
    """The features of a record. ValueError: it is no ``tf.train.Example``."""
    return {name.decode("utf-8", "replace"): values for name, values in _core.example_features(data).items()}


def first_example(path: str, checks_data: bool = True, goes_on: bool = False) -> dict[str, list[Any]] | None:
    """The features of the first record of a file or URL; None for an empty one.

    Args:
        checks_data: the first record's checksum, too.
        goes_on: to the first record that can be read; None where none can.

    Raises ValueError, and OSError.
    """
    found = records(path, checks_data)
    while True:
        try:
            record = next(found, None)
        except ValueError:
            if goes_on:
                return None
            raise
        if record is None:
            return None
        try:
            return example_of(record)
        except ValueError as error:
            if not goes_on:
                raise ValueError(f"{_shown(path)}: record 0, at byte 0: {error}") from error


def opened(path: str | os.PathLike[str]) -> BinaryIO:
    """The records' bytes, unpacked where they are packed, from front to back. Raises OSError; while it is read also EOFError and
    zlib.error."""
    file = _file(path)
    return file if _compression(file.peek(12)[:12]) is None else io.BufferedReader(_Unpacked(file), 1 << 17)


def _file(path: str | os.PathLike[str]) -> io.BufferedReader:
    return open_remote(str(path)) if is_remote(path) else open(path, "rb")


def _shown(path: str | os.PathLike[str]) -> str:
    return redacted(str(path)) if is_remote(path) else os.fspath(path)


class _Unpacked(io.RawIOBase):
    """What gzip or zlib streams hold, one behind the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = zlib.decompressobj(_ANY)
        self._packed = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data:
            if self._stream.eof:
                self._packed = (self._stream.unused_data or self._file.read(_PIECE)).lstrip(b"\0")
                if not self._packed:
                    return 0
                self._stream = zlib.decompressobj(_ANY)
            packed = self._packed or self._file.read(_PIECE)
            if not packed:
                raise EOFError("the compressed stream is cut")
            data = self._stream.decompress(packed, len(buffer))
            self._packed = self._stream.unconsumed_tail
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
