"""Where objects are: a URL, and which bytes of it -> the bytes, in one request, which may fail.

One :class:`Store` a scheme and bucket. What may be asked again, and when, is for ``transfer_threads.py`` to say.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastload.remote.http_connection import Answer, Connection, Origin
from fastload.remote.trouble import Trouble

_MOST_SECONDS = 60.0  # of one answer


class Got(NamedTuple):
    """Bytes of an object.

    Attributes:
        data: whatever has a buffer.
        size: of the whole object, -1 where the server does not say.
        version: what changes when it is written again: its ETag, or when that was; empty where the server says neither.
    """

    data: Any
    size: int
    version: str


@dataclass(frozen=True)
class Listed:
    """An object as a listing has it; its key is the URL's part behind the bucket."""

    url: str
    size: int
    version: str


class Prepared(NamedTuple):
    """A request that any connection to its origin can send: with these lines of headers, each with its end."""

    origin: Origin
    target: str
    lines: str


class Attempt:
    """One request under way, which another thread may abort.

    Attributes:
        request: whose it is, where that is of interest.
        began: when, by ``time.monotonic``.
        connection: while it is on one.
    """

    __slots__ = ("_lock", "aborted", "began", "connection", "request")

    def __init__(self, request: Any = None, began: float = 0.0) -> None:
        self.request = request
        self.began = began
        self.connection: Connection | None = None
        self.aborted = False
        self._lock = threading.Lock()

    def begins(self, connection: Connection) -> None:
        """Raises Trouble where it was aborted before."""
        with self._lock:
            if self.aborted:
                raise Trouble("not wanted any more")
            self.connection = connection

    def ends(self) -> None:
        """From now on the connection is another's."""
        with self._lock:
            self.connection = None

    def abort(self) -> None:
        with self._lock:
            self.aborted = True
            if self.connection is not None:
                self.connection.abort()


@contextlib.contextmanager
def limited() -> Iterator[Attempt]:
    """One that is aborted when it takes too long: for what nobody else looks after."""
    attempt = Attempt()
    timer = threading.Timer(_MOST_SECONDS, attempt.abort)
    timer.daemon = True
    timer.start()
    try:
        yield attempt
    finally:
        timer.cancel()


class Store:
    """Raises Trouble from each method."""

    def get(self, url: str, first: int, length: int, version: str, attempt: Attempt) -> Got:
        """Bytes ``[first, first + length)`` of the object, -1: all. With a version: of that one, where the server can tell."""
        raise NotImplementedError

    def look(self, url: str) -> Got:
        """What the object is now: its first byte."""
        with limited() as attempt:
            return self.get(url, 0, 1, "", attempt)

    def is_plain(self, url: str) -> bool:
        """Whether requests of such a URL may be prepared, as far as can be told without making one."""
        return False

    def prepared(self, url: str, version: str) -> Prepared | None:
        """The same as a request for the native core; None: :meth:`get` has to be asked. Waits for nothing."""
        return None

    def read(self, where: Origin, first: int, length: int, answer: Answer) -> Got | None:
        """What an answer for these bytes says that is no plain one; None: :meth:`get` has to be asked, now and from now on."""
        return None

    def list(self, url: str) -> Iterator[Listed]:
        """All objects whose URLs begin with this one, in the order of their names."""
        raise Trouble(
            "a web server lists nothing, so a folder or a * has no meaning there: name each object, with braces as "
            "train-{000000..000099}.tar or in a list of URLs",
            passes=False,
        )
