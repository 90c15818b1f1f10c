"""What is asked for: a read, which somebody waits for, and a request, which is sent for one or more of them."""

from __future__ import annotations

import random
from typing import Any, NamedTuple, Protocol

from fastload._core import Arrival
from fastload.remote.addresses import redacted
from fastload.remote.store import Attempt, Got
from fastload.remote.trouble import Trouble
from fastload.reports import remote_counts

ALL = -1  # of an object's bytes
_FIRST_BACK_OFF_SECONDS = 0.05
_LAST_BACK_OFF_SECONDS = 8.0
_LOOK_SECONDS = 0.1  # of who waits, for signals


class Learned(NamedTuple):
    """What is known of a read's bytes once they are there.

    Attributes:
        cache_name, version: see :class:`fastload.engine.SampleSource`; empty where they were known before, or are not known now.
        keep: see Read.
    """

    cache_name: str = ""
    version: str = ""
    keep: Any = None


class Learns(Protocol):
    """Who wants to know of an object, when it comes, which one it is."""

    def learn(self, got: Got) -> Learned:
        """Raises Trouble for another than somebody else has learned of."""


class Read:
    """Bytes ``[first, first + length)`` of an object, or ALL of them, asked for.

    Attributes:
        data: once they are there; whatever has a buffer.
    """

    __slots__ = (
        "__weakref__",
        "counts",
        "data",
        "error",
        "first",
        "keep",
        "learned",
        "learns",
        "length",
        "promised",
        "size",
        "transfers",
        "url",
        "version",
    )

    def __init__(self, transfers: Any, url: str, first: int, length: int, size: int, version: str, keep: Any) -> None:
        self.transfers = transfers
        self.url = url
        self.first = first
        self.length = length
        self.size = size  # of the object, -1: not known
        self.version = version
        self.keep = keep  # (cache, path): there, too
        self.counts = remote_counts()
        self.learns: Learns | None = None
        self.learned = Learned()
        self.data: Any = None
        self.error: tuple[int, str] | None = None
        self.promised: tuple[Arrival, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.data is not None or self.error is not None

    def is_wanted(self) -> bool:
        return not all(arrival.given_up for arrival in self.promised)

    def arrival(self) -> Arrival:
        """For the engine, which waits where it needs them."""
        arrival = Arrival()
        self.transfers.promise(self, arrival)
        return arrival

    def wait(self) -> Any:
        """The bytes. Raises OSError."""
        if not self.is_over:
            arrival = self.arrival()
            try:
                while not arrival.wait(_LOOK_SECONDS):
                    pass
            finally:
                arrival.give_up()
        if self.error is not None:
            raise OSError(*self.error)
        return self.data


class Request:
    """What one request asks for; it may be sent several times."""

    __slots__ = (
        "attempts",
        "counts",
        "deadline",
        "extra",
        "failures",
        "first",
        "is_over",
        "last",
        "length",
        "reads",
        "sent",
        "size",
        "url",
        "version",
    )

    def __init__(self, reads: list[Read], first: int, length: int, deadline: float) -> None:
        self.reads = reads
        self.url = reads[0].url
        self.version = reads[0].version
        self.size = reads[0].size
        self.counts = reads[0].counts
        self.first = first
        self.length = length
        self.deadline = deadline
        self.attempts: list[Attempt] = []  # under way
        self.sent = 0
        self.extra = 0  # of these, sent at once
        self.failures = 0
        self.last = ""  # of them
        self.is_over = False

    def bytes(self) -> int:
        return self.length if self.length >= 0 else max(0, self.size)


def keep_promise(read: Read, arrival: Arrival) -> None:
    """What was promised."""
    if read.error is not None:
        arrival.fail(read.error[1])
    else:
        arrival.fulfil(read.data, read.learned.cache_name, read.learned.version)


def back_off(failures: int, trouble: Trouble) -> float:
    pause: float = min(_LAST_BACK_OFF_SECONDS, _FIRST_BACK_OFF_SECONDS * 2 ** (failures - 1)) * random.uniform(0.5, 1.0)
    return max(pause, trouble.after or 0.0)


def said(url: str, why: str, attempts: int, where: str = "") -> str:
    return f"{redacted(url)}{where}: {why}" + (f" ({attempts} attempts)" if attempts > 1 else "")
