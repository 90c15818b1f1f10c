"""From samples to their bytes: in large reads, in order, each with its digest; what cannot be read, with the reason."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

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
        digest: SHA-256 of them.
        reason: why there are none.
        is_changed: whether these are not the source's bytes.
    """

    sample: Sample
    data: Any
    digest: bytes = b""
    reason: str = ""
    is_changed: bool = False


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


def payloads(run: Sequence[Sample], change: Change | None = None) -> list[Payload]:
    """The payloads of these samples."""
    read: list[Payload] = []
    at = 0
    while at < len(run):
        end = _end_of_range(run, at)
        read += _range(run[at:end]) if end - at > 1 else [_one(run[at])]
        at = end
    return [_finished(payload, change) for payload in read]


def _finished(payload: Payload, change: Change | None) -> Payload:
    if payload.data is None:
        return payload
    data = payload.data
    if change is not None:
        try:
            data = change(data)
        except ValueError as error:
            return Payload(payload.sample, None, reason=str(error))
    return Payload(payload.sample, data, hashlib.sha256(data).digest(), is_changed=data is not payload.data)


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


def _range(samples: Sequence[Sample]) -> list[Payload]:
    sources = [sample.source for sample in samples if type(sample.source) is ByteRange]
    first, last = sources[0], sources[-1]
    try:
        data = memoryview(_bytes_at(first.path, first.offset, last.offset + last.length - first.offset))
    except OSError:
        return [_one(sample) for sample in samples]  # which of them, and why
    begin = first.offset
    return [
        Payload(sample, data[source.offset - begin : source.offset - begin + source.length])
        for sample, source in zip(samples, sources, strict=True)
    ]


def _one(sample: Sample) -> Payload:
    source = sample.source
    try:
        if isinstance(source, str):
            data: bytes = _file(source)
        elif type(source) is ByteRange:
            data = _bytes_at(source.path, source.offset, source.length)
        else:
            data = source.read()
    except OSError as error:
        return Payload(sample, None, reason=f"{type(error).__name__}: {error.strerror or error}")
    if len(data) != sample.size:
        return Payload(sample, None, reason=f"it has {len(data)} bytes and had {sample.size} when the conversion began")
    return Payload(sample, data)


def _file(path: str) -> bytes:
    handle = os.open(path, _OPEN)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no file")
        data = os.read(handle, found.st_size + 1)
        return data if len(data) >= found.st_size else data + _rest(handle, found.st_size - len(data))
    finally:
        os.close(handle)


def _bytes_at(path: str, offset: int, length: int) -> bytes:
    handle = os.open(path, _OPEN)
    try:
        os.lseek(handle, offset, os.SEEK_SET)
        data = os.read(handle, length)
        if len(data) < length:
            data += _rest(handle, length - len(data))
    finally:
        os.close(handle)
    if len(data) != length:
        raise OSError(f"{path} is shorter than its index says")
    return data


def _rest(handle: int, length: int) -> bytes:
    """What a read of more than the system gives at once (2 GiB) has left."""
    parts = []
    while length > 0 and (part := os.read(handle, length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def check_bad(payload: Payload, on_error: str) -> bool:
    """Whether this one is left out. Raises BadSampleError where that is not wanted."""
    if payload.data is not None:
        return False
    if on_error == "raise":
        raise BadSampleError(payload.sample.name, payload.reason)
    return True
