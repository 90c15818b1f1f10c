"""gs:// and az:// where there are no credentials: what is looked for, said at once."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from stores import stay_here

from children import LIMIT
from fastload import ImageFiles, WebDataset

pytest.importorskip("obstore")
URLS = {"gs": "gs://bucket/photos/", "az": "az://container/photos/"}
KEYS = {"gs": "GOOGLE_APPLICATION_CREDENTIALS", "az": "AZURE_STORAGE_ACCOUNT_KEY"}
PUBLIC = {"gs": "GOOGLE_SKIP_SIGNATURE", "az": "AZURE_SKIP_SIGNATURE"}


@pytest.fixture(autouse=True)
def nothing(monkeypatch, tmp_path):
    """No credentials; all requests go to a port where nobody is."""
    stay_here(monkeypatch, "GOOGLE_", "AZURE_", "IDENTITY_", "MSI_", "NO_PROXY", "no_proxy")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("fastload.remote.transfers_here._here", [])
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        sent_to(monkeypatch, nobody.getsockname()[1])
        yield


def sent_to(monkeypatch, port):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")


def refused(scheme):
    """What is said of a listing; of an object, it is the same."""
    with pytest.raises(PermissionError) as raised:
        ImageFiles(URLS[scheme])
    with pytest.raises(PermissionError) as of_object:
        WebDataset(URLS[scheme] + "a.tar")
    said = str(raised.value)
    assert str(of_object.value).partition(": ")[2] == said.partition(": ")[2]
    assert URLS[scheme] in said and KEYS[scheme] in said and PUBLIC[scheme] in said and "attempts" not in said
    return said


@pytest.mark.parametrize("scheme", URLS)
def test_nothing_is_set_and_nobody_answers(scheme):
    assert "no metadata server answers here" in refused(scheme)


@pytest.mark.parametrize("scheme", URLS)
def test_a_metadata_server_that_never_answers_is_not_waited_for(monkeypatch, scheme):
    monkeypatch.setattr("fastload.remote.cloud_credentials._METADATA_SECONDS", 0.1)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    with socket.create_server(("127.0.0.1", 0)) as hole:
        sent_to(monkeypatch, hole.getsockname()[1])
        assert "no metadata server answers here" in refused(scheme)


@pytest.mark.parametrize("scheme", URLS)
def test_a_metadata_server_without_a_token(monkeypatch, scheme):
    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    monkeypatch.setattr("fastload.remote.cloud_credentials._METADATA_SECONDS", LIMIT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sent_to(monkeypatch, server.server_port)
        assert "the metadata server of this machine gives none" in refused(scheme)
        server.shutdown()


@pytest.mark.parametrize(
    ("scheme", "variables", "why"),
    [
        ("gs", {"GOOGLE_APPLICATION_CREDENTIALS": "/no/such.json"}, "cannot open the service account file from /no/such.json"),
        ("gs", {"GOOGLE_SERVICE_ACCOUNT": "/no/such.json"}, "cannot open the service account file from /no/such.json"),
        ("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": "hunter2"}, "the credentials cannot be used"),
        ("az", {"AZURE_STORAGE_ACCOUNT_KEY": "hunter2"}, "no storage account is named"),
        ("az", {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "hunter2!!"}, "the credentials cannot be used"),
        ("az", {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_USE_AZURE_CLI": "true"}, "`az` gives no token"),
    ],
)  # fmt: skip
def test_credentials_that_cannot_be_used(monkeypatch, scheme, variables, why):
    monkeypatch.setenv("PATH", "/no/such")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    said = refused(scheme)
    assert why in said and "hunter2" not in said
