"""Many requests on one thread: each has the answer that it has on a thread of its own; what it cannot read is left to others."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from test_http_exchange import ANSWERS, OK, RawServer, asked

from children import LIMIT
from fastload import _core
from fastload.remote.http_connection import Connection
from fastload.remote.store import Got, Store
from fastload.remote.transfer_threads import Transfers
from fastload.remote.trouble import Trouble
from waiting import until

GET = b"GET /x HTTP/1.1\r\n\r\n"


def ended_of(loop, count=1):
    ended = []
    while len(ended) < count:
        ended += loop.run()
    return ended


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(("first", "length"), [(0, -1), (0, 10), (5, 20)])
def test_an_answer_is_that_of_a_connection_that_waits(name, first, length):
    server = RawServer(ANSWERS[name], seed=len(name))
    loop = _core.HttpLoop(30)
    connection = Connection(("http", "127.0.0.1", server.port))
    try:
        expected = asked(server.port, first, length)
        loop.begin(7, connection.socket.fileno(), connection.request("/x", "", first, length), first, length)
        (ended,) = ended_of(loop)
    finally:
        connection.close()
        server.end()
    assert ended.number == 7
    if isinstance(expected, str):
        assert ended.why == expected or not ended.is_plain
        return
    status, _, headers, body = expected
    if ended.why == "":
        assert name == "continue" or ended.head[0].split()[1] == str(status)
    if ended.is_plain:
        assert (bytes(ended.body), ended.version) == (body, headers.get("etag", ""))
        assert ended.closes == (name in ("old", "more than it says"))
    # Those that are read by others: of a length that is not told, in chunks, errors, and a part of what comes whole.
    is_known = (name in ("whole", "nothing", "old", "more than it says", "a line without a colon") and length < 0) or (
        name == "part" and (first, length) == (5, 20)
    )
    assert ended.is_plain == is_known


@pytest.mark.parametrize(
    ("head", "is_plain"),
    [
        ("206 Partial Content\r\nContent-Range: bytes 5-24/99", True),
        ("206 Partial Content\r\nContent-Range: bytes 5-24/*", True),
        ("206 Partial Content\r\nContent-Range: bytes 6-25/99", False),
        ("206 Partial Content\r\nContent-Range: bytes 5-24/99x", False),
        ("206 Partial Content\r\nContent-Range: bytes -5-24/99", False),
        ("206 Partial Content\r\nContent-Range: bytes 99999999999999999999-24/99", False),
        ("206 Partial Content", False),
        ("200 OK", False),
        ("206 Partial Content\r\nContent-Range: bytes 5-24/99\r\nContent-Encoding: gzip", False),
        ("206 Partial Content\r\nContent-Range: bytes 5-24/99\r\nContent-Encoding: identity", True),
    ],
)
def test_what_a_plain_answer_is(head, is_plain):
    server = RawServer(f"HTTP/1.1 {head}\r\nContent-Length: 20\r\n\r\n".encode() + bytes(20))
    loop = _core.HttpLoop(30)
    connection = Connection(("http", "127.0.0.1", server.port))
    try:
        loop.begin(0, connection.socket.fileno(), GET, 5, 20)
        (ended,) = ended_of(loop)
    finally:
        connection.close()
        server.end()
    assert ended.is_plain == is_plain
    assert not is_plain or ended.size == (-1 if head.endswith("*") else 99)


def test_many_at_once():
    """Bodies that come in pieces, all mixed."""
    bodies = [bytes([number]) * (1000 * number) for number in range(100)]
    pairs = [socket.socketpair() for _ in bodies]
    loop = _core.HttpLoop(30)

    def answer():
        rests = {}
        for (_, there), body in zip(pairs, bodies, strict=True):
            there.recv(4096)
            rests[there] = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
        dice = random.Random(0)
        while rests:
            there = dice.choice(list(rests))
            size = dice.choice([1, 7, 1000, 50_000])
            there.sendall(rests[there][:size])
            rests[there] = rests[there][size:]
            if not rests[there]:
                del rests[there]

    for number, (here, _) in enumerate(pairs):
        loop.begin(number, here.fileno(), GET, 0, -1)
    answering = threading.Thread(target=answer)
    answering.start()
    ended = ended_of(loop, len(bodies))
    answering.join()
    for pair in pairs:
        for one in pair:
            one.close()
    assert sorted(one.number for one in ended) == list(range(100))
    assert all(one.is_plain and bytes(one.body) == bodies[one.number] for one in ended)


def test_it_is_woken_and_ended_from_other_threads():
    loop = _core.HttpLoop(30)
    loop.wake()
    assert loop.run() == []
    waking = threading.Thread(target=loop.wake)
    waking.start()
    assert loop.run() == []
    waking.join()
    here, there = socket.socketpair()
    with here, there:
        loop.begin(1, here.fileno(), GET, 0, -1)
        ending = threading.Thread(target=lambda: (there.recv(100), here.shutdown(socket.SHUT_RDWR)))
        ending.start()
        (ended,) = ended_of(loop)
        ending.join()
    assert "closed before an answer" in ended.why


def test_a_connection_that_stays_silent_is_given_up():
    loop = _core.HttpLoop(0.05)
    here, there = socket.socketpair()
    with here, there:
        loop.begin(1, here.fileno(), GET, 0, -1)
        (ended,) = ended_of(loop)
    assert ended.error == errno.EAGAIN and ended.why


def test_what_is_no_socket():
    loop = _core.HttpLoop(30)
    read, write = os.pipe()
    loop.begin(1, read, GET, 0, -1)
    (ended,) = ended_of(loop)
    assert "broke" in ended.why
    os.close(read)
    os.close(write)


class Server(ThreadingHTTPServer):
    """Answers as ``answers`` says, and counts."""

    daemon_threads = True

    def __init__(self, answer):
        self.paths, self.connections = [], 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                self.server.connections += 1

            def do_GET(self):
                self.server.paths.append(self.path)
                answer(self)

            def log_message(self, *args):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


@contextlib.contextmanager
def reading(answer):
    server = Server(answer)
    transfers = Transfers(None, most_at_once=8, seconds=LIMIT)
    try:
        yield server, transfers
    finally:
        transfers.end()
        server.shutdown()
        server.server_close()


def give(handler, body, status=200, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_open_connections_are_used_again_by_one_thread():
    with reading(lambda handler: give(handler, handler.path.encode())) as (server, transfers):
        for number in range(50):
            assert bytes(transfers.read(f"{server.url}/{number}").wait()) == b"/%d" % number
        assert server.connections == 1
        waiting = [thread for thread in threading.enumerate() if thread in transfers._senders._threads]
        assert len(waiting) == 2  # that of all requests, and the one that opened the connection


def test_a_connection_that_the_server_has_ended_meanwhile():
    def answer(handler):
        give(handler, b"abc")
        handler.close_connection = True  # without a word

    with reading(answer) as (server, transfers):
        for number in range(5):
            assert bytes(transfers.read(f"{server.url}/{number}").wait()) == b"abc"
        assert server.connections == 5
        assert transfers.figures()["retries"] == 0


def test_a_server_that_says_that_it_closes():
    with reading(lambda handler: give(handler, b"abc", Connection="Close")) as (server, transfers):
        for number in range(3):
            assert bytes(transfers.read(f"{server.url}/{number}").wait()) == b"abc"
        assert server.connections == 3


def test_a_server_that_sends_on():
    def answer(handler):
        if handler.path.startswith("/old"):
            give(handler, b"", 302, Location=f"/new{handler.path}")
        else:
            give(handler, handler.path.encode())

    with reading(answer) as (server, transfers):
        for number in range(4):
            assert bytes(transfers.read(f"{server.url}/old/{number}").wait()) == b"/new/old/%d" % number
            assert bytes(transfers.read(f"{server.url}/other/{number}").wait()) == b"/other/%d" % number
        assert bytes(transfers.read(f"{server.url}/old/1", 0, -1, -1, "again").wait()) == b"/new/old/1"
        assert server.paths.count("/old/3") == 1


def test_a_server_that_does_not_say_how_much_comes():
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\nabc\r\n0\r\n\r\n")

    with reading(answer) as (server, transfers):
        for number in range(4):
            assert bytes(transfers.read(f"{server.url}/{number}").wait()) == b"abc"
        assert server.paths.count("/3") == 1


def test_errors_are_read_where_they_are():
    """They are not asked for twice, and the connection goes on or not as the server wants."""

    def answer(handler):
        if handler.path == "/there":
            give(handler, b"abc")
        else:
            give(handler, b"none", 404)

    with reading(answer) as (server, transfers):
        for number in range(3):
            assert bytes(transfers.read(f"{server.url}/there", 0, -1, -1, str(number)).wait()) == b"abc"
            with pytest.raises(FileNotFoundError, match="404"):
                transfers.read(f"{server.url}/{number}").wait()
        assert sorted(server.paths) == ["/0", "/1", "/2", "/there", "/there", "/there"]


def test_what_is_not_wanted_any_more_is_not_waited_for():
    """An end while all is under way."""
    came, release = threading.Event(), threading.Event()

    def answer(handler):
        if handler.path == "/first":
            give(handler, b"abc")
            return
        came.set()
        release.wait(LIMIT)

    with reading(answer) as (server, transfers):
        transfers.read(f"{server.url}/first").wait()
        read = transfers.read(f"{server.url}/never")
        came.wait(LIMIT)
        transfers.end()
        with pytest.raises(OSError, match="ends"):
            read.wait()
        until(lambda: not any(thread.is_alive() for thread in transfers._senders._threads))
        release.set()


class Slow(Store):
    """One that its library reads, which waits."""

    def __init__(self):
        self.threads = set()

    def get(self, url, first, length, version, attempt):
        self.threads.add(threading.get_ident())
        if url.endswith("7"):
            raise Trouble("never", passes=False)
        return Got(url.encode(), len(url), "")


def test_stores_that_wait_are_asked_by_a_few_threads_that_go_on():
    store = Slow()
    transfers = Transfers(lambda bucket: store, most_at_once=4, seconds=LIMIT)
    try:
        reads = [transfers.read(f"gs://bucket/{number}") for number in range(40)]
        for number, read in enumerate(reads):
            if number % 10 == 7:
                with pytest.raises(OSError, match="never"):
                    read.wait()
            else:
                assert bytes(read.wait()) == b"gs://bucket/%d" % number
        assert 1 <= len(store.threads) <= 4
    finally:
        transfers.end()
