"""Objects of S3, and of what speaks as S3 does."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence

from fastload.remote.addresses import Bucket
from fastload.remote.http_connection import Answer, Connections
from fastload.remote.http_store import HttpStore
from fastload.remote.s3_requests import Credentials, S3Endpoint, query_of
from fastload.remote.store import Attempt, Got, Listed, Prepared, limited
from fastload.remote.trouble import Trouble, of_status


class S3Store(HttpStore):
    """A bucket of S3, or of what speaks as S3 does."""

    def __init__(self, connections: Connections, bucket: str, credentials: Credentials) -> None:
        super().__init__(connections)
        self._prefix = f"s3://{bucket}/"
        self._endpoint = S3Endpoint(bucket)
        self._credentials = credentials

    def is_plain(self, url: str) -> bool:
        return self._endpoint.origin()[0] == "http"

    def prepared(self, url: str, version: str) -> Prepared | None:
        where = self._endpoint.origin()
        if where[0] != "http" or not self._credentials.are_known():
            return None
        target = self._endpoint.target_of(url[len(self._prefix) :])
        signed = self._endpoint.signed(target, self._credentials.keys())
        return self._prepared(where, target, signed, version)

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
        below, token, tokens = Bucket.of(url), "", {""}
        while True:
            asked = {"list-type": "2", "prefix": below.key, **({"continuation-token": token} if token else {})}
            found, token = self._page(below, query_of(asked))
            yield from found
            if not token:
                return
            if token in tokens:
                raise Trouble("the listing goes round in a circle", passes=False)
            tokens.add(token)

    def _page(self, below: Bucket, query: str) -> tuple[Sequence[Listed], str]:
        """Some objects of a listing, and where it goes on; empty: nowhere."""
        with limited() as attempt:
            answer = self._signed(lambda: f"{self._endpoint.target_of('')}?{query}", 0, -1, "", attempt)
        if answer.status != 200:
            raise of_status(answer.status, answer.reason, answer.headers.get("retry-after"))
        found = []
        try:
            root = ElementTree.fromstring(bytes(answer.body))
            space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
            for one in root.iter(f"{space}Contents"):
                text = {child.tag.removeprefix(space): child.text or "" for child in one}
                size = int(text["Size"])
                if size < 0 or not text["Key"]:
                    raise ValueError
                found.append(Listed(below.url_of(text["Key"]), size, text.get("ETag", "")))
        except (ElementTree.ParseError, KeyError, ValueError) as error:
            raise Trouble("the listing is damaged") from error
        return found, root.findtext(f"{space}NextContinuationToken") or ""
