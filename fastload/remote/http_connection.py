"""One connection to an HTTP/1.1 server: a request out, an answer in, its body straight into memory that is kept.

Why not a library's: what a request costs is taken from decoding. A GET of 100 kB took 0.2 ms of a core here, 0.4 (its functions
that wait) to 0.6 ms (those for asyncio) with obstore 0.12; and a forked process can go on, where obstore waits for ever.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import re
import select
import socket
import ssl
import struct
import threading
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from fastload import _core
from fastload.remote.addresses import host_of
from fastload.remote.trouble import Trouble

_CONNECT_SECONDS = 10.0
SILENT_SECONDS = 30.0  # an answer that stops for so long is given up
_MOST_HEAD = 1 << 16
_HEAD_PIECE = 1 << 13  # with the begin of the body, which is copied
_MOST_BODY = 1 << 31
_MOST_SKIPPED = 1 << 28  # of a body from whose middle something is wanted
_PIECE = 1 << 18
_MOST_PREFACES = 16

_SIZE = re.compile("[0-9]{1,18}").fullmatch
_CHUNK = re.compile(b"[0-9A-Fa-f]{1,15}").fullmatch

_MAIN = threading.main_thread().ident
Origin = tuple[str, str, int]  # scheme, host, port


@dataclass
class Answer:
    """An answer's head, and its body.

    Attributes:
        headers: by name in small letters.
        body: what was wanted of it.
        has_body: whether it was read.
    """

    status: int
    reason: str
    headers: dict[str, str]
    body: Any = b""
    has_body: bool = True


class Connection:
    """To one origin; of one thread, but for :meth:`abort`.

    Raises :class:`Trouble` from each method.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.uses = 0  # answers so far
        self._rest = b""  # received behind the last answer
        self._is_over = False
        scheme, host, port = origin
        to = _proxy_for(scheme, host)
        self._through = to is not None and scheme == "http"
        self._login = to[2] if to is not None and self._through else ""
        shown = host_of(scheme, host, port)
        self._before = f"http://{shown}" if self._through else ""  # of what is asked for
        self._common = f" HTTP/1.1\r\nHost: {shown}\r\nAccept-Encoding: identity\r\n{self._login}"
        try:
            address = to[:2] if to is not None else (host, port)
            self.socket: Any = socket.create_connection(address, _CONNECT_SECONDS)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if to is not None and scheme == "https":
                self._tunnel(host, port, to[2])
            if scheme == "https":
                self.socket = _trust().wrap_socket(self.socket, server_hostname=host)
            self.socket.settimeout(None)
            patience = struct.pack("ll", int(SILENT_SECONDS), 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        except ssl.SSLCertVerificationError as error:
            raise Trouble(f"the certificate of {host} is not trusted: {error.verify_message}", passes=False) from error
        except OSError as error:
            raise Trouble(f"no connection to {host}: {error.strerror or error}") from error

    def _tunnel(self, host: str, port: int, login: str) -> None:
        to = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.socket.sendall(f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{login}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            got = self.socket.recv(1)  # what follows is the other's
            if not got or len(head) > _MOST_HEAD:
                raise OSError("the proxy did not answer")
            head += got
        if head.split(b" ", 2)[1:2] != [b"200"]:
            raise OSError("the proxy refused")

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be asked."""
        return self._is_over or bool(self._rest)

    def is_usable(self) -> bool:
        """Whether it is open and silent, as one between two requests is."""
        if self.is_over:
            return False
        try:
            look = select.poll()
            look.register(self.socket, select.POLLIN)
            return not look.poll(0)
        except (OSError, ValueError):
            return False

    def get(self, target: str, lines: str, first: int, length: int) -> Answer:
        """The answer to a request for bytes ``[first, first + length)``, -1: all from there on, with these lines of headers, each
        with its end. An answer that is the whole object is cut; the body of one that is an error is not read."""
        request = self.request(target, lines, first, length)
        try:
            answer, is_read = self._natively(request, first, length) if self.is_plain() else (None, False)
            if answer is None:
                self.socket.sendall(request)
                answer = self._head()
            if is_read:
                pass
            elif answer.status in (200, 206):
                self._body(answer, first if answer.status == 200 else 0, length)
            else:
                self._pass_over(answer)
        except (BlockingIOError, ssl.SSLWantReadError, TimeoutError) as error:
            raise silent() from error
        except OSError as error:
            raise Trouble(f"the connection broke: {error.strerror or error}") from error
        self.uses += 1
        if "close" in answer.headers.get("connection", "").lower():
            self._is_over = True
        return answer

    def request(self, target: str, lines: str, first: int, length: int) -> bytes:
        """What is sent for these bytes."""
        if first > 0 or length >= 0:
            lines = f"Range: bytes={first}-{first + length - 1 if length >= 0 else ''}\r\n{lines}"
        return f"GET {self._before}{target}{self._common}{lines}\r\n".encode("latin-1")

    def has_no_tls(self) -> bool:
        """Whether the native core can read what comes."""
        return type(self.socket) is socket.socket

    def is_plain(self) -> bool:
        """Whether the native core may ask, which looks by itself whether it is usable: not where Python's TLS is between, nor on
        the main thread, whose signals it does not see."""
        return self.has_no_tls() and threading.get_ident() != _MAIN

    def _natively(self, request: bytes, first: int, length: int) -> tuple[Answer, bool]:
        """The answer, and whether its body was read as well."""
        why, head, self._rest, body = _core.http_exchange(self.socket.fileno(), request, first == 0 and length < 0)
        if why:
            raise Trouble(why)
        answer = answer_of(*head)
        if body is not None:
            answer.body = body if not 0 <= length < len(body) else memoryview(body)[:length]
            return answer, True
        if 100 <= answer.status < 200:
            return self._behind(answer), False
        return answer, False

    def _head(self, most: int = _MOST_PREFACES) -> Answer:
        """The answer's, behind so many that say that it will come."""
        data = self._rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            got = self.socket.recv(_HEAD_PIECE)
            if not got:
                raise Trouble(
                    "the connection was closed before an answer" if not data else "the answer was cut in its head"
                )
            data = data + got if data else got
            if len(data) > _MOST_HEAD:
                raise Trouble("the answer's head is too long")
        answer = answer_of(*_core.http_head(data[:end]))
        self._rest = data[end + 4 :]
        return self._behind(answer, most) if 100 <= answer.status < 200 else answer

    def _behind(self, preface: Answer, most: int = _MOST_PREFACES) -> Answer:
        if most == 0 or preface.status == 101:
            raise Trouble("the server answers that it will answer, and does not", passes=False)
        return self._head(most - 1)

    def _body(self, answer: Answer, skip: int, length: int) -> None:
        """Of an answer that is no error: what is behind ``skip`` bytes of it, ``length`` or all."""
        coding = answer.headers.get("transfer-encoding", "").lower()
        if coding not in ("", "identity", "chunked"):
            raise Trouble(f"it is sent packed (Transfer-Encoding: {coding[:40]})", passes=False)
        if coding == "chunked":
            body = memoryview(self._chunks(skip + length if length >= 0 else _MOST_BODY))
            answer.body = body[skip:] if length < 0 else body[skip : skip + length]
            return
        size = _size_said(answer)
        if size < 0:
            self._is_over = True
            body = memoryview(self._to_the_end())
            answer.body = body[skip:] if length < 0 else body[skip : skip + length]
            return
        wanted = max(0, size - skip) if length < 0 else min(length, max(0, size - skip))
        if wanted > _MOST_BODY or skip > _MOST_SKIPPED:
            self._is_over = True
            raise Trouble("more than 2 GiB" if wanted > _MOST_BODY else "the server ignores ranges", passes=False)
        self._is_over = self._is_over or skip + wanted != size
        while skip > 0:
            skip -= len(self._some(min(skip, _PIECE)))
        answer.body = self._exactly(wanted)

    def _some(self, most: int) -> bytes:
        if self._rest:
            got, self._rest = self._rest[:most], self._rest[most:]
        else:
            got = self.socket.recv(most)
        if not got:
            raise Trouble("the connection was closed in the middle of the body")
        return got

    def _exactly(self, size: int) -> bytearray:
        body = bytearray(size)
        view = memoryview(body)
        done = min(size, len(self._rest))
        view[:done] = self._rest[:done]
        self._rest = self._rest[done:]
        whole = socket.MSG_WAITALL if not isinstance(self.socket, ssl.SSLSocket) else 0
        while done < size:
            got = self.socket.recv_into(view[done:], size - done, whole)
            if not got:
                raise Trouble(f"the connection was closed after {done} of {size} bytes")
            done += got
        return body

    def _to_the_end(self) -> bytearray:
        body = bytearray(self._rest)
        self._rest = b""
        while got := self.socket.recv(_PIECE):
            body += got
            if len(body) > _MOST_BODY:
                raise Trouble("more than 2 GiB", passes=False)
        return body

    def _chunks(self, most: int) -> bytearray:
        body = bytearray()
        while True:
            said = self._line().partition(b";")[0].strip(b" \t")
            if not _CHUNK(said):
                raise Trouble("a chunk without a size")
            size = int(said, 16)
            if size == 0:
                break
            if len(body) + size > _MOST_BODY:
                raise Trouble("more than 2 GiB", passes=False)
            body += self._exactly(size)
            if self._line():
                raise Trouble("a chunk is longer than it says")
            if len(body) >= most:
                self._is_over = True
                return body
        behind = 0
        while line := self._line():
            behind += len(line)
            if behind > _MOST_HEAD:
                raise Trouble("what follows the body is too long")
        return body

    def _line(self) -> bytes:
        while (end := self._rest.find(b"\r\n")) < 0:
            if len(self._rest) > _MOST_HEAD:
                raise Trouble("a chunk without a size")
            got = self.socket.recv(_MOST_HEAD)
            if not got:
                raise Trouble("the connection was closed in the middle of the body")
            self._rest += got
        line, self._rest = self._rest[:end], self._rest[end + 2 :]
        return line

    def _pass_over(self, answer: Answer) -> None:
        """The body of an error, where it is short: so the connection can be used again."""
        size = _size_said(answer)
        if 0 <= size <= _PIECE and "transfer-encoding" not in answer.headers:
            self._exactly(size)
        elif answer.status not in (204, 304):
            self._is_over = True

    def abort(self) -> None:
        """From any thread: whoever waits in it goes on, with Trouble."""
        self._is_over = True
        with contextlib.suppress(OSError, ValueError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.socket.close()


class Connections:
    """Open connections that nobody uses, for whoever wants one. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: dict[Origin, list[Connection]] = {}

    def take(self, origin: Origin) -> Connection:
        """Raises Trouble."""
        while True:
            with self._lock:
                free = self._free.get(origin)
                connection = free.pop() if free else None
            if connection is None:
                return Connection(origin)
            if connection.is_plain() or connection.is_usable():
                return connection
            connection.close()

    def free(self, origin: Origin) -> Connection | None:
        """One that is open, for the native core, which looks by itself whether it is usable; None: there is none."""
        with self._lock:
            free = self._free.get(origin)
            return free.pop() if free else None

    def give_back(self, connection: Connection) -> None:
        if connection.is_over:
            connection.close()
            return
        with self._lock:
            self._free.setdefault(connection.origin, []).append(connection)


def _size_said(answer: Answer) -> int:
    """-1: it is not told. Raises Trouble where what is told is no size, or two of them."""
    said = answer.headers.get("content-length")
    if said is None:
        return -1
    if not _SIZE(said):
        raise Trouble(f"the server says a Content-Length of {said[:40]!r}", passes=False)
    return int(said)


def silent() -> Trouble:
    return Trouble(f"silent for {SILENT_SECONDS:.0f} s")


def answer_of(first: str, headers: dict[str, str]) -> Answer:
    version, _, status = first.partition(" ")
    number, _, reason = status.partition(" ")
    if not version.startswith("HTTP/1.") or not number.isdigit():
        raise Trouble("the answer is not HTTP/1.1")
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return Answer(int(number), reason[:80], headers)


def _proxy_for(scheme: str, host: str) -> tuple[str, int, str] | None:
    """Host, port and the line that logs in, of the proxy that the environment names. Raises Trouble."""
    said = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(scheme)
    if not said:
        return None
    try:
        proxy = urlsplit(said if "://" in said else f"http://{said}")
        port = proxy.port or 80
    except ValueError:  # which would show a password
        raise Trouble(f"the proxy's URL in {scheme}_proxy cannot be read", passes=False) from None
    if proxy.scheme != "http" or not proxy.hostname:
        raise Trouble(f"{scheme}_proxy names a proxy that is none of http:// ones", passes=False)
    return proxy.hostname, port, _login(proxy)


def _login(proxy: Any) -> str:
    if proxy.username is None:
        return ""
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"


@functools.cache
def _trust() -> ssl.SSLContext:
    """Certificates as the system has them, and those that AWS_CA_BUNDLE or SSL_CERT_FILE name."""
    trust = ssl.create_default_context()
    if os.environ.get("AWS_CA_BUNDLE"):
        trust.load_verify_locations(os.environ["AWS_CA_BUNDLE"])
    return trust
