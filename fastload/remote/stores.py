"""The store of each URL."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fastload.remote.addresses import Bucket
from fastload.remote.http_connection import Connections
from fastload.remote.http_store import HttpStore
from fastload.remote.hub_store import HubStore
from fastload.remote.s3_requests import Credentials
from fastload.remote.s3_store import S3Store
from fastload.remote.store import Store
from fastload.remote.trouble import Trouble


class Stores:
    """The store of each URL, made when it is first asked for. Any thread may call."""

    def __init__(self, other: Callable[[Bucket], Store]) -> None:
        self.connections = Connections()
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
            return HubStore(self.connections)
        if bucket is None:
            return HttpStore(self.connections)
        if scheme == "s3":
            return S3Store(self.connections, bucket.name, self._credentials)
        return self._other(bucket)
