"""Images that lie in an object store make the batches of the same images in a folder, whatever goes wrong on the way."""

from __future__ import annotations

import os
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader as StockLoader
from torchvision.datasets import ImageFolder as PlainFolder

import fastload
from children import environment, run_script
from fastload import DataLoader, DecodeError, ImageFiles, ImageFolder
from fastload.datasets import ShardedImages
from fastload.remote import RemoteObject, transfers
from fastload.remote.cache_on_disk import disk_cache
from fastload.shards import SampleColumns, SampleIndex, Shard
from fastload.shards.index_file import text_column
from images import jpeg_bytes

TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.RandomHorizontalFlip(), T.ToTensor()])
IN_PYTHON = T.Compose([T.Resize((16, 16)), T.ToTensor(), T.Lambda(torch.neg)])
URL = "s3://bucket/train"


def batches(kind, dataset, **options):
    torch.manual_seed(5)
    return list(kind(dataset, **{"batch_size": 5, "shuffle": True, **options}))


def assert_equal(ours, plain):
    assert len(ours) == len(plain)
    for (images, targets), (images_plain, targets_plain) in zip(ours, plain, strict=True):
        assert torch.equal(images, images_plain) and torch.equal(targets, targets_plain)


@pytest.mark.parametrize("transform", [TRANSFORM, IN_PYTHON], ids=["threads", "workers"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_those_of_the_folder(store, transform, num_workers):
    _, folder = store
    plain, far = PlainFolder(str(folder), transform), ImageFolder(URL, transform)
    assert far.classes == plain.classes and far.targets == plain.targets
    expected = batches(StockLoader, plain, num_workers=num_workers)
    assert_equal(batches(DataLoader, far, num_workers=num_workers), expected)
    loader = DataLoader(far)
    assert "remote: samples are asked for when their batch is" in loader.explain()
    if transform is TRANSFORM:
        list(loader)
        assert loader.stats()["remote"]["bytes"] > 0
        assert_equal(batches(StockLoader, pickle.loads(pickle.dumps(far)), num_workers=num_workers), expected)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "error", "code": 500, "share": 0.3},
        {"kind": "error", "code": 429, "seconds": 0.2, "times": 4},
        {"kind": "cut", "at": 300, "share": 0.3},
        {"kind": "cut", "at": 0, "share": 0.3},
        {"kind": "short", "at": 10, "share": 0.3},
        {"kind": "hang", "seconds": 600, "times": 3},
        {"kind": "no_length"},
    ],
    ids=lambda rule: f"{rule['kind']}-{rule.get('code', rule.get('at', ''))}",
)
def test_no_sample_is_lost_where_requests_fail(store, rule, second_requests):
    server, folder = store
    far = ImageFolder(URL, TRANSFORM)
    server.fails(rule)
    ours = batches(DataLoader, far, num_workers=2)
    assert server.counts()["faults"] > 0
    server.fails()
    assert_equal(ours, batches(StockLoader, PlainFolder(str(folder), TRANSFORM), num_workers=2))


def test_urls_and_paths_side_by_side(store):
    server, folder = store
    paths = sorted(str(path) for path in folder.rglob("*.*") if path.suffix != ".txt")
    mixed = [
        path if number % 2 else f"{server.http}/bucket/train{path.removeprefix(str(folder))}?key=of-somebody"
        for number, path in enumerate(paths)
    ]
    targets = list(range(len(paths)))
    far, near = ImageFiles(mixed, targets, TRANSFORM), ImageFiles(paths, targets, TRANSFORM)
    assert_equal(batches(DataLoader, far, num_workers=2), batches(DataLoader, near, num_workers=2))
    assert torch.equal(far[0][0] * 0, near[0][0] * 0)
    assert "of-somebody" not in repr(far.samples[0]) + str(far.samples[0][0].name)


def test_what_lies_below_a_url_is_listed_once(store):
    server, folder = store
    names = [one.url for one, _ in ImageFiles(f"{URL}/").samples]
    assert names == sorted(names) and len(names) == 24
    server.fails()
    assert len(ImageFiles(f"{URL}/")) == 24
    assert server.counts()["requests"] == 0
    assert len(ImageFiles(f"{URL}/", refresh=True)) == 24
    assert server.counts()["requests"] == 1
    with pytest.raises(FileNotFoundError, match="s3://bucket/nothing"):
        ImageFiles("s3://bucket/nothing/")


def index_of(url, folder, tmp_path):
    """An index of all images in one object, which is put beside them."""
    paths = sorted(path for path in folder.rglob("*.*") if path.suffix != ".txt")
    lengths = torch.tensor([path.stat().st_size for path in paths]).numpy()
    starts, names = text_column([path.name for path in paths])
    columns = SampleColumns(
        torch.zeros(len(paths), dtype=torch.int32).numpy().astype("u4"),
        lengths.cumsum() - lengths,
        lengths,
        starts,
        names,
        torch.arange(len(paths)).numpy(),
    )
    return SampleIndex("test", [Shard.of(url)], columns), [str(path) for path in paths]


@pytest.fixture(scope="session")
def shard(served, tmp_path_factory):
    """A store with one object of all images."""
    from stores import ObjectServer

    _, folder = served
    root = tmp_path_factory.mktemp("shards")
    (root / "bucket").mkdir()
    paths = sorted(path for path in folder.rglob("*.*") if path.suffix != ".txt")
    (root / "bucket" / "one.bin").write_bytes(b"".join(path.read_bytes() for path in paths))
    server = ObjectServer(root)
    yield server
    server.end()


@pytest.mark.parametrize("kind", ["", "ignore_range", "wrong_range", "hang", "cut"])
def test_samples_of_a_shard(store, shard, monkeypatch, kind, tmp_path, second_requests):
    _, folder = store
    monkeypatch.setenv("AWS_ENDPOINT_URL", shard.http)
    monkeypatch.setattr("fastload.remote.transfers_here._here", [])  # with connections of its own
    shard.fails()
    index, paths = index_of("s3://bucket/one.bin", folder, tmp_path)
    far, near = ShardedImages(index, TRANSFORM), ImageFiles(paths, range(len(paths)), TRANSFORM)
    shard.fails(*([{"kind": kind, "times": 1, "seconds": 600, "at": 100}] if kind else []))
    assert_equal(batches(DataLoader, far, shuffle=False), batches(DataLoader, near, shuffle=False))
    # Samples that lie near each other come together.
    assert shard.counts()["requests"] < len(paths)


def test_an_object_that_changed_is_an_error(store, shard, monkeypatch, tmp_path):
    _, folder = store
    monkeypatch.setenv("AWS_ENDPOINT_URL", shard.http)
    monkeypatch.setattr("fastload.remote.transfers_here._here", [])
    shard.fails()
    index, paths = index_of("s3://bucket/one.bin", folder, tmp_path)
    shard.fails({"kind": "changed"})
    with pytest.raises(fastload.ReadError, match=r"one\.bin.*has changed"):
        batches(DataLoader, ShardedImages(index, TRANSFORM))
    transfers().end()


@pytest.mark.parametrize(("code", "kind"), [(404, FileNotFoundError), (403, PermissionError), (418, OSError)])
def test_what_cannot_be_had_says_why_and_no_secret(store, code, kind):
    server, folder = store
    name = next(folder.rglob("*.jp*g")).relative_to(folder)
    far = ImageFiles([f"{server.http}/bucket/train/{name}?X-Amz-Signature=verysecret"], transform=TRANSFORM)
    server.fails({"kind": "error", "code": code})
    with pytest.raises(fastload.ReadError, match=str(code)) as caught:
        next(iter(DataLoader(far)))
    assert isinstance(caught.value, kind)
    assert str(name) in str(caught.value) and "verysecret" not in str(caught.value)
    loader = DataLoader(ImageFiles([*far.samples._table[0:1][0][:1]], transform=TRANSFORM), on_error="skip")
    with pytest.raises(fastload.ReadError):
        list(loader)


def test_what_is_dropped_waits_for_nothing(store):
    """The store does not answer; neither an iterator nor the process waits for it."""
    server, _ = store
    ImageFolder(URL)
    server.fails({"kind": "hang", "seconds": 600})
    done = run_script(
        """
        import fastload, torchvision.transforms as T
        far = fastload.ImageFolder("s3://bucket/train", T.Compose([T.Resize((8, 8)), T.ToTensor()]))
        iterator = iter(fastload.DataLoader(far, batch_size=4, num_workers=2))
        del iterator
        iterator = iter(fastload.DataLoader(far, batch_size=4, num_workers=2))
        print("ends")
        """,
        env=environment(**{k: v for k, v in os.environ.items() if k.startswith(("AWS_", "XDG_"))}),
    )
    assert (done.stdout, done.returncode) == ("ends\n", 0), done.stderr


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("on_disk", [False, True])
def test_what_was_no_image_is_asked_for_again(num_workers, on_disk, tmp_path, monkeypatch):
    """Nothing of a sample that failed is kept for the next who asks, neither on the disk nor by what still holds the error."""
    if on_disk:
        monkeypatch.setenv("FASTLOAD_REMOTE_CACHE", str(tmp_path / "cache"))
    bodies = [b"<html>sign in first</html>", jpeg_bytes(40, 30)]

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(bodies[0])))
            self.end_headers()
            self.wfile.write(bodies[0])

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        dataset = ImageFiles([f"http://127.0.0.1:{server.server_port}/0.jpg"], [7], TRANSFORM)
        try:
            with pytest.raises(DecodeError, match="cannot identify image file") as held:
                list(DataLoader(dataset, num_workers=num_workers))
            if on_disk:
                disk_cache().flush()
            del bodies[0]
            (batch,) = DataLoader(dataset, num_workers=num_workers)
        finally:
            server.shutdown()
    del held
    assert batch[1].tolist() == [7]


def test_ctrl_c_while_nothing_comes(store):
    server, _ = store
    ImageFolder(URL)
    server.fails({"kind": "hang", "seconds": 600})
    done = run_script(
        """
        import fastload, torch, torchvision.transforms as T
        from waiting import interrupted_in
        steps = [T.Resize((8, 8)), T.ToTensor()]
        for more, workers in ((), 0), ((), 2), ((T.Lambda(torch.neg),), 0):
            far = fastload.ImageFolder("s3://bucket/train", T.Compose([*steps, *more]))
            iterator = iter(fastload.DataLoader(far, batch_size=4, num_workers=workers))
            try:
                with interrupted_in():
                    next(iterator)
            except KeyboardInterrupt:
                print("interrupted")
        """,
        warnings=[("ignore", "UserWarning")],
        env=environment(**{k: v for k, v in os.environ.items() if k.startswith(("AWS_", "XDG_"))}),
    )
    assert done.stdout == "interrupted\n" * 3, done.stderr


def test_a_forked_process_reads_on(store):
    """With the parent's threads and connections gone."""
    _, folder = store
    far = ImageFolder(URL, IN_PYTHON)
    first = far.samples[0][0]
    data = first.read()
    assert data == next(iter(sorted(folder.rglob("*.*")))).read_bytes() or len(data) > 0
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if RemoteObject(first.url).read() == data and first.read() == data else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
