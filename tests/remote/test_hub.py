"""hf:// against a server that speaks the hub's tree and resolve, and gives files from another place, as the hub does: large ones by
their content, whose hash the hub says."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
import torch
import torchvision.transforms as T
from stores import stay_here

import fastload
from fastload import DataLoader, ImageFolder, WebDataset
from fastload.conversion import convert
from images import write_folder

DATA = "hf://datasets/org/name@refs%2Fpr%2F1/"
TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.ToTensor()])


class Hub(BaseHTTPRequestHandler):
    """``server.files`` by path within org/name; what each request said is kept in ``server.asked``."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        parts = urlsplit(self.path)
        self.server.asked.append((parts.path, self.headers.get("Authorization")))
        listing, resolve = "/api/datasets/org/name/tree/refs/pr/1/", "/datasets/org/name/resolve/refs/pr/1/"
        path = unquote(parts.path)
        if path.startswith(listing):
            below = path.removeprefix(listing)
            found = [name for name in sorted(self.server.files) if name.startswith(below + "/")]
            entries = [self._entry(name, self.server.files[name]) for name in found]
            half = len(entries) // 2
            if "cursor" not in parts.query:  # two pages
                link = f'<http://127.0.0.1:{self.server.server_port}{parts.path}?recursive=true&cursor=2>; rel="next"'
                self._answer(200, json.dumps(entries[:half]).encode(), Link=link)
            else:
                self._answer(200, json.dumps([{"type": "directory", "path": below}, *entries[half:]]).encode())
        elif path.startswith(resolve) and path.removeprefix(resolve) in self.server.files:
            if self.headers.get("Authorization") != "Bearer sesame":
                self._answer(401, b"")
                return
            data = self.server.files[path.removeprefix(resolve)]
            if is_small(data):
                self._file(data, ETag=f'W/"{git_hash(data)}"')
            else:
                self.server.cdn.files[sha256(data)] = data  # and what was there before stays
                at = f"http://127.0.0.1:{self.server.cdn.server_port}/{sha256(data)}?X-Signature=SECRET"
                self._answer(
                    302, b"", Location=at, **{"X-Linked-Etag": f'"{sha256(data)}"', "ETag": '"of the pointer"'}
                )
        elif path.removeprefix("/") in self.server.files:
            self._file(self.server.files[path.removeprefix("/")], ETag=f'"elsewhere-{path[1:9]}"')
        else:
            self._answer(404, b"")

    def _entry(self, name, data):
        entry = {"type": "file", "path": name, "size": len(data), "oid": git_hash(data)}
        return entry if is_small(data) else {**entry, "oid": "f" * 40, "lfs": {"oid": sha256(data), "size": len(data)}}

    def _file(self, data, **headers):
        said = self.headers.get("Range")
        if said is None:
            self._answer(200, data, **headers)
            return
        first, last = said.removeprefix("bytes=").split("-")
        part = data[int(first) : int(last) + 1 if last else None]
        where = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
        self._answer(206, part, **headers, **{"Content-Range": where})

    def _answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_small(data):
    """Kept in git itself: here images, and tars are not."""
    return data.startswith(b"\xff\xd8")


def served(files, cdn=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    server.files, server.asked, server.cdn = files, [], cdn
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The hub, the place that it sends to, and a folder with the same shards."""
    stay_here(monkeypatch)
    folder = tmp_path / "set"
    convert(write_folder(tmp_path / "folder", classes=2, images=4), folder, "webdataset", shard_size=30_000)
    files = {f"data/{path.name}": path.read_bytes() for path in folder.glob("*.tar")}
    for path in folder.parent.joinpath("folder").rglob("*.*"):
        files[f"train/{path.parent.name}/{path.name}"] = path.read_bytes()
    cdn = served({})
    server = served(files, cdn)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "sesame")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("fastload.remote.transfers_here._here", [])
    yield server, cdn, folder
    for one in (server, cdn):
        one.shutdown()
        one.server_close()


def batches(dataset):
    torch.manual_seed(1)
    return list(DataLoader(dataset, batch_size=4, shuffle=True))


def test_shards_of_the_hub_are_those_of_a_folder(hub):
    server, cdn, folder = hub
    there, near = WebDataset("hf://datasets/org/name@refs%2Fpr%2F1/data/", TRANSFORM), WebDataset(folder, TRANSFORM)
    assert len(there.samples.sample_index.shards) > 1 and there.targets == near.targets
    for mine, theirs in zip(batches(there), batches(near), strict=True):
        assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])
    assert {token for _, token in server.asked} == {"Bearer sesame"}
    assert {token for _, token in cdn.asked} == {None}  # the token goes to the hub alone
    resolved = [path for path, _ in server.asked if "/resolve/" in path]
    assert len(resolved) < len(cdn.asked)  # where a file is, is remembered


def test_what_the_hub_refuses(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(PermissionError, match="not allowed, with the credentials") as raised:
        WebDataset("hf://datasets/org/name@refs%2Fpr%2F1/data/000000.tar")
    assert "wrong" not in str(raised.value)
    monkeypatch.setenv("HF_TOKEN", "sesame")
    with pytest.raises(FileNotFoundError, match=r"hf://datasets/org/name@refs%2Fpr%2F1/data/nosuch\.tar"):
        fastload.WebDataset("hf://datasets/org/name@refs%2Fpr%2F1/data/nosuch.tar")


@pytest.mark.parametrize("is_large", [True, False])
def test_a_file_that_is_replaced_is_an_error_and_no_other_image(hub, monkeypatch, is_large):
    """Of the same size; the hub is asked again once what it said before is old."""
    server, _, _ = hub
    monkeypatch.setattr("fastload.remote.http_store._REDIRECT_SECONDS", -1.0)
    if is_large:
        dataset = WebDataset(f"{DATA}data/000000.tar", TRANSFORM)
        name, first = "data/000000.tar", dataset[0]
    else:
        dataset = ImageFolder(f"{DATA}train", TRANSFORM)
        name, first = dataset.samples[0][0].url.removeprefix(DATA), dataset[0]
    old = server.files[name]
    assert is_small(old) is not is_large and first[0].shape == (3, 16, 16)
    server.files[name] = old[:-1] + bytes([old[-1] ^ 1])
    with pytest.raises(OSError, match="has changed since it was listed or indexed") as raised:
        dataset[0]
    assert name in str(raised.value) and "SECRET" not in str(raised.value)
    with pytest.raises(OSError, match="has changed"):
        next(iter(DataLoader(dataset, batch_size=1)))
    server.files[name] = old
    dataset[0]


def test_what_was_remembered_of_a_replaced_file_is_forgotten(hub):
    """The old bytes go on while the hub need not be asked; a data set that is opened anew sees the new ones."""
    server, _, _ = hub
    url, name = f"{DATA}data/000000.tar", "data/000000.tar"
    before = WebDataset(url, TRANSFORM)
    sizes = {len(data) for data in server.files.values()}
    server.files[name] = server.files["data/000001.tar"]
    after = WebDataset(url, TRANSFORM)
    assert len(sizes) > 1 and [after.samples[i][0].read() for i in range(len(after))] == [
        one.read() for one, _ in WebDataset(f"{DATA}data/000001.tar").samples
    ]
    with pytest.raises(OSError, match="has changed"):
        before[0]


def test_a_mirror_whose_etags_are_no_hashes_is_read(hub, monkeypatch):
    dataset = ImageFolder(f"{DATA}train", TRANSFORM)
    monkeypatch.setitem(globals(), "git_hash", lambda data: "of the mirror")
    assert dataset[0][0].shape == (3, 16, 16)
