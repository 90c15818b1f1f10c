"""TFRecord files that are compressed as a whole: their bytes, and images out of them, in about the order in which they lie."""

from __future__ import annotations

import os
import threading
import zlib
from typing import Any

from fastload import _core
from fastload.engine import CheckedRange
from fastload.shards.sample_index import SampleIndex, Shard
from fastload.shards.tfrecord_records import opened

_PIECE = 1 << 20
_kept = threading.local()  # the file that this thread read from last, where it was then


class UnpackedFile:
    """What a compressed file holds; going back begins anew. One thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = opened(path)
        self._at = 0

    def read(self, offset: int, length: int) -> bytes:
        """Fewer bytes only at the end. Raises OSError, also for what cannot be unpacked."""
        try:
            if offset < self._at:
                self._file.close()
                self._file, self._at = opened(self.path), 0
            while self._at < offset and (passed := self._file.read(min(_PIECE, offset - self._at))):
                self._at += len(passed)
            data = self._file.read(length)
        except (EOFError, zlib.error) as error:
            raise OSError(f"{self.path} cannot be unpacked: {error}") from error
        self._at += len(data)
        return data

    def size(self) -> int:
        """Bytes in all, of a file of which nothing was read yet."""
        while self.read(self._at, _PIECE):
            pass
        return self._at


class PackedRange(CheckedRange):
    """A run of bytes of what a compressed file holds. Cheap only behind what this thread has read before."""

    __slots__ = ()

    def engine_form(self) -> Any:
        return self.read()

    def read(self) -> bytes:
        file = getattr(_kept, "file", None)
        if file is None or file.path != self.path:
            file = _kept.file = UnpackedFile(self.path)
        data: bytes = file.read(self.offset, self.length)
        if len(data) != self.length or _core.crc32c(data) != self.crc32c:
            raise OSError(f"{self.name}: its bytes are not those that were indexed")
        return data

    def __reduce__(self) -> Any:
        return PackedRange, (self.path, self.offset, self.length, self.name, self.crc32c)


class PackedIndex(SampleIndex):
    """Of shards some of which are compressed: these have the sizes and the offsets of what they hold. It is not kept.

    Args:
        index: with checksums.
        packed: numbers of the shards that are compressed.
    """

    def __init__(self, index: SampleIndex, packed: frozenset[int]) -> None:
        super().__init__(
            index.format_name, index.shards, index.columns, target_kind=index.target_kind, facts=index.facts
        )
        self._plain = index
        self._packed = packed

    def source(self, row: int) -> Any:
        source = super().source(row)
        if int(self.columns.shard[row]) not in self._packed or not isinstance(source, CheckedRange):
            return source
        return PackedRange(source.path, source.offset, source.length, source.name, source.crc32c, None)

    def __reduce__(self) -> Any:
        return PackedIndex, (self._plain, self._packed)


def unpacked_shard(shard: Shard) -> Shard:
    """The same, as large as what it holds. Raises OSError."""
    return Shard(os.path.abspath(shard.path), UnpackedFile(shard.path).size(), shard.version)
