"""Writing one part of a conversion, on any thread, in any process, on any machine that sees both source and destination."""

from __future__ import annotations

import os
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastload.conversion.errors import BadSampleError, ConversionError, Stopped
from fastload.conversion.formats import FORMATS
from fastload.conversion.payloads import Change, Payload, Room, Rooms, check_bad, payloads, runs
from fastload.conversion.plan import record_done, remove
from fastload.conversion.safe_names import check_name
from fastload.conversion.sample_lists import Sample
from fastload.shards import UNFINISHED, Record

# liblmdb calls a full disk an error of input and output.
_LITTLE_ROOM = 64 << 20
_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(frozen=True)
class Part:
    """One part, with all that writing it needs.

    Attributes:
        dst: the destination.
        number: of the part.
        file: its name in the destination; None for a run of files.
        to: the format.
        samples: what is in it.
        classes: of the source.
        digits: of the largest target.
        change: of each sample's bytes, or None.
        on_error: "raise" or "skip".
    """

    dst: str
    number: int
    file: str | None
    to: str
    samples: Sequence[Sample]
    classes: list[str] | None
    digits: int
    change: Change | None
    on_error: str

    def sendable(self) -> Part:
        """The same, to be pickled."""
        return replace(self, samples=list(self.samples))

    def write(self, watch: Watch, pool: Executor | None = None) -> dict[str, Any]:
        """Writes it and keeps that it is written; what it wrote.

        Args:
            watch: is told of each sample, and ends it.
            pool: reads ahead; without one this thread reads.

        Raises:
            BadSampleError: a sample cannot be read or named.
            ConversionError: it cannot be written.
        """
        told = _Told()
        staged = os.path.join(self.dst, UNFINISHED, f"{self.number:06d}-{secrets.token_hex(4)}")
        records = self._records(told, watch, pool)
        os.mkdir(staged)
        try:
            if self.file is None:
                FORMATS[self.to].write(self.dst, records, self.classes, temporary=staged, digits=self.digits)
                size = None
            else:
                beside = os.path.join(staged, os.path.basename(self.file))
                FORMATS[self.to].write(beside, records, self.classes)
                size = os.stat(beside).st_size
                os.replace(beside, os.path.join(self.dst, self.file))
            facts = told.facts(self.file, size)
            record_done(self.dst, self.number, facts)
        except ConversionError:
            raise
        except Exception as error:
            where = os.path.join(self.dst, self.file or "")
            free = shutil.disk_usage(self.dst).free
            room = f"; only {free:,} bytes are free there" if free < _LITTLE_ROOM else ""
            raise ConversionError(f"{where} cannot be written: {type(error).__name__}: {error}{room}") from error
        finally:
            records.close()
            remove(staged)
        return facts

    def _records(self, told: _Told, watch: Watch, pool: Executor | None) -> Generator[Record, None, None]:
        rooms = Rooms()

        def read(run: list[Sample]) -> tuple[Room, list[Payload]]:
            room = rooms.take()
            return room, [] if watch.is_stopped() else payloads(run, room, self.change)

        for room, batch in in_order(pool, read, runs(iter(self.samples))):
            for payload in batch:
                watch.check()
                sample = payload.sample
                payload = _named(payload)
                if check_bad(payload, self.on_error):
                    told.bad.append({"name": sample.name, "reason": payload.reason})
                    told.bad_rows.append(told.rows)
                else:
                    told.add(payload)
                    yield Record(sample.name, payload.data, sample.target, sample.class_name)
                told.rows += 1
            watch.check()
            watch.count(len(batch), sum(payload.sample.size for payload in batch))
            rooms.give_back(room)


class _Told:
    """What a part came to."""

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self.changed = 0
        self.sums: list[int] = []
        self.bad: list[dict[str, str]] = []
        self.bad_rows: list[int] = []

    def add(self, payload: Payload) -> None:
        self.bytes += len(payload.data)
        self.changed += payload.is_changed
        self.sums.append(payload.crc32c)

    def facts(self, file: str | None, size: int | None) -> dict[str, Any]:
        return {
            "file": file,
            "size": size,
            "samples": len(self.sums),
            "bytes": self.bytes,
            "changed": self.changed,
            "crc32c": self.sums,
            "bad": self.bad,
            "bad_rows": self.bad_rows,
        }


class Watch:
    """Is told what was done, from many threads, and tells them to end."""

    def count(self, samples: int, size: int) -> None:
        """So many more samples, of so many bytes in the source, are written."""

    def is_stopped(self) -> bool:
        return False

    def check(self) -> None:
        """Raises Stopped."""
        if self.is_stopped():
            raise Stopped("the conversion was stopped")


def in_order(pool: Executor | None, work: Callable[[_A], _B], things: Iterable[_A], ahead: int = 4) -> Iterator[_B]:
    """``map``; with a pool, some of it ahead."""
    if pool is None:
        yield from map(work, things)
        return
    waiting: deque[Future[_B]] = deque()
    try:
        for thing in things:
            waiting.append(pool.submit(work, thing))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _named(payload: Payload) -> Payload:
    """The same; none where its name does not do."""
    try:
        check_name(payload.sample.name)
    except BadSampleError as error:
        return Payload(payload.sample, None, reason=error.reason)
    return payload
