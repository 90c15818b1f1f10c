"""One read: which answers are believed, what is asked again and for how long, and who is trusted."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import children
from fastload.remote import http_connection, redacted
from fastload.remote.addresses import Bucket, HubPath
from fastload.remote.obstore_stores import ObjectStore
from fastload.remote.s3_requests import Keys, S3Endpoint
from fastload.remote.store import Attempt
from fastload.remote.transfer_threads import Transfers
from fastload.remote.trouble import Trouble


@pytest.fixture
def far(store):
    """A client of its own, the URL of an object, and its bytes."""
    server, folder = store
    path = sorted(folder.rglob("*.jp*g"))[0]
    transfers = Transfers(None, most_at_once=8, seconds=children.LIMIT)
    yield server, transfers, f"s3://bucket/train/{path.relative_to(folder)}", path.read_bytes()
    transfers.end()


@pytest.mark.parametrize(("first", "length"), [(0, 10), (7, 100), (0, -1)])
@pytest.mark.parametrize("kind", ["", "ignore_range", "wrong_range", "cut", "short", "no_length", "error"])
def test_only_the_right_bytes(far, kind, first, length):
    server, transfers, url, data = far
    size, version = transfers.stat(url)
    assert size == len(data)
    server.fails({"kind": kind, "times": 2, "at": 5})
    read = transfers.read(url, first, length, size, version)
    assert bytes(read.wait()) == (data[first : first + length] if length >= 0 else data)


def test_the_time_limit(far):
    server, _, url, _ = far
    server.fails({"kind": "hang", "seconds": 600})
    transfers = Transfers(None, most_at_once=8, seconds=0.5)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=rf"{url}: no answer within 0\.5 s"):
        transfers.read(url).wait()
    assert time.monotonic() - began >= 0.5
    transfers.end()


def test_what_fails_again_and_again(far, few_attempts):
    server, transfers, url, _ = far
    server.fails({"kind": "error", "code": 503})
    with pytest.raises(OSError, match=rf"{url}, bytes 0 to 5: 503 .*3 attempts"):
        transfers.read(url, 0, 5).wait()


def test_a_server_that_says_when_is_asked_then(far):
    server, transfers, url, data = far
    server.fails({"kind": "error", "code": 429, "seconds": 1, "times": 1})
    began = time.monotonic()
    assert bytes(transfers.read(url).wait()) == data
    assert time.monotonic() - began >= 1
    server.fails({"kind": "error", "code": 429, "seconds": 900})
    with pytest.raises(OSError, match="429"):
        transfers.read(url, 0, 5).wait()


def test_a_late_request_is_sent_again(far, second_requests):
    server, transfers, url, data = far
    server.fails({"kind": "hang", "seconds": 600, "times": 1})
    assert bytes(transfers.read(url).wait()) == data
    figures = transfers.figures()
    assert figures["hedges"] in (1, 2)  # where this one was late, too
    assert figures["requests"] == 1 + figures["hedges"]


def test_nobody_there(store, few_attempts):
    transfers = Transfers(None, most_at_once=8, seconds=children.LIMIT)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match=r"no connection to 127\.0\.0\.1"):
            transfers.read(f"http://127.0.0.1:{nobody.getsockname()[1]}/x").wait()
    transfers.end()


def test_a_certificate_that_nobody_vouches_for(store, tmp_path, monkeypatch):
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
        + ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path,
        capture_output=True,
    )
    assert made.returncode == 0, made.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(taken, server_side=True) as talk,
            ):  # who does not trust it ends
                talk.recv(65536)
                talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    threading.Thread(target=serve, daemon=True).start()
    url = f"https://localhost:{listener.getsockname()[1]}/x"
    http_connection._trust.cache_clear()
    transfers = Transfers(None, most_at_once=8, seconds=children.LIMIT)
    with pytest.raises(OSError, match="certificate of localhost is not trusted"):
        transfers.read(url).wait()
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    http_connection._trust.cache_clear()
    assert bytes(transfers.read(url, version="anew").wait()) == b"hello"
    http_connection._trust.cache_clear()
    transfers.end()
    listener.close()


def test_the_signature_is_amazons():
    """As botocore signs the same."""
    keys = Keys("somebody", "verysecret")
    assert "verysecret" not in repr(keys)
    for token in (None, "token"):
        endpoint = S3Endpoint("bucket")
        target = endpoint.target_of("a folder/ä+b=c~1.jpg")
        url = endpoint.base() + target
        lines = endpoint.signed(target, Keys(keys.access, keys.secret, token)).split("\r\n")
        ours = dict(line.split(": ", 1) for line in lines if line)
        asked = AWSRequest("GET", url, headers={"x-amz-content-sha256": ours["x-amz-content-sha256"]})
        asked.context["timestamp"] = ours["x-amz-date"]
        signer = S3SigV4Auth(Credentials(keys.access, keys.secret, token), "s3", endpoint.region)
        signer._modify_request_before_signing(asked)
        text = signer.string_to_sign(asked, signer.canonical_request(asked))
        assert ours["authorization"].endswith(f"Signature={signer.signature(text, asked)}")


def test_urls():
    assert redacted("https://me:secret@host/a/b?sig=secret") == "https://host/a/b?..."
    assert redacted("s3://bucket/key") == "s3://bucket/key"
    assert Bucket.of("s3://b/k/e y") == Bucket("s3", "b", "k/e y")
    hub = HubPath.of("hf://datasets/org/name@v1.0/data/a b.jpg")
    assert hub.download_url().endswith("/datasets/org/name/resolve/v1.0/data/a%20b.jpg")
    assert hub.url_of(hub.path) == "hf://datasets/org/name@v1.0/data/a b.jpg"
    assert HubPath.of("hf://org/name/x").download_url().endswith("/org/name/resolve/main/x")
    for wrong in ("s3://", "s3:///key", "hf://datasets/name"):
        with pytest.raises(ValueError):
            (HubPath if wrong.startswith("hf") else Bucket).of(wrong)


def test_a_real_s3_server(store, monkeypatch, tmp_path):
    """moto's, in a process of its own."""
    code = (
        "import sys, moto.server as m; s = m.ThreadedMotoServer('127.0.0.1', 0, verbose=False); s.start(); "
        "print(s.get_host_and_port()[1], flush=True); sys.stdin.read()"
    )
    moto = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=children.environment(),
    )
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{int(moto.stdout.readline())}")
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="photos")
        objects = {f"a/ü {number}+x.jpg": os.urandom(3000) for number in range(3)}
        for key, data in objects.items():
            client.put_object(Bucket="photos", Key=key, Body=data)
        transfers = Transfers(None, most_at_once=8, seconds=children.LIMIT)
        listed = transfers.listing("s3://photos/a/")
        assert [one.url for one in listed] == [f"s3://photos/{key}" for key in sorted(objects)]
        for one in listed:
            data = objects[one.url.removeprefix("s3://photos/")]
            assert transfers.stat(one.url) == (3000, one.version)
            assert bytes(transfers.read(one.url, 0, -1, one.size, one.version).wait()) == data
            assert bytes(transfers.read(one.url, 10, 100, one.size, one.version).wait()) == data[10:110]
        client.put_object(Bucket="photos", Key=next(iter(objects)), Body=os.urandom(3000))
        with pytest.raises(OSError, match="has changed"):
            transfers.read(f"s3://photos/{next(iter(objects))}", 5, 6, 3000, listed[0].version).wait()
        transfers.end()
    finally:
        moto.kill()
        moto.communicate()


def test_a_store_through_obstore(store, monkeypatch):
    """As Google's and Azure's are read; here it is asked for S3."""
    server, folder = store
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    far = ObjectStore(Bucket.of("s3://bucket/"))
    listed = list(far.list("s3://bucket/train/class0/"))
    assert [one.url for one in listed] == sorted(one.url for one in listed) and len(listed) == 8
    one = listed[0]
    data = (folder / one.url.removeprefix("s3://bucket/train/")).read_bytes()
    whole, part = (far.get(one.url, *which, one.version, Attempt()) for which in ((0, -1), (5, 20)))
    assert (bytes(whole.data), whole.size, whole.version) == (data, len(data), one.version)
    assert (bytes(part.data), part.size) == (data[5:25], len(data))
    with pytest.raises(Trouble, match="no such object") as missing:
        far.get("s3://bucket/train/none", 0, -1, "", Attempt())
    assert not missing.value.passes
    server.fails({"kind": "changed"})
    with pytest.raises(Trouble, match="has changed"):
        far.get(one.url, 0, 5, one.version, Attempt())
    server.fails({"kind": "error", "code": 503})
    with pytest.raises(Trouble) as passing:
        far.get(one.url, 0, 5, one.version, Attempt())
    assert passing.value.passes
