"""Entry points of what lies in an object store: batches are torch's with them, and another object has no use of them."""

from __future__ import annotations

import shutil

import pytest
import torch
import torch.utils.data
import torchvision.transforms as T
from click.testing import CliRunner
from stores import ObjectServer
from torchvision.datasets import ImageFolder as PlainFolder

import fastload
from fastload.commands import main
from fastload.engine import file_dataset_of
from fastload.entries import make_entries, parts_of, roots_of
from fastload.remote import disk_cache
from fastload.shards import Record
from images import jpeg_bytes, of_size

TRAIN = T.Compose([T.RandomResizedCrop(32), T.RandomHorizontalFlip(), T.ToTensor()])
EVAL = T.Compose([T.Resize(40), T.CenterCrop(32), T.ToTensor()])
URL = "s3://bucket/photos"
COUNT = 8


def written(root, *numbers):
    """A bucket with a folder of baseline JPEGs of one class and a tar of the same."""
    folder = root / "bucket" / "photos"
    (folder / "a").mkdir(parents=True)
    records = []
    for place, number in enumerate(numbers):
        data = jpeg_bytes(number, 70, 60, form=0)
        (folder / "a" / f"{place}.jpg").write_bytes(data)
        records.append(Record(f"a/{place}.jpg", data, 0, "a"))
    fastload.write_tar(root / "bucket" / "photos.tar", records, ["a"])
    return folder


@pytest.fixture(scope="module")
def own_store(tmp_path_factory):
    root = tmp_path_factory.mktemp("own")
    folder = written(root, *range(COUNT))
    server = ObjectServer(root)
    yield server, folder
    server.end()


def sources():
    return {
        "folder": lambda transform: fastload.ImageFolder(URL, transform),
        "tar": lambda transform: fastload.WebDataset(f"{URL}.tar", transform),
    }


def assert_as_torch(dataset, folder, count=1, transform=TRAIN, **options):
    """The loader, which gave the batches that torch gives of the folder."""
    common = {"batch_size": 3, "shuffle": True}
    torch.manual_seed(5)
    wanted = [list(torch.utils.data.DataLoader(PlainFolder(folder, transform), **common)) for _ in range(count)]
    torch.manual_seed(5)
    loader = fastload.DataLoader(dataset, **common, **options)
    for of_epoch in wanted:
        got = list(loader)
        assert len(got) == len(of_epoch)
        for (images, targets), (own, own_targets) in zip(of_epoch, got, strict=True):
            assert torch.equal(images, own) and torch.equal(targets, own_targets)
    return loader


def used(loader):
    return loader.stats()["entries"]


@pytest.mark.parametrize("source", sources())
def test_what_was_decoded_is_entered_later(far, source):
    _, folder = far
    open_source = sources()[source]
    loader = assert_as_torch(open_source(EVAL), folder, transform=EVAL)
    assert used(loader) == {"used": 0, "made": COUNT, "ignored": 0}
    del loader  # whose log is its own
    loader = assert_as_torch(open_source(TRAIN), folder, 2)
    assert used(loader) == {"used": COUNT, "made": 0, "ignored": 0}
    assert f"{COUNT} of {COUNT} samples have entry points" in loader.explain()


@pytest.mark.parametrize("source", sources())
@pytest.mark.parametrize("options", [{"num_workers": 2}, {"num_workers": 2, "worker_init_fn": int}])
def test_all_at_once(far, source, options):
    server, folder = far
    dataset = sources()[source](TRAIN)
    files = file_dataset_of(dataset)
    assert make_entries(files, 16).made == COUNT
    server.fails()
    again = make_entries(files, 16)
    assert (again.made, again.known, server.counts()["requests"]) == (0, COUNT, 0)  # nothing was fetched for it
    assert make_entries(files, 4).made == COUNT  # other ones
    assert used(assert_as_torch(sources()[source](EVAL), folder, 2, EVAL))["used"] == COUNT
    torch.manual_seed(5)
    loader = fastload.DataLoader(dataset, batch_size=3, shuffle=True, multiprocessing_context="fork", **options)
    torch.manual_seed(5)
    stock = torch.utils.data.DataLoader(PlainFolder(folder, TRAIN), batch_size=3, shuffle=True, **options)
    torch.manual_seed(6)
    wanted = [images for images, _ in stock]
    torch.manual_seed(6)
    assert all(torch.equal(one, images) for one, (images, _) in zip(wanted, loader, strict=True))
    assert used(loader)["used"] == COUNT


@pytest.mark.parametrize("kind", ["encoded", "decoded"])
def test_with_a_ram_cache(far, kind):
    """What is kept encoded is entered, too; of an object whose version is known nothing is fetched for it."""
    server, folder = far
    dataset = fastload.ImageFolder(URL, TRAIN)
    make_entries(file_dataset_of(dataset), 16)
    loader = assert_as_torch(dataset, folder, 1, cache=kind)
    server.fails()
    assert used(loader)["used"] == (COUNT if kind == "encoded" else 0)  # a cache of pixels that fills wants all of them
    list(loader)
    assert server.counts()["requests"] == 0 and used(loader)["used"] == (COUNT if kind == "encoded" else 0)


def test_with_the_disk_cache(far, monkeypatch, tmp_path):
    server, folder = far
    monkeypatch.setenv("FASTLOAD_REMOTE_CACHE", str(tmp_path / "disk"))
    loader = assert_as_torch(fastload.ImageFolder(URL, EVAL), folder, transform=EVAL)
    assert used(loader)["made"] == COUNT
    disk_cache().flush()
    server.fails()
    del loader
    loader = assert_as_torch(fastload.ImageFolder(URL, TRAIN), folder, 2)
    assert used(loader)["used"] == COUNT and server.counts()["requests"] == 0
    # A copy that another program wrote to is read for what it is.
    for path in (tmp_path / "disk").glob("??/*"):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2] + b"\x12\x34" + data[len(data) // 2 + 2 :])
    loader = fastload.DataLoader(fastload.ImageFolder(URL, EVAL), batch_size=COUNT, on_error="skip")
    list(loader)
    assert used(loader)["used"] == 0 and used(loader)["ignored"] == COUNT


@pytest.mark.parametrize("listed", [True, False])
def test_another_object_under_the_same_name(tmp_path, store, monkeypatch, listed):
    """With another ETag, or where none was told, with other bytes."""
    written(tmp_path / "first", *range(COUNT))
    later = written(tmp_path / "later", 20, 21, *range(2, COUNT))
    for version, root in (("first", tmp_path / "first"), ("later", tmp_path / "later")):
        server = ObjectServer(root)
        try:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.http)
            monkeypatch.setattr("fastload.remote.transfers_here._here", [])
            if listed:
                fastload.ImageFolder.refresh(URL)
                dataset = fastload.ImageFolder(URL, EVAL)
            else:
                dataset = fastload.ImageFiles([f"{URL}/a/{n}.jpg" for n in range(COUNT)], [0] * COUNT, EVAL)
            loader = assert_as_torch(dataset, root / "bucket" / "photos", transform=EVAL)
        finally:
            server.end()
        expected = {"used": 0, "made": COUNT, "ignored": 0}
        figures = used(loader)
        del loader
        assert figures == (expected if version == "first" else {"used": COUNT - 2, "made": 2, "ignored": 2})
    assert later.exists()


def test_one_etag_for_two_objects(tmp_path, store, monkeypatch):
    """A store that says of other bytes that nothing changed is not believed."""
    first, later = (jpeg_bytes(number, 70, 60, form=0) for number in (0, 1))
    size = max(len(first), len(later)) + 8
    padded = [of_size(data, size) for data in (first, later)]
    for number, body in enumerate(padded):
        root = tmp_path / str(number)
        (root / "bucket" / "photos" / "a").mkdir(parents=True)
        (root / "bucket" / "photos" / "a" / "0.jpg").write_bytes(body)
        server = ObjectServer(root, "--etag", '"the-same"')
        try:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.http)
            monkeypatch.setattr("fastload.remote.transfers_here._here", [])
            dataset = fastload.ImageFolder(URL, EVAL)
            loader = assert_as_torch(dataset, root / "bucket" / "photos", transform=EVAL)
        finally:
            server.end()
        assert used(loader) == {"used": 0, "made": 1, "ignored": number}
        del loader


def test_no_secret_and_no_query_in_what_is_kept(far, tmp_path):
    """A signature that is another tomorrow finds the entry points of today; none is written down."""
    server, folder = far
    files = sorted((folder / "a").iterdir())
    figures = []
    for signature in ("verysecret1", "verysecret2"):
        base = f"{server.http.replace('//', '//user:hidden@')}/bucket/photos/a"
        urls = [f"{base}/{path.name}?X-Sig={signature}" for path in files]
        loader = assert_as_torch(fastload.ImageFiles(urls, [0] * COUNT, EVAL), folder, transform=EVAL)
        figures.append(used(loader)["used"])
        del loader
    assert figures == [0, COUNT]
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and "entries" in str(path)]
    assert kept
    for path in kept:
        data = path.read_bytes() + str(path).encode()
        assert b"verysecret" not in data and b"hidden" not in data


def test_urls_and_paths_side_by_side(far):
    _, folder = far
    paths = sorted((folder / "a").iterdir())
    mixed = [str(path) if number % 2 else f"{URL}/a/{path.name}" for number, path in enumerate(paths)]
    dataset = fastload.ImageFiles(mixed, [0] * COUNT, EVAL)
    assert len(roots_of([file_dataset_of(dataset)])) == 2
    assert used(assert_as_torch(dataset, folder, transform=EVAL))["made"] == COUNT
    assert used(assert_as_torch(dataset, folder, 2, EVAL))["used"] == COUNT
    assert make_entries(file_dataset_of(dataset), 16).known == COUNT


def test_a_file_of_entry_points_for_another_machine(far, tmp_path):
    _, folder = far
    done = CliRunner().invoke(main, ["index", f"{URL}/", "--entries", str(tmp_path / "entries")])
    assert done.exit_code == 0 and f"entry points: {COUNT} made" in done.output, done.output
    assert parts_of(tmp_path / "entries")[1] == COUNT
    shutil.rmtree(tmp_path / "cache" / "fastload" / "entries")
    dataset = fastload.ImageFolder(URL, TRAIN)
    loader = assert_as_torch(dataset, folder, entries=tmp_path / "entries")
    assert used(loader) == {"used": COUNT, "made": 0, "ignored": 0}


def test_objects_that_cannot_be_had(far):
    """They are counted, and hold nothing up."""
    server, folder = far
    urls = [f"{URL}/a/{path.name}" for path in sorted((folder / "a").iterdir())]
    dataset = fastload.ImageFiles([*urls, f"{URL}/a/none.jpg"], transform=TRAIN)
    server.fails({"kind": "error", "code": 500, "share": 0.3})
    made = make_entries(file_dataset_of(dataset), 16)
    assert (made.made, made.failed) == (COUNT, 1)
