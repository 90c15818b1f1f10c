"""Where objects are: a URL, and which bytes of it -> the bytes, in one request, which may fail.

One :class:`Store` a scheme and bucket. What may be asked again, and when, is for ``transfer_threads.py`` to say.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from fastload.remote.addresses import Bucket, HubPath, hub, origin
from fastload.remote.http_connection import Answer, Connection, Connections
from fastload.remote.s3_requests import Credentials, S3Endpoint, query_of
from fastload.remote.trouble import Trouble, of_status

_MOST_REDIRECTS = 5
_REDIRECT_SECONDS = 300.0  # a place that the hub has named is asked without asking the hub
_KEPT_REDIRECTS = 4096
_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_IN_URLS = "%/:?#[]@!$&'()*+,;=-._~"


@dataclass(frozen=True)
class Got:
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


class Attempt:
    """One request under way, which another thread may abort."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self.aborted = False

    def begins(self, connection: Connection) -> None:
        """Raises Trouble where it was aborted before."""
        with self._lock:
            if self.aborted:
                raise Trouble("not wanted any more")
            self._connection = connection

    def ends(self) -> None:
        """From now on the connection is another's."""
        with self._lock:
            self._connection = None

    def abort(self) -> None:
        with self._lock:
            self.aborted = True
            if self._connection is not None:
                self._connection.abort()


class Store:
    """Raises Trouble from each method."""

    def get(self, url: str, first: int, length: int, version: str, attempt: Attempt) -> Got:
        """Bytes ``[first, first + length)`` of the object, -1: all. With a version: of that one, where the server can tell."""
        raise NotImplementedError

    def look(self, url: str) -> Got:
        """What the object is now: its first byte."""
        return self.get(url, 0, 1, "", Attempt())

    def list(self, url: str) -> Iterator[Listed]:
        """All objects whose URLs begin with this one, in the order of their names."""
        raise Trouble("what lies below a URL like this cannot be listed; give the URLs", passes=False)


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

    def get(self, url: str, first: int, length: int, version: str, attempt: Attempt) -> Got:
        known = self._moved.get(url)
        if known is not None and known.until > time.monotonic() and version in ("", known.version):
            try:
                got = self._got(self._one(known.at, {}, first, length, "", attempt), first, length)
            except Trouble as trouble:
                self._moved.pop(url, None)
                if trouble.passes:
                    raise
            else:
                if got.version == known.there:
                    return replace(got, version=known.version)
        answer, at, told = self._following(url, first, length, version, attempt)
        got = self._got(answer, first, length)
        now = self._version(told, got.version)
        if at != url:
            if len(self._moved) >= _KEPT_REDIRECTS:
                self._moved.clear()
            self._moved[url] = _Moved(at, time.monotonic() + _REDIRECT_SECONDS, now, got.version)
        return replace(got, version=now)

    def look(self, url: str) -> Got:
        self._moved.pop(url, None)  # it may lie elsewhere by now
        return super().look(url)

    def _following(self, url: str, first: int, length: int, version: str, attempt: Attempt) -> tuple[Answer, str, str]:
        """The answer, from where it came, and what was told of the version on the way there."""
        at, told = self._address(url), ""
        for _ in range(_MOST_REDIRECTS):
            answer = self._one(at, self._headers(at), first, length, version, attempt)
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

    def _headers(self, url: str) -> dict[str, str]:
        """What a request of this URL needs, at this moment."""
        return {}

    def _told(self, url: str, answer: Answer) -> str:
        """What an answer on the way says of the object's version."""
        return ""

    def _version(self, told: str, there: str) -> str:
        """From what was told on the way, and what the place says where the object is."""
        return there

    def _one(
        self, url: str, headers: dict[str, str], first: int, length: int, version: str, attempt: Attempt
    ) -> Answer:
        try:
            where = origin(url)
        except ValueError as error:
            raise Trouble(str(error), passes=False) from None
        parts = urlsplit(url)
        target = quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", safe=_IN_URLS)
        return self._asked(where, target, headers, first, length, version, attempt)

    def _asked(
        self,
        where: tuple[str, str, int],
        target: str,
        headers: dict[str, str],
        first: int,
        length: int,
        version: str,
        attempt: Attempt,
    ) -> Answer:
        if version.startswith('"'):
            headers = {**headers, "If-Match": version}
        while True:
            connection = self._connections.take(where)
            try:
                attempt.begins(connection)
                answer = connection.get(target, headers, first, length)
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
        size = int(said) if answer.status == 200 and said.isdigit() else -1
        if answer.status == 206:
            found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("content-range", ""))
            if found is None or int(found[1]) != first:
                raise Trouble("the server gave another range than it was asked for")
            size = int(found[3]) if found[3] != "*" else -1
        if length >= 0 and len(answer.body) != length:
            short = size >= 0 and first + length > size
            why = f"{len(answer.body)} of {length} bytes came" + (f"; the object has {size}" if short else "")
            raise Trouble(why, passes=not short)
        return Got(answer.body, size, now)


class HubStore(HttpStore):
    """Files of the Hugging Face hub, whose token goes to the hub and nowhere else.

    A file's version is the hash that the hub says, as its listings do: of its bytes (of a large file), or git's. Where it sends to
    has ETags of its own.
    """

    def get(self, url: str, first: int, length: int, version: str, attempt: Attempt) -> Got:
        got = super().get(url, first, length, version, attempt)
        # A mirror may list hashes, and have other ETags.
        is_other_kind = _HASH.fullmatch(version) is not None and _HASH.fullmatch(got.version) is None
        return replace(got, version="") if is_other_kind else got

    def _address(self, url: str) -> str:
        return HubPath.of(url).download_url()

    def _headers(self, url: str) -> dict[str, str]:
        token = _hub_token() if url.startswith(f"{hub()}/") else None
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _told(self, url: str, answer: Answer) -> str:
        tag = answer.headers.get("x-linked-etag") or answer.headers.get("etag") or ""
        return tag.removeprefix("W/").strip('"') if url.startswith(f"{hub()}/") else ""

    def _version(self, told: str, there: str) -> str:
        return told

    def list(self, url: str) -> Iterator[Listed]:
        below = HubPath.of(url)
        at = below.listing_url()
        while at:
            answer, _ = self._following_listing(at)
            for entry in json.loads(bytes(answer.body)):
                if entry.get("type") == "file":
                    version = (entry.get("lfs") or entry).get("oid", "")
                    yield Listed(below.url_of(entry["path"]), int(entry["size"]), str(version))
            found = re.search(r'<([^>]+)>;\s*rel="next"', answer.headers.get("link", ""))
            at = urljoin(at, found[1]) if found else ""

    def _following_listing(self, url: str) -> tuple[Answer, str]:
        answer = self._one(url, self._headers(url), 0, -1, "", Attempt())
        if answer.status != 200:
            raise of_status(answer.status, answer.reason, answer.headers.get("retry-after"))
        return answer, url


def _hub_token() -> str | None:
    """From where the hub's own library has it."""
    if os.environ.get("HF_TOKEN"):
        return os.environ["HF_TOKEN"]
    home = os.environ.get("HF_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    try:
        return Path(os.environ.get("HF_TOKEN_PATH") or Path(home) / "token").read_text().strip() or None
    except OSError:
        return None


class S3Store(HttpStore):
    """A bucket of S3, or of what speaks as S3 does."""

    def __init__(self, connections: Connections, bucket: str, credentials: Credentials) -> None:
        super().__init__(connections)
        self._prefix = f"s3://{bucket}/"
        self._endpoint = S3Endpoint(bucket)
        self._credentials = credentials

    def get(self, url: str, first: int, length: int, version: str, attempt: Attempt) -> Got:
        key = url[len(self._prefix) :]
        answer = self._signed(lambda: self._endpoint.target_of(key), first, length, version, attempt)
        return self._got(answer, first, length)

    def _signed(self, target: Callable[[], str], first: int, length: int, version: str, attempt: Attempt) -> Answer:
        for _ in range(2):
            at = target()
            headers = self._endpoint.signed(at, self._credentials.keys())
            answer = self._asked(self._endpoint.origin(), at, headers, first, length, version, attempt)
            region = answer.headers.get("x-amz-bucket-region")
            if answer.status not in (301, 307, 400) or not region or region == self._endpoint.region:
                return answer
            self._endpoint.region = region
        return answer

    def list(self, url: str) -> Iterator[Listed]:
        below, token = Bucket.of(url), ""
        while True:
            asked = {"list-type": "2", "prefix": below.key, **({"continuation-token": token} if token else {})}
            query = query_of(asked)
            answer = self._signed(lambda: f"{self._endpoint.target_of('')}?{query}", 0, -1, "", Attempt())  # noqa: B023
            if answer.status != 200:
                raise of_status(answer.status, answer.reason, answer.headers.get("retry-after"))
            try:
                root = ElementTree.fromstring(bytes(answer.body))
            except ElementTree.ParseError as error:
                raise Trouble("the listing is damaged") from error
            space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
            for found in root.iter(f"{space}Contents"):
                text = {child.tag.removeprefix(space): child.text or "" for child in found}
                yield Listed(below.url_of(text["Key"]), int(text["Size"]), text.get("ETag", ""))
            token = root.findtext(f"{space}NextContinuationToken") or ""
            if not token:
                return


class Stores:
    """The store of each URL, made when it is first asked for. Any thread may call."""

    def __init__(self, other: Callable[[Bucket], Store]) -> None:
        self._connections = Connections()
        self._credentials = Credentials()
        self._lock = threading.Lock()
        self._other = other
        self._stores: dict[tuple[str, str], Store] = {}
        self._known: dict[str, Store] = {}  # of buckets, by the begin of their URLs

    def of(self, url: str) -> Store:
        """Raises Trouble, and ImportError where a library is missing."""
        begin = url[: url.find("/", url.find("://") + 3) + 1]
        known = self._known.get(begin)
        if known is not None:
            return known
        scheme = url.partition("://")[0]
        try:
            bucket = Bucket.of(url) if scheme in ("s3", "gs", "az") else None
        except ValueError as error:
            raise Trouble(str(error), passes=False) from None
        name = (scheme, bucket.name if bucket else "")
        with self._lock:
            if name not in self._stores:
                self._stores[name] = self._made(scheme, bucket)
            if begin and bucket is not None:
                self._known[begin] = self._stores[name]
            return self._stores[name]

    def _made(self, scheme: str, bucket: Bucket | None) -> Store:
        if scheme == "hf":
            return HubStore(self._connections)
        if bucket is None:
            return HttpStore(self._connections)
        if scheme == "s3":
            return S3Store(self._connections, bucket.name, self._credentials)
        return self._other(bucket)
