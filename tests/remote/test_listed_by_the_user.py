"""A list of URLs is kept as a listed folder is: each object's version is learned with its first answer, and another is an error."""

from __future__ import annotations

import pickle
import threading
import warnings

import pytest
import torch
import torchvision.transforms as T
from stores import ObjectServer
from torch.utils.data import DataLoader as StockLoader

import fastload
from children import run_script
from fastload import DataLoader, FastloadWarning, ImageFiles
from fastload.remote import RemoteObject, disk_cache
from fastload.remote.addresses import unsigned
from images import jpeg_bytes

COUNT = 8
TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.ToTensor()])
IN_PYTHON = T.Compose([T.Resize((16, 16)), T.ToTensor(), T.Lambda(torch.neg)])


@pytest.fixture(scope="module")
def own_store(tmp_path_factory):
    root = tmp_path_factory.mktemp("own")
    folder = root / "bucket" / "photos"
    folder.mkdir(parents=True)
    for number in range(COUNT):
        (folder / f"{number}.jpg").write_bytes(jpeg_bytes(number, 70, 60, form=0))
    server = ObjectServer(root)
    yield server, folder
    server.end()


def urls(server, query=""):
    return [f"{server.http}/bucket/photos/{number}.jpg{query}" for number in range(COUNT)]


def epoch(dataset, **options):
    loader = options.pop("loader", None) or DataLoader(dataset, batch_size=3, **options)
    torch.manual_seed(3)
    return torch.cat([images for images, _ in loader])


def plain(folder, transform=TRANSFORM, num_workers=0):
    near = ImageFiles([folder / f"{number}.jpg" for number in range(COUNT)], range(COUNT), transform)
    torch.manual_seed(3)
    return torch.cat([images for images, _ in StockLoader(near, batch_size=3, num_workers=num_workers)])


WAYS = [(TRANSFORM, 0), (TRANSFORM, 2), (IN_PYTHON, 0), (IN_PYTHON, 2)]


@pytest.mark.parametrize(("transform", "num_workers"), WAYS, ids=["here", "threads", "in Python", "workers"])
@pytest.mark.parametrize("cache", ["encoded", "decoded"])
def test_kept_in_memory_from_the_first_epoch(far, cache, transform, num_workers):
    """A request a sample in the first epoch, none later: as of a listed folder."""
    server, folder = far
    dataset = ImageFiles(urls(server), range(COUNT), transform)
    loader = DataLoader(dataset, batch_size=3, num_workers=num_workers, cache=cache)
    expected = plain(folder, transform, num_workers)
    for number in range(3):
        server.fails()
        assert torch.equal(epoch(dataset, loader=loader), expected)
        assert server.counts()["requests"] == (COUNT if number == 0 else 0)
    assert loader.stats()["cache"]["samples"] == COUNT


def test_loaders_share_what_is_kept(far):
    server, folder = far
    dataset = ImageFiles(urls(server), range(COUNT), TRANSFORM)
    loader = DataLoader(dataset, batch_size=3, cache="encoded")
    epoch(dataset, loader=loader)
    server.fails()
    other = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(epoch(other, cache="encoded"), plain(folder))
    again = ImageFiles(urls(server), range(COUNT), TRANSFORM)
    assert torch.equal(epoch(again, cache="encoded"), plain(folder))
    assert server.counts()["requests"] == 0


@pytest.mark.parametrize(("transform", "num_workers"), WAYS[::3], ids=["here", "workers"])
def test_kept_on_a_disk_for_later_runs(far, tmp_path, monkeypatch, transform, num_workers):
    server, _ = far
    monkeypatch.setenv("FASTLOAD_REMOTE_CACHE", str(tmp_path / "disk"))
    first = epoch(ImageFiles(urls(server), range(COUNT), transform), num_workers=num_workers)
    disk_cache().flush()
    server.fails()
    dataset = ImageFiles(urls(server), range(COUNT), transform)
    assert torch.equal(epoch(dataset, num_workers=num_workers), first)
    assert server.counts()["requests"] == 0
    source = dataset.samples[2][0]
    assert source.version.startswith('"') and source.size > 0
    dataset = ImageFiles(urls(server), range(COUNT), transform, refresh=True)
    assert torch.equal(epoch(dataset, num_workers=num_workers), first)
    assert server.counts()["requests"] == COUNT


@pytest.mark.parametrize("cache", [None, "encoded"])
@pytest.mark.parametrize(("transform", "num_workers"), WAYS[::3], ids=["here", "workers"])
def test_an_object_that_changes_is_an_error(far, cache, transform, num_workers):
    """One that is kept may be had on, as it was."""
    server, folder = far
    dataset = ImageFiles(urls(server), range(COUNT), transform)
    options = {"cache": cache, "cache_bytes": 12_000} if cache else {}
    loader = DataLoader(dataset, batch_size=4, on_error="skip", num_workers=num_workers, **options)
    epoch(dataset, loader=loader)
    kept = loader.stats()["cache"]["samples"] if cache else 0
    assert (0 < kept < COUNT) if cache else kept == 0
    changed = [1, 6, 7]
    server.fails(*({"match": f"/{number}.jpg", "kind": "changed"} for number in changed))
    for number in range(1, 3):  # and stays one
        epoch(dataset, loader=loader)
        failed = sorted(error.index for error in loader.errors)
        expected = sorted(changed * number)
        assert failed == expected if not cache else len(failed) >= number and set(failed) <= set(changed)
    assert all("has changed since it was listed or indexed, or first read" in error.reason for error in loader.errors)
    del loader, dataset
    server.fails()
    dataset = ImageFiles(urls(server), range(COUNT), transform)
    assert torch.equal(epoch(dataset, num_workers=num_workers), plain(folder, transform, num_workers))


def test_a_later_run_without_a_disk_takes_what_is_there(far):
    server, _ = far
    epoch(ImageFiles(urls(server), range(COUNT), TRANSFORM))
    server.fails({"match": "/3.jpg", "kind": "changed"})
    loader = DataLoader(ImageFiles(urls(server), range(COUNT), TRANSFORM), on_error="skip")
    list(loader)
    (error,) = loader.errors
    assert error.index == 3 and "cannot identify image" in error.reason


def test_a_signature_is_no_part_of_what_is_kept(far, tmp_path, monkeypatch):
    server, folder = far
    monkeypatch.setenv("FASTLOAD_REMOTE_CACHE", str(tmp_path / "disk"))
    for number, signature in enumerate(["one", "two"]):
        server.fails()
        query = f"?X-Amz-Expires=9&X-Amz-Signature={signature}"
        images = epoch(ImageFiles(urls(server, query), range(COUNT), TRANSFORM), cache="encoded")
        assert torch.equal(images, plain(folder))
        disk_cache().flush()
        assert server.counts()["requests"] == (0 if number else COUNT)
    text = b"".join(path.read_bytes() + str(path).encode() for path in tmp_path.rglob("*") if path.is_file())
    assert b"Signature" not in text


def test_one_object_named_twice(far):
    """Has one version, wherever it stands in the list and whoever signed it."""
    server, _ = far
    one = urls(server)[0]
    dataset = ImageFiles([one, *urls(server), f"{one}?Signature=a&Expires=1", f"{one}?part=2"], transform=TRANSFORM)
    list(DataLoader(dataset, batch_size=1))
    first = dataset.samples[0][0]
    assert first.version and first.version == dataset.samples[1][0].version == dataset.samples[COUNT + 1][0].version
    server.fails({"match": "/0.jpg", "kind": "changed", "times": 1})
    with pytest.raises(OSError, match="has changed"):
        dataset.samples[COUNT + 1][0].read()
    server.fails()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_server_without_versions_is_told_of_once(far, tmp_path, monkeypatch, num_workers):
    server, folder = far
    monkeypatch.setenv("FASTLOAD_REMOTE_CACHE", str(tmp_path / "disk"))
    server.fails({"match": ".jpg", "kind": "no_version"})
    dataset = ImageFiles(urls(server), range(COUNT), TRANSFORM)
    loader = DataLoader(dataset, batch_size=3, cache="encoded", num_workers=num_workers)
    assert "neither ETag" not in loader.explain()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", FastloadWarning)
        for _ in range(2):
            assert torch.equal(epoch(dataset, loader=loader), plain(folder, num_workers=num_workers))
    told = [str(one.message) for one in heard if "neither ETag nor Last-Modified" in str(one.message)]
    assert len(told) == 1 and "?" not in told[0]
    assert "says neither ETag nor Last-Modified nothing is kept" in loader.explain()
    assert server.counts()["requests"] == 2 * COUNT
    disk_cache().flush()
    assert [path for path in (tmp_path / "disk").glob("??/*")] == []


def test_a_version_may_be_the_time_of_the_last_change(far):
    """And may be long, or no text that a header takes: then it is compared as it is, and never sent."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    said = ["Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT", 'ETag: W/"weak"', f'ETag: "{"e" * 200}"']
    asked, body = [], jpeg_bytes(1, 40, 30)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("If-Match"))
            name, _, value = said[int(self.path[1])].partition(": ")
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        try:
            dataset = ImageFiles([f"{base}/{number}" for number in range(3)], transform=TRANSFORM)
            loader = DataLoader(dataset, cache="encoded")
            with pytest.warns(FastloadWarning, match="neither ETag"):
                list(loader)
            list(loader)
            assert len(asked) == 4 and set(asked) == {None}
            said[0] = "Last-Modified: Fri, 02 Jan 2026 00:00:00 GMT"
            with pytest.raises(OSError, match="has changed"):
                RemoteObject(f"{base}/0", *dataset.samples._learned.of(0)).read()
        finally:
            server.shutdown()


def test_entry_points_name_the_version(far):
    """So that they are known without a request once it is."""
    from fastload.engine import file_dataset_of
    from fastload.entries import make_entries

    server, _ = far
    dataset = ImageFiles(urls(server), range(COUNT), TRANSFORM)
    made = make_entries(file_dataset_of(dataset), 16)
    assert made.made == COUNT
    server.fails()
    assert make_entries(file_dataset_of(dataset), 16).known == COUNT
    assert server.counts()["requests"] == 0


def test_where_nothing_can_be_written(far, monkeypatch):
    server, folder = far
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    dataset = ImageFiles(urls(server), range(COUNT), TRANSFORM)
    loader = DataLoader(dataset, batch_size=3, cache="encoded")
    for _ in range(2):
        assert torch.equal(epoch(dataset, loader=loader), plain(folder))
    assert server.counts()["requests"] == COUNT


@pytest.mark.parametrize(("transform", "num_workers"), WAYS[:3], ids=["here", "threads", "in Python"])
def test_each_loader_counts_its_own_epoch(far, transform, num_workers):
    server, _ = far
    dataset = ImageFiles(urls(server), range(COUNT), transform)
    loader, other = (DataLoader(dataset, batch_size=3, num_workers=num_workers) for _ in range(2))
    for _ in range(2):
        batches = iter(loader)
        next(batches)
        list(other)
        list(batches)
        size = sum(len(source.read()) for source, _ in dataset.samples)
        told = [one.stats()["remote"] for one in (loader, other)]
        assert all(one["requests"] - one["hedges"] <= COUNT and 0 < one["bytes"] <= size for one in told)
        assert sum(one["requests"] for one in told) >= COUNT  # one that is under way for the other is asked for once
    kept = DataLoader(dataset, batch_size=3, num_workers=num_workers, cache="encoded")
    list(kept)
    assert kept.stats()["remote"]["requests"] >= COUNT
    list(kept)
    assert set(kept.stats()["remote"].values()) == {0}


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_that_come_and_go_learn_for_each_other(far, method):
    server, _ = far
    done = run_script(
        f"""
        import fastload, torchvision.transforms as T
        if __name__ == "__main__":
            steps = [T.Resize((16, 16)), T.ToTensor(), abs]
            far = fastload.ImageFiles({urls(server)!r}, transform=T.Compose(steps))
            loader = fastload.DataLoader(far, num_workers=2, cache="encoded", multiprocessing_context={method!r})
            for _ in range(2):
                list(loader)
            print(all(far.samples[i][0].version for i in range({COUNT})), loader.stats()["cache"]["samples"])
        """
    )
    assert done.stdout == f"True {COUNT}\n", done.stderr
    assert server.counts()["requests"] < 2 * COUNT  # one that is late is sent twice


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("s3://bucket/a?sig=1", "s3://bucket/a?sig=1"),
        ("https://host/a.jpg", "https://host/a.jpg"),
        ("https://me:secret@host/a.jpg", "https://host/a.jpg"),
        ("https://host/a?id=5&X-Amz-Signature=1&x-amz-date=2&versionId=7", "https://host/a?id=5&versionId=7"),
        ("https://host/a?X-Goog-Signature=1&X-Goog-Expires=2", "https://host/a"),
        ("https://host/a?Expires=1&Signature=2&Key-Pair-Id=3", "https://host/a"),
        ("https://host/a?Expires=1&policy=2", "https://host/a?Expires=1&policy=2"),
        ("https://host/a?sv=2020&sr=b&sig=x%3D&page=2", "https://host/a?page=2"),
        ("https://host/a?sv=2020&sr=b", "https://host/a?sv=2020&sr=b"),
        ("https://host/a?", "https://host/a"),
        ("https://host/a@b?c=d@e", "https://host/a@b?c=d@e"),
    ],
)
def test_what_of_a_url_names_the_object(url, left):
    assert unsigned(url) == left


def test_a_list_of_many_is_small(far, tmp_path):
    server, _ = far
    names = [f"{server.http}/bucket/photos/{number}.jpg" for number in range(100_000)]
    dataset = ImageFiles(names)
    assert len(pickle.dumps(dataset.samples._learned)) < 1000
    assert sum(path.stat().st_blocks for path in (tmp_path / "cache").rglob("*.versions")) == 0
    dataset.samples[5][0].read()
    assert dataset.samples[5][0].version and not dataset.samples[COUNT + 1][0].version
    assert fastload.ImageFiles(names).samples[5][0].version == dataset.samples[5][0].version
