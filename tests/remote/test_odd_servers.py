"""Servers that answer oddly or with bad intent: the right bytes or a clear error, on new connections and on open ones, soon."""

from __future__ import annotations

import socket
import threading

import pytest
from test_http_loop import Server, give

from children import LIMIT
from fastload.remote import store
from fastload.remote.addresses import origin
from fastload.remote.s3_requests import Keys, S3Endpoint
from fastload.remote.transfer_threads import Transfers

pytestmark = pytest.mark.usefixtures("few_attempts")
OK = b"HTTP/1.1 200 OK\r\n"
PART = b"HTTP/1.1 206 Partial Content\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
NOT_RIGHT = "another range"

# What comes, whether the connection ends with it, and what becomes of it where the whole object is wanted: bytes, or what is said.
WHOLE = {
    "one byte": (OK + b"Content-Length: 1\r\n\r\nx", False, b"x"),
    "nothing at all": (OK + b"Content-Length: 0\r\n\r\n", False, b""),
    "a part in place of all": (
        PART + b"Content-Range: bytes 0-2/9\r\nContent-Length: 3\r\n\r\nabc",
        False,
        "3 of 9 bytes",
    ),
    "a part that is all": (PART + b"Content-Range: bytes 0-2/3\r\nContent-Length: 3\r\n\r\nabc", False, b"abc"),
    "a part of nobody knows how much": (
        PART + b"Content-Range: bytes 0-2/*\r\nContent-Length: 3\r\n\r\nabc",
        False,
        b"abc",
    ),
    "a range that is not its body": (
        PART + b"Content-Range: bytes 0-1/3\r\nContent-Length: 3\r\n\r\nabc",
        False,
        NOT_RIGHT,
    ),
    "parts of a message": (
        PART + b"Content-Type: multipart/byteranges; boundary=x\r\nContent-Length: 3\r\n\r\nabc",
        False,
        NOT_RIGHT,
    ),
    "two lengths": (OK + b"Content-Length: 3\r\nContent-Length: 2\r\n\r\nabc", True, "Content-Length of '3, 2'"),
    "a length below nothing": (OK + b"Content-Length: -3\r\n\r\nabc", True, "Content-Length of '-3'"),
    "a length in other digits": (OK + b"Content-Length: \xb2\r\n\r\nab", True, "Content-Length of"),
    "a length that is no number": (OK + b"Content-Length: 3.0\r\n\r\nabc", True, "Content-Length of '3.0'"),
    "a length beyond all": (OK + b"Content-Length: 99999999999\r\n\r\nabc", True, "more than 2 GiB"),
    "packed on the way": (
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        False,
        "Transfer-Encoding: gzip, chunked",
    ),
    "packed where it lies": (
        OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        False,
        "Content-Encoding: gzip",
    ),
    "chunks twice": (
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        True,
        "chunked, chunked",
    ),
    "chunks": (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", False, b"abc"),
    "a chunk of less than nothing": (CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n", True, "a chunk without a size"),
    "a chunk of 0x3": (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", True, "a chunk without a size"),
    "a chunk that goes on": (CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", True, "a chunk is longer than it says"),
    "a chunk beyond all": (CHUNKED + b"fffffffffff\r\nabc", True, "more than 2 GiB"),
    "no end of lines behind the chunks": (
        CHUNKED + b"0\r\n" + b"x: y\r\n" * 20_000,
        True,
        "what follows the body is too long",
    ),
    "until it ends": (OK + b"\r\nabc", True, b"abc"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nabc", True, b"abc"),
    "HTTP/2": (b"HTTP/2 200\r\nContent-Length: 3\r\n\r\nabc", True, "is not HTTP/1.1"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", False, b"abc"),
    "it will answer": (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 3\r\n\r\nabc",
        False,
        b"abc",
    ),
    "it will answer for ever": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3000, True, "that it will answer, and does not"),
    "another protocol from here on": (
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        False,
        "that it will answer, and does not",
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", False, "204 No Content"),
    "as you have it": (b"HTTP/1.1 304 Not Modified\r\n\r\n", False, "304 Not Modified"),
    "a redirect to nowhere": (b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n", False, "sends on and on"),
    "a redirect to a file": (
        b"HTTP/1.1 301 Moved\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
        False,
        "no URL",
    ),
    "a redirect to no port": (
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:0/\r\nContent-Length: 0\r\n\r\n",
        False,
        "no URL",
    ),
    "a weak tag": (OK + b'ETag: W/"x"\r\nContent-Length: 3\r\n\r\nabc', False, b"abc"),
    "a proxy's error": (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", False, "407 Proxy"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_answers(name):
    raw, ends, expected = WHOLE[name]

    def answer(handler):
        if handler.path == "/first":
            give(handler, b"first")
            return
        handler.wfile.write(raw)
        handler.close_connection = ends

    for is_open in (False, True):
        server, transfers = Server(answer), Transfers(None, most_at_once=8, seconds=LIMIT)
        try:
            if is_open:
                assert bytes(transfers.read(f"{server.url}/first").wait()) == b"first"
            read = transfers.read(f"{server.url}/x")
            if isinstance(expected, bytes):
                assert bytes(read.wait()) == expected
            else:
                with pytest.raises(OSError, match=expected):
                    read.wait()
        finally:
            transfers.end()
            server.shutdown()
            server.server_close()


@pytest.fixture
def far():
    transfers = Transfers(None, most_at_once=8, seconds=LIMIT)
    yield transfers
    transfers.end()


@pytest.fixture
def server():
    made = []

    def serve(answer):
        made.append(Server(answer))
        return made[-1]

    yield serve
    for one in made:
        one.shutdown()
        one.server_close()


def echoed(handler):
    give(handler, handler.path.encode())


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("a+b.jpg", "/a+b.jpg"),
        ("a%2Bb%20c.jpg", "/a%2Bb%20c.jpg"),
        ("a b.jpg", "/a%20b.jpg"),
        ("ä/日.jpg", "/%C3%A4/%E6%97%A5.jpg"),
        ("x.jpg?a=b%26c&d", "/x.jpg?a=b%26c&d"),
        ("a/../b//c", "/a/../b//c"),
    ],
)
def test_urls_are_asked_for_as_they_are(server, far, path, asked):
    assert bytes(far.read(f"{server(echoed).url}/{path}").wait()) == asked.encode()


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("a+b c.jpg", "/bucket/a%2Bb%20c.jpg"),
        ("50%.jpg", "/bucket/50%25.jpg"),
        ("a?b#c.jpg", "/bucket/a%3Fb%23c.jpg"),
        ("ä/日\r\nX: y", "/bucket/%C3%A4/%E6%97%A5%0D%0AX%3A%20y"),
    ],
)
def test_keys_are_quoted(server, far, key, asked, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server(echoed).url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert bytes(far.read(f"s3://bucket/{key}").wait()) == asked.encode()


def test_ipv6(far):
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    asked = []

    def serve():
        talk, _ = listening.accept()
        with talk:
            asked.append(talk.recv(65536))
            talk.sendall(OK + b"Content-Length: 3\r\n\r\nabc")

    serving = threading.Thread(target=serve)
    serving.start()
    port = listening.getsockname()[1]
    with listening:
        assert bytes(far.read(f"http://[::1]:{port}/x").wait()) == b"abc"
        serving.join()
    assert f"Host: [::1]:{port}\r\n".encode() in asked[0]


@pytest.mark.parametrize("url", ["http://127.0.0.1:0/x", "http://127.0.0.1:99999/x", "http:///x", "http://[::1/x"])
def test_places_that_there_are_not(far, url):
    with pytest.raises(OSError, match=r"port|host|no http"):
        far.read(url).wait()


@pytest.mark.parametrize("version", ['"a\r\nX-Injected: y"', '"\u65e5"', '"open', 'W/"x"', "a"])
def test_a_version_that_is_no_strong_tag_is_not_sent(server, far, version):
    heads = []

    def answer(handler):
        heads.append(str(handler.headers))
        give(handler, b"abc", ETag='"other"')

    url = server(answer).url
    for path in ("first", "open"):
        with pytest.raises(OSError, match="changed"):
            far.read(f"{url}/{path}", version=version).wait()
    assert heads and not any("If-Match" in head or "Injected" in head for head in heads)


@pytest.mark.parametrize(
    "endpoint", ["http://LOCALHOST:80", "http://localhost", "https://localhost:443", "http://me:pw@localhost:9000"]
)
def test_what_is_signed_is_what_is_sent(endpoint, monkeypatch):
    """The host, above all, with a port or without."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    made = S3Endpoint("bucket")
    made.signed("/bucket/x", Keys("somebody", "secret"))
    host = "localhost:9000" if "9000" in endpoint else "localhost"
    assert f"\nhost:{host}\n" in made._second.request
    assert origin(endpoint)[1] == "localhost"


def test_a_proxy_that_is_none(server, far, monkeypatch):
    for proxy, said in (("socks5://127.0.0.1:9", "none of http://"), ("http://me:se/cret@x", "cannot be read")):
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(OSError, match=said) as raised:
            far.read("http://somewhere.invalid/x").wait()
        assert "se/cret" not in str(raised.value)


LISTING = b"<ListBucketResult>%b</ListBucketResult>"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            LISTING
            % b"<Contents><Key>a</Key><Size>1</Size></Contents><NextContinuationToken>t</NextContinuationToken>",
            "circle",
        ),
        (LISTING % b"<Contents><Key>a</Key></Contents>", "damaged"),
        (LISTING % b"<Contents><Key>a</Key><Size>-1</Size></Contents>", "damaged"),
        (LISTING % b"<Contents><Size>1</Size></Contents>", "damaged"),
        (b"<html>", "damaged"),
        (b"", "damaged"),
    ],
)
def test_listings_that_are_none(server, far, body, said, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server(lambda handler: give(handler, body)).url)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    with pytest.raises(OSError, match=said):
        far.listing("s3://bucket/")


@pytest.mark.parametrize(
    ("body", "link", "said"),
    [
        (b"[]", True, "circle"),
        (b"{", False, "damaged"),
        (b'[{"type": "file"}]', False, "damaged"),
        (b"[1]", False, "damaged"),
    ],
)
def test_listings_of_the_hub_that_are_none(server, far, body, link, said, monkeypatch):
    def answer(handler):
        give(handler, body, **({"Link": f'<{handler.path}>; rel="next"'} if link else {}))

    monkeypatch.setenv("HF_ENDPOINT", server(answer).url)
    with pytest.raises(OSError, match=said):
        far.listing("hf://datasets/a/b/c")


def test_a_listing_that_trickles(server, far, monkeypatch):
    """A byte now and then, for ever: neither silent nor an end."""
    going = threading.Event()
    monkeypatch.setattr(store, "_MOST_SECONDS", 0.3)

    def answer(handler):
        handler.wfile.write(CHUNKED)
        while not going.wait(0.02):
            handler.wfile.write(b"1\r\nx\r\n")
            handler.wfile.flush()

    monkeypatch.setenv("AWS_ENDPOINT_URL", server(answer).url)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    with pytest.raises(OSError, match=r"closed|broke"):
        far.listing("s3://bucket/")
    going.set()
