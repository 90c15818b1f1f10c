"""A bucket of images, and the same images in a folder."""

from __future__ import annotations

import pytest
from stores import ObjectServer, stay_here

from fastload.remote.pace import Pace
from images import write_folder


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """The server, and the folder of class folders that is ``s3://bucket/train``."""
    root = tmp_path_factory.mktemp("store")
    folder = write_folder(root / "bucket" / "train", classes=3, images=8)
    folder.joinpath("notes.txt").write_text("no image")
    server = ObjectServer(root)
    yield server, folder
    server.end()


@pytest.fixture
def second_requests():
    """Late requests are sent a second time, as they are for users."""


@pytest.fixture(autouse=True)
def one_request_each(request, monkeypatch):
    """On a busy machine any request may be late. So none is sent twice, here or in what is forked here, where requests are counted;
    whoever is about those that never come asks for ``second_requests``."""
    if "second_requests" not in request.fixturenames:
        monkeypatch.setattr(Pace, "most_hedges", lambda pace: 0)


@pytest.fixture
def few_attempts(monkeypatch):
    """What fails for good does so soon, and not because of the time that it takes."""
    monkeypatch.setattr("fastload.remote.transfer_threads._MOST_FAILURES", 3)


@pytest.fixture
def store(served, monkeypatch, tmp_path):
    """The same, which fails at nothing yet, with what was listed before forgotten."""
    stay_here(monkeypatch)
    server, folder = served
    server.fails()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.http)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "verysecret")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return server, folder


@pytest.fixture
def far(store, own_store, monkeypatch):
    """The module's ``own_store``, a server and a folder of it, asked in the store's place by connections of its own."""
    server, folder = own_store
    server.fails()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.http)
    monkeypatch.setattr("fastload.remote.transfers_here._here", [])
    return server, folder
