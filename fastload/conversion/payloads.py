"""From samples to their bytes: in large reads, in order, each with its checksum; what cannot be read, with the reason."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from fastload import _core
from fastload.conversion.errors import BadSampleError
from fastload.conversion.sample_lists import Sample
from fastload.engine import ByteRange

# Read at once where samples lie beside each other: no more than the second-level cache holds until they are written.
READ_BYTES = 1 << 20
# Bytes between two samples that are read along with them: a tar's headers, labels and texts.
_GAP_BYTES = 64 << 10
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe with nobody behind it is no sample, and is not waited for


class Payload(NamedTuple):
    """What becomes of a sample.

    Attributes:
        sample: it.
        data: its bytes, whatever has a buffer; None for one that cannot be had.
        crc32c: of them.
        reason: why there are none.
        is_changed: whether these are not the source's bytes.
    """

    sample: Sample
    data: Any
    crc32c: int = 0
    reason: str = ""
    is_changed: bool = False


class Room:
    """Memory that samples are read into, again and again: new memory costs as much as reading."""

    def __init__(self) -> None:
        self._memory = bytearray(READ_BYTES)
        self._used = 0

    def take(self, size: int) -> memoryview:
        """So many bytes of it."""
        if self._used + size > len(self._memory):  # what was given out keeps the old
            self._memory, self._used = bytearray(max(size, 2 * len(self._memory))), 0
        begin, self._used = self._used, self._used + size
        return memoryview(self._memory)[begin : self._used]

    def clear(self) -> None:
        """All that was given out is not wanted any more."""
        self._used = 0


class Rooms:
    """Those that nobody reads into now; any thread takes one and gives it back."""

    def __init__(self) -> None:
        self._free: list[Room] = []

    def take(self) -> Room:
        try:
            return self._free.pop()
        except IndexError:
            return Room()

    def give_back(self, room: Room) -> None:
        room.clear()
        self._free.append(room)


# From a sample's bytes to those that are written; the same object where it stays as it is. Raises ValueError with the reason.
Change = Callable[[Any], Any]


def runs(samples: Iterator[Sample], most: int = READ_BYTES) -> Iterator[list[Sample]]:
    """Consecutive samples, some megabytes at a time."""
    run: list[Sample] = []
    size = 0
    for sample in samples:
        if run and size + sample.size > most:
            yield run
            run, size = [], 0
        run.append(sample)
        size += sample.size
    if run:
        yield run


def payloads(run: Sequence[Sample], room: Room, change: Change | None = None) -> list[Payload]:
    """The payloads of these samples, in this room."""
    read: list[Payload] = []
    at = 0
    while at < len(run):
        end = _end_of_range(run, at)
        read += _range(run[at:end], room) if end - at > 1 else [_one(run[at], room)]
        at = end
    return [_finished(payload, change) for payload in read]


def _finished(payload: Payload, change: Change | None) -> Payload:
    sample, data = payload.sample, payload.data
    if data is None:
        return payload
    if change is not None:
        try:
            data = change(data)
        except ValueError as error:
            return Payload(sample, None, reason=str(error))
    return Payload(sample, data, _core.crc32c(data), "", data is not payload.data)


def _end_of_range(run: Sequence[Sample], at: int) -> int:
    """Up to where the samples from ``at`` on lie in one file, beside each other."""
    first = run[at].source
    if type(first) is not ByteRange:
        return at + 1
    end, place = at + 1, first.offset + first.length
    while end < len(run):
        source = run[end].source
        if type(source) is not ByteRange or source.path != first.path or not 0 <= source.offset - place <= _GAP_BYTES:
            break
        place = source.offset + source.length
        end += 1
    return end


def _range(samples: Sequence[Sample], room: Room) -> list[Payload]:
    sources = [sample.source for sample in samples if type(sample.source) is ByteRange]
    first, last = sources[0], sources[-1]
    begin = first.offset
    try:
        data = _bytes_at(first, begin, last.offset + last.length - begin, room)
    except OSError:
        return [_one(sample, room) for sample in samples]  # which of them, and why
    return [
        Payload(sample, data[source.offset - begin : source.offset - begin + source.length])
        for sample, source in zip(samples, sources, strict=True)
    ]


def _one(sample: Sample, room: Room) -> Payload:
    source = sample.source
    try:
        if isinstance(source, str):
            data: Any = _file(source, room)
        elif type(source) is ByteRange:
            data = _bytes_at(source, source.offset, source.length, room)
        else:
            data = source.read()
    except OSError as error:
        return Payload(sample, None, reason=f"{type(error).__name__}: {error.strerror or error}")
    if len(data) != sample.size:
        return Payload(sample, None, reason=f"it has {len(data)} bytes and had {sample.size} when the conversion began")
    return Payload(sample, data)


def _file(path: str, room: Room) -> memoryview:
    handle = os.open(path, _OPEN)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no file")
        return _read(handle, 0, found.st_size, room)
    finally:
        os.close(handle)


def _bytes_at(whose: ByteRange, offset: int, length: int, room: Room) -> memoryview:
    """Of the file of that one."""
    handle = os.open(whose.path, _OPEN)
    try:
        data = _read(handle, offset, length, room)
        if whose.state is not None:
            whose.state.check(handle, whose.path)
    finally:
        os.close(handle)
    if len(data) != length:
        raise OSError(f"{whose.path} is shorter than its index says")
    return data


def _read(handle: int, offset: int, length: int, room: Room) -> memoryview:
    """What there is of it."""
    data = room.take(length)
    done = 0
    while done < length and (count := os.preadv(handle, [data[done:]], offset + done)):  # 2 GiB at once, at most
        done += count
    return data[:done]


def check_bad(payload: Payload, on_error: str) -> bool:
    """Whether this one is left out. Raises BadSampleError where that is not wanted."""
    if payload.data is not None:
        return False
    if on_error == "raise":
        raise BadSampleError(payload.sample.name, payload.reason)
    return True
