"""Objects as files, for who reads them from end to end: a scan that makes an index, a library that wants a path."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from typing import Any

from fastload.remote.reads import Read
from fastload.remote.transfers_here import transfers

_WINDOW = 8 << 20
_AHEAD = 4  # windows that are read before they are needed


def remote_stat(url: str) -> tuple[int, str]:
    """The size of an object, in bytes, and what changes when it is written again. Raises OSError."""
    return transfers().stat(url)


def windows(url: str, size: int, version: str) -> Iterator[memoryview]:
    """An object from its begin to its end, a piece at a time, the next ones on their way. Raises OSError."""
    starts = iter(range(0, size, _WINDOW))
    ahead: deque[Read] = deque()
    while True:
        while len(ahead) < _AHEAD and (start := next(starts, None)) is not None:
            ahead.append(transfers().read(url, start, min(_WINDOW, size - start), size, version))
        if not ahead:
            return
        yield memoryview(ahead.popleft().wait())


class RemoteFile:
    """An object for a scan that goes from front to back and may leave something out; what comes next is read ahead. One thread."""

    def __init__(self, url: str, size: int, version: str) -> None:
        self._object = url, size, version
        self._held: dict[int, Read] = {}

    def read(self, offset: int, length: int) -> bytes:
        """Fewer bytes only at the end. Raises OSError."""
        url, size, version = self._object
        end = min(size, offset + length)
        if offset >= end:
            return b""
        first, last = offset // _WINDOW, (end - 1) // _WINDOW
        wanted = [number for number in range(first, last + _AHEAD) if number * _WINDOW < size]
        self._held = {
            number: self._held.get(number)
            or transfers().read(url, number * _WINDOW, min(_WINDOW, size - number * _WINDOW), size, version)
            for number in wanted
        }
        parts = []
        for number in range(first, last + 1):
            begin = number * _WINDOW
            window = memoryview(self._held[number].wait())
            parts.append(window[max(0, offset - begin) : end - begin])
        return b"".join(parts)


class _Stream(io.RawIOBase):
    def __init__(self, url: str) -> None:
        size, version = remote_stat(url)
        self._file, self._at = RemoteFile(url, size, version), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        got = self._file.read(self._at, len(buffer))
        buffer[: len(got)] = got
        self._at += len(got)
        return len(got)


def open_remote(url: str) -> io.BufferedReader:
    """An object from its begin to its end, as a file that cannot be wound back. Raises OSError."""
    return io.BufferedReader(_Stream(url), 1 << 20)
