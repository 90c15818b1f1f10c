"""Objects that have http and https URLs, and those who send on to other places."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from fastload.remote.addresses import origin
from fastload.remote.http_connection import Answer, Connections, Origin
from fastload.remote.store import Attempt, Got, Prepared, Store
from fastload.remote.trouble import Trouble, of_status

_MOST_REDIRECTS = 5
_REDIRECT_SECONDS = 300.0  # a place that the hub has named is asked without asking the hub
_KEPT_REDIRECTS = 4096
_TAG = re.compile(r'"[!#-~]*"')  # that may stand in a header, and is a strong one
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)").fullmatch
_IN_URLS = "%/:?#[]@!$&'()*+,;=-._~"


@dataclass(frozen=True)
class _Moved:
    """Where an object was when its server was last asked: its version as that said, and as this place has it."""

    at: str
    until: float
    version: str
    there: str


class HttpStore(Store):
    """Objects that have http and https URLs."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._moved: dict[str, _Moved] = {}
        self._odd: set[Origin] = set()  # those that send on, or do not say how much comes

    def is_plain(self, url: str) -> bool:
        return url.startswith("http://")

    def prepared(self, url: str, version: str) -> Prepared | None:
        at = self._address(url)
        if at in self._moved or not self.is_plain(at):
            return None
        try:
            where, target = self._place(at)
        except Trouble:
            return None
        return self._prepared(where, target, self._lines(at), version)

    def _prepared(self, where: Origin, target: str, lines: str, version: str) -> Prepared | None:
        if where in self._odd:
            return None
        return Prepared(where, target, lines + _if_match(version))

    def read(self, where: Origin, first: int, length: int, answer: Answer) -> Got | None:
        if "x-amz-bucket-region" in answer.headers and answer.status in (301, 307, 400):
            return None
        if answer.has_body or 400 <= answer.status < 600:
            return self._got(answer, first, length)
        if len(self._odd) >= _KEPT_REDIRECTS:
            self._odd.clear()
        self._odd.add(where)
        return None

    def get(self, url: str, first: int, length: int, version: str, attempt: Attempt) -> Got:
        known = self._moved.get(url)
        if known is not None and known.until > time.monotonic() and version in ("", known.version):
            try:
                got = self._got(self._one(known.at, "", first, length, "", attempt), first, length)
            except Trouble as trouble:
                self._moved.pop(url, None)
                if trouble.passes:
                    raise
            else:
                if got.version == known.there:
                    return got._replace(version=known.version)
        answer, at, told = self._following(url, first, length, version, attempt)
        got = self._got(answer, first, length)
        now = self._version(told, got.version)
        if at != url:
            if len(self._moved) >= _KEPT_REDIRECTS:
                self._moved.clear()
            self._moved[url] = _Moved(at, time.monotonic() + _REDIRECT_SECONDS, now, got.version)
        return got._replace(version=now)

    def look(self, url: str) -> Got:
        self._moved.pop(url, None)  # it may lie elsewhere by now
        return super().look(url)

    def _following(self, url: str, first: int, length: int, version: str, attempt: Attempt) -> tuple[Answer, str, str]:
        """The answer, from where it came, and what was told of the version on the way there."""
        at, told = self._address(url), ""
        for _ in range(_MOST_REDIRECTS):
            answer = self._one(at, self._lines(at), first, length, version, attempt)
            told = self._told(at, answer) or told
            if answer.status not in (301, 302, 303, 307, 308):
                return answer, at, told
            try:
                to = urljoin(at, answer.headers.get("location", ""))
                origin(to)
            except ValueError:
                raise Trouble("the server sends on to what is no URL", passes=False) from None
            if urlsplit(at).scheme == "https" and urlsplit(to).scheme != "https":
                raise Trouble("the server sends on from https to http", passes=False)
            at = to
        raise Trouble("the server sends on and on", passes=False)

    def _address(self, url: str) -> str:
        return url

    def _lines(self, url: str) -> str:
        """The headers that a request of this URL needs, at this moment."""
        return ""

    def _told(self, url: str, answer: Answer) -> str:
        """What an answer on the way says of the object's version."""
        return ""

    def _version(self, told: str, there: str) -> str:
        """From what was told on the way, and what the place says where the object is."""
        return there

    def _one(self, url: str, lines: str, first: int, length: int, version: str, attempt: Attempt) -> Answer:
        where, target = self._place(url)
        return self._asked(where, target, lines, first, length, version, attempt)

    def _place(self, url: str) -> tuple[Origin, str]:
        """Whom to ask, and for what."""
        try:
            where = origin(url)
        except ValueError as error:
            raise Trouble(str(error), passes=False) from None
        parts = urlsplit(url)
        return where, quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", safe=_IN_URLS)

    def _asked(
        self,
        where: Origin,
        target: str,
        lines: str,
        first: int,
        length: int,
        version: str,
        attempt: Attempt,
    ) -> Answer:
        lines += _if_match(version)
        while True:
            connection = self._connections.take(where)
            try:
                attempt.begins(connection)
                answer = connection.get(target, lines, first, length)
            except Trouble:
                attempt.ends()
                connection.close()
                if connection.uses and not attempt.aborted:
                    continue  # the server has ended it before it knew of this
                raise
            attempt.ends()
            self._connections.give_back(connection)
            return answer

    def _got(self, answer: Answer, first: int, length: int) -> Got:
        if answer.status not in (200, 206):
            raise of_status(answer.status, answer.reason, answer.headers.get("retry-after"))
        if (packed := answer.headers.get("content-encoding", "").strip().lower()) not in ("", "identity"):
            raise Trouble(
                f"it is stored, or sent, packed (Content-Encoding: {packed[:40]}), so no place in it can be read: store it as it "
                "is, without that header",
                passes=False,
            )
        now = answer.headers.get("etag") or answer.headers.get("last-modified") or ""
        said = answer.headers.get("content-length", "")
        size = int(said) if answer.status == 200 and said.isascii() and said.isdigit() else -1
        if answer.status == 206:
            found = _RANGE(answer.headers.get("content-range", ""))
            if found is None or int(found[1]) != first or int(found[2]) - first + 1 != len(answer.body):
                raise Trouble("the server gave another range than it was asked for")
            size = int(found[3]) if found[3] != "*" else -1
            if length < 0 <= size != first + len(answer.body):
                raise Trouble(f"the server gave {len(answer.body)} of {size} bytes, and was asked for all")
        if length >= 0 and len(answer.body) != length:
            short = size >= 0 and first + length > size
            why = f"{len(answer.body)} of {length} bytes came" + (f"; the object has {size}" if short else "")
            raise Trouble(why, passes=not short)
        return Got(answer.body, size, now)


def _if_match(version: str) -> str:
    return f"If-Match: {version}\r\n" if _TAG.fullmatch(version) else ""
