"""A bucket of images, and the same images in a folder."""

from __future__ import annotations

import pytest
from stores import ObjectServer, stay_here

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
