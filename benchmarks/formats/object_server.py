"""An object store on 127.0.0.1 that can be told to fail: the S3 calls that reading needs (GET with Range and If-Match, HEAD,
ListObjectsV2), from memory, path-style, unsigned; and the same objects by plain HTTP.

``python object_server.py FOLDER [--latency SECONDS] [--spread SECONDS]`` serves ``FOLDER/bucket/key`` as ``/bucket/key`` and prints
its port. What it does wrong is told by ``PUT /-/faults`` with a JSON list of rules; of those that fit a request the first counts:

    {"match": "text in the path", "kind": KIND, "share": 1.0, "times": 3, "seconds": 5, "at": 1000}

KIND: ``error`` (status ``code``, header Retry-After of ``seconds``), ``hang`` (nothing for ``seconds``), ``cut`` (closes after
``at`` bytes of the body), ``short`` (says and gives ``at`` bytes too few), ``ignore_range`` (200 and all), ``wrong_range`` (another
Content-Range), ``changed`` (other bytes, another ETag), ``no_length`` (chunked), ``no_version`` (neither ETag nor
Last-Modified). ``GET /-/counts`` gives {"requests": n, …}.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

_PAGE = 1000  # keys in one answer to a listing
_STATUS = {
    200: "OK",
    206: "Partial Content",
    403: "Forbidden",
    404: "Not Found",
    412: "Precondition Failed",
    416: "Range Not Satisfiable",
}


class Objects:
    """What is served, and what is done wrong."""

    def __init__(self, folder: Path, latency: float, etag: str | None = None, spread: float = 0.0) -> None:
        self.latency, self.spread = latency, spread
        self.bodies = {f"/{p.relative_to(folder).as_posix()}": p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        self.etags = {path: etag or f'"{hashlib.md5(body).hexdigest()}"' for path, body in self.bodies.items()}
        self.faults: list[dict[str, Any]] = []
        self.counts = {"requests": 0, "at_once": 0, "most_at_once": 0, "faults": 0, "connections": 0}
        self.chance, self.spreading = random.Random(0), random.Random(0)

    def fault_of(self, path: str) -> dict[str, Any] | None:
        for rule in self.faults:
            if (
                rule.get("match", "") in path
                and rule.get("times", 1) > 0
                and self.chance.random() < rule.get("share", 1)
            ):
                if "times" in rule:
                    rule["times"] -= 1
                self.counts["faults"] += 1
                return rule
        return None

    def wait(self) -> float:
        """Seconds before an answer."""
        return self.latency + (self.spreading.expovariate(1 / self.spread) if self.spread else 0.0)

    def listing(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        """ListObjectsV2, without a delimiter or with "/"."""
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        keys = sorted(path[len(bucket) + 1 :] for path in self.bodies if path.startswith(f"{bucket}/"))
        keys = [key for key in keys if key.startswith(prefix) and key > after]
        folders = {
            prefix + k[len(prefix) :].split(delimiter)[0] + delimiter
            for k in keys
            if delimiter and delimiter in k[len(prefix) :]
        }
        keys = [key for key in keys if not any(key.startswith(folder) for folder in folders)]
        page = keys[:_PAGE]
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>{escape(self.etags[f'{bucket}/{key}'])}</ETag><Size>{len(self.bodies[f'{bucket}/{key}'])}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        contents += "".join(
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders)
        )
        more = len(keys) > _PAGE
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>{bucket[1:]}</Name><Prefix>{escape(prefix)}</Prefix>'
            f"<KeyCount>{len(page)}</KeyCount><MaxKeys>{_PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}"
            "</ListBucketResult>"
        ).encode()


class Connection(asyncio.Protocol):
    """One after the other, as HTTP/1.1 has them."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.received = b""
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(1 << 26)
        self.transport = transport
        self.objects.counts["connections"] += 1

    def connection_lost(self, error: Exception | None) -> None:
        self._ended()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.busy and not self.transport.is_closing():
            self._next()

    def _next(self) -> None:
        head, found, rest = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        method, target, _ = lines[0].split(" ")
        path, _, query = target.partition("?")
        if method not in ("GET", "HEAD") and not path.startswith("/-/"):
            self.received = b""  # what would be written may follow
            self._send(403, {}, b"<Error><Code>AccessDenied</Code></Error>", close=True)
            return
        size = int(headers.get("content-length", 0))
        if len(rest) < size:
            return
        self.received = rest[size:]
        self._begun()
        if path.startswith("/-/"):
            self._told(method, path, rest[:size])
            return
        self.objects.counts["requests"] += 1
        fault = self.objects.fault_of(unquote(path))
        wait = self.objects.wait() + (fault["seconds"] if fault and fault["kind"] == "hang" else 0)
        asyncio.get_running_loop().call_later(wait, self._answer, method, unquote(path), query, headers, fault)

    def _begun(self) -> None:
        self.busy = True
        counts = self.objects.counts
        counts["at_once"] += 1
        counts["most_at_once"] = max(counts["most_at_once"], counts["at_once"])

    def _ended(self) -> None:
        if self.busy:
            self.objects.counts["at_once"] -= 1
        self.busy = False

    def _told(self, method: str, path: str, body: bytes) -> None:
        if method == "PUT":
            self.objects.faults = json.loads(body)
            self.objects.counts = dict.fromkeys(self.objects.counts, 0) | {"at_once": self.objects.counts["at_once"]}
        self._send(200, {}, json.dumps(self.objects.counts).encode())

    def _answer(
        self, method: str, path: str, query: str, headers: dict[str, str], fault: dict[str, Any] | None
    ) -> None:
        if self.transport.is_closing():
            return
        kind = fault["kind"] if fault else ""
        if kind == "error":
            assert fault is not None
            said = {"Retry-After": str(fault["seconds"])} if "seconds" in fault else {}
            self._send(fault.get("code", 500), said, b"<Error><Code>SlowDown</Code><Message>no</Message></Error>")
            return
        if "list-type=2" in query:
            found = parse_qs(query, keep_blank_values=True)
            self._send(200, {"Content-Type": "application/xml"}, self.objects.listing(path.rstrip("/"), found))
            return
        body, etag = self.objects.bodies.get(path), self.objects.etags.get(path, "")
        if body is None:
            self._send(404, {}, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        if kind == "changed":
            body, etag = bytes(len(body)), '"changed"'
        if headers.get("if-match", etag) != etag:
            self._send(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        said = {"ETag": etag, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "Accept-Ranges": "bytes"}
        if kind == "no_version":
            said = {"Accept-Ranges": "bytes"}
        status, part = 200, memoryview(body)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        if asked and kind != "ignore_range":
            first = int(asked[1])
            last = min(int(asked[2] or len(body)), len(body) - 1)
            if first > last:
                self._send(416, {"Content-Range": f"bytes */{len(body)}"}, b"")
                return
            status, part = 206, part[first : last + 1]
            moved = 7 if kind == "wrong_range" else 0
            said["Content-Range"] = f"bytes {first + moved}-{last + moved}/{len(body)}"
        if kind == "short":
            assert fault is not None
            part = part[: max(0, len(part) - fault["at"])]
        if method == "HEAD":
            self._send(status, said, b"", says=len(part))
        elif kind == "cut":
            assert fault is not None
            self._send(status, said, part[: fault["at"]], says=len(part), close=True)
        elif kind == "no_length":
            self._send(
                status,
                {**said, "Transfer-Encoding": "chunked"},
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(part), part),
                says=None,
            )
        else:
            self._send(status, said, part)

    def _send(
        self, status: int, headers: dict[str, str], body: Any, says: int | None = -1, close: bool = False
    ) -> None:
        length = {} if says is None else {"Content-Length": str(len(body) if says == -1 else says)}
        lines = [f"HTTP/1.1 {status} {_STATUS.get(status, 'Error')}"]
        lines += [f"{name}: {value}" for name, value in {**headers, **length}.items()]
        self.transport.write("\r\n".join([*lines, "", ""]).encode())
        if len(body):
            self.transport.write(body)
        self._ended()
        if close:
            self.transport.close()
        elif self.received:
            self._next()


async def serve(objects: Objects, port: int) -> None:
    """Until standard input ends: whoever started it is gone then."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(objects), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main(arguments: Iterator[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that each answer is held back")
    parser.add_argument("--spread", type=float, default=0.0, help="seconds more, on average, exponentially distributed")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--etag", help="of all objects, whatever they hold")
    asked = parser.parse_args(list(arguments) if arguments else None)
    asyncio.run(serve(Objects(asked.folder, asked.latency, asked.etag, asked.spread), asked.port))


if __name__ == "__main__":
    main()
