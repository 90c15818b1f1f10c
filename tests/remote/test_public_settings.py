"""What users set and ask of what lies afar: a listing that is made anew, how many requests go at once."""

from __future__ import annotations

import torchvision.transforms as T

import fastload

URL = "s3://bucket/train"


def test_a_folder_is_listed_anew_when_that_is_asked(store):
    server, _ = store
    assert len(fastload.ImageFolder(URL)) == 24
    server.fails()
    assert len(fastload.ImageFolder(URL)) == 24 and server.counts()["requests"] == 0
    fastload.ImageFolder.refresh(URL)
    assert server.counts()["requests"] == 1


def test_so_many_requests_at_once_as_the_environment_says(store, monkeypatch):
    monkeypatch.setenv("FASTLOAD_REMOTE_REQUESTS", "7")
    monkeypatch.setattr("fastload.remote.transfers_here._here", [])
    dataset = fastload.ImageFolder(URL, T.Compose([T.RandomResizedCrop(16), T.ToTensor()]))
    loader = fastload.DataLoader(dataset, batch_size=24)
    assert "up to 7 requests at once" in loader.explain()
    ((images, _),) = loader
    assert len(images) == 24
    from fastload.remote import transfers

    transfers().end()
