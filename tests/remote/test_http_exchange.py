"""An answer is one and the same whether the native core reads it or Python, however it arrives."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
import time

import numpy as np
import pytest
import torchvision.transforms as T

import fastload
from fastload import _core
from fastload.remote.http_connection import Connection
from fastload.remote.trouble import Trouble
from images import jpeg_bytes


class RawServer:
    """Sends these bytes to whoever asks, in pieces, and ends the connection then."""

    def __init__(self, answer: bytes, seed: int = 0) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._answer, self._pieces = answer, random.Random(seed)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._send, args=(connection,), daemon=True).start()

    def _send(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            asked = b""
            while b"\r\n\r\n" not in asked:
                got = connection.recv(4096)
                if not got:
                    return
                asked += got
            rest = self._answer
            while rest:
                size = self._pieces.choice([1, 2, 5, 100, 10_000, 10**6])
                connection.sendall(rest[:size])
                rest = rest[size:]

    def end(self) -> None:
        self._listening.close()


def asked(port, first, length):
    """What the answer is, or what went wrong."""
    connection = Connection(("http", "127.0.0.1", port))
    try:
        answer = connection.get("/x", "", first, length)
        return answer.status, answer.reason, answer.headers, bytes(answer.body)
    except Trouble as trouble:
        return str(trouble)
    finally:
        connection.close()


def on_a_thread(work):
    made = []
    thread = threading.Thread(target=lambda: made.append(work()))
    thread.start()
    thread.join()
    return made[0]


BODY = bytes(range(256)) * 2000
OK = b"HTTP/1.1 200 OK\r\n"
PART = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-24/99\r\n"
ANSWERS = {
    "whole": OK + b'ETag: "\xe9"\r\nCONTENT-length:  %d \r\n\r\n' % len(BODY) + BODY,
    "part": PART + b"Content-Length: 20\r\n\r\n" + BODY[:20],
    "nothing": OK + b"Content-Length: 0\r\n\r\n",
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 3\r\n\r\nabc",
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    "chunks that say a length": OK + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "no length": OK + b"\r\nabc",
    "odd length": OK + b"Content-Length: 3x\r\n\r\nabc",
    "an error": b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
    "old": b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "more than it says": OK + b"Content-Length: 3\r\n\r\nabcdef",
    "cut": OK + b"Content-Length: 9000\r\n\r\n" + BODY[:5000],
    "cut head": OK + b"Content-Len",
    "silent": b"",
    "another protocol": b"SSH-2.0-x\r\n\r\n",
    "a line without a colon": OK + b"nonsense\r\nContent-Length: 3\r\n\r\nabc",
    "long head": OK + b"a: b\r\n" * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(("first", "length"), [(0, -1), (0, 10), (5, 20)])
def test_the_core_and_python_read_the_same(name, first, length):
    server = RawServer(ANSWERS[name], seed=len(name))
    try:
        assert on_a_thread(lambda: asked(server.port, first, length)) == asked(server.port, first, length)
    finally:
        server.end()


def test_a_body_that_comes_with_a_pause_in_it_is_not_waited_for_any_longer():
    """The thread asks to be woken when all is there; what came before the pause must not count as missing then."""
    size, patience = 113_000, 20
    head = f"HTTP/1.1 206 Partial Content\r\nContent-Length: {size}\r\n\r\n".encode()

    def serve(listening):
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            for piece in (head, bytes(60_000), bytes(size - 60_000)):
                connection.sendall(piece)
                time.sleep(0.05)
            connection.recv(1)  # stays open

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        connection = Connection(("http", "127.0.0.1", listening.getsockname()[1]))
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", patience, 0))
        got = []
        asking = threading.Thread(target=lambda: got.append(connection.get("/", "", 0, size)))  # not the main thread
        began = time.monotonic()
        asking.start()
        asking.join()
        connection.close()
    assert len(got[0].body) == size
    assert time.monotonic() - began < patience


def test_a_connection_that_was_closed_or_speaks_unasked_is_not_used():
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
        why, _, _, body = _core.http_exchange(here.fileno(), b"GET / HTTP/1.1\r\n\r\n", True)
        assert "not asked" in why and body is None
    here, there = socket.socketpair()
    there.close()
    with here:
        why, _, _, body = _core.http_exchange(here.fileno(), b"GET / HTTP/1.1\r\n\r\n", True)
        assert "closed" in why and body is None
    with pytest.raises(OSError):
        _core.http_exchange(-1, b"", True)


def body_of(number):
    here, there = socket.socketpair()

    def answer():
        there.recv(3)
        there.sendall(OK + b"Content-Length: 100000\r\n\r\n" + bytes([number]) * 100_000)

    with here, there:
        answering = threading.Thread(target=answer)
        answering.start()
        why, _, rest, body = _core.http_exchange(here.fileno(), b"GET", True)
        answering.join()
    assert (why, rest, len(body)) == ("", b"", 100_000)
    return body


def test_bodies_live_as_long_as_whoever_looks_at_them():
    kept = [memoryview(body_of(number))[10:20] for number in range(8)]
    assert [bytes(view) for view in kept] == [bytes([number]) * 10 for number in range(8)]


def test_memory_of_bodies_that_are_gone_is_used_again():
    places = [np.frombuffer(body_of(1), np.uint8).ctypes.data for _ in range(100)]
    assert len(set(places)) < len(places) / 2


def test_bodies_before_and_in_a_forked_process():
    """Those of the parent end in the child, whose own are in other memory."""
    kept = [body_of(number) for number in range(4)]
    child = os.fork()
    if child == 0:
        is_right = False
        try:
            del kept[::2]
            made = [body_of(number) for number in range(10, 14)]
            is_right = [bytes(body)[-1] for body in [*kept, *made]] == [1, 3, 10, 11, 12, 13]
        finally:
            os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [bytes(body) for body in kept] == [bytes([number]) * 100_000 for number in range(4)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", r"Content-Encoding: gzip.*store it as it is"),
        (OK + b"Content-Length: 0\r\n\r\n", r"x\.jpg\?\.\.\.: the object is empty"),
    ],
)
def test_what_cannot_be_read_says_why(answer, said, monkeypatch):
    monkeypatch.setattr("fastload.remote.transfers_here._here", [])
    server = RawServer(answer)
    url = f"http://127.0.0.1:{server.port}/x.jpg?sig=SECRET"
    try:
        transform = T.Compose([T.CenterCrop(8), T.PILToTensor()])
        for read in (
            lambda: next(iter(fastload.DataLoader(fastload.ImageFiles([url], transform=transform)))),
            lambda: fastload.ImageFiles([url])[0],
        ):
            with pytest.raises(OSError, match=said) as raised:
                read()
            assert "x.jpg?..." in str(raised.value)
    finally:
        server.end()


def test_an_identity_that_is_said_is_none(monkeypatch):
    monkeypatch.setattr("fastload.remote.transfers_here._here", [])
    data = jpeg_bytes(0)
    server = RawServer(OK + b"Content-Encoding: identity\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    try:
        assert len(fastload.ImageFiles([f"http://127.0.0.1:{server.port}/x.jpg"])[0].size) == 2
    finally:
        server.end()
