"""Shards that lie in an object store are indexed there, and read as those in a folder."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest
import torch
import torchvision.transforms as T
from stores import ObjectServer

import fastload
from fastload import DataLoader, TFRecord, WebDataset
from fastload.remote import remote_stat
from fastload.shards import Record, write_tfrecord
from images import jpeg_bytes

TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.ToTensor()])


@pytest.fixture(scope="module")
def own_store(tmp_path_factory):
    """A store of its own with three tars, and their folder."""
    root = tmp_path_factory.mktemp("tars")
    folder = root / "bucket" / "data"
    folder.mkdir(parents=True)
    for shard in range(3):
        with tarfile.open(folder / f"train-{shard:04}.tar", "w") as tar:
            for number in range(5):
                payload = jpeg_bytes(10 * shard + number, 60 + number, 50)
                for ending, data in (("jpg", payload), ("cls", str(number).encode())):
                    member = tarfile.TarInfo(f"{shard}/{number}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    for part in range(2):
        some = [Record(f"{part}/{n}.jpg", jpeg_bytes(50 + 3 * part + n, 40, 50), n, None) for n in range(3)]
        write_tfrecord(folder / f"part-{part}.tfrecord", some)
    data = (folder / "part-0.tfrecord").read_bytes()
    bad = {"cut": data[:-9], "odd": data[:300] + b"?" + data[301:], "packed": gzip.compress(data)}
    for name, content in bad.items():
        (folder.parent / name).write_bytes(content)
    server = ObjectServer(root)
    yield server, folder
    server.end()


def batches(dataset, **options):
    torch.manual_seed(1)
    return list(DataLoader(dataset, batch_size=4, shuffle=True, **options))


@pytest.mark.parametrize(
    "shards", ["s3://bucket/data/train-{0000..0002}.tar", "s3://bucket/data/train-*.tar", "s3://bucket/data/", "http"]
)
def test_tars(far, shards):
    server, folder = far
    if shards == "http":
        shards = [f"{server.http}/bucket/data/train-{number:04}.tar?sig=verysecret" for number in range(3)]
    ours, plain = WebDataset(shards, TRANSFORM), WebDataset(str(folder), TRANSFORM)
    assert [ours.samples.name(i) for i in range(15)] == [plain.samples.name(i) for i in range(15)]
    for num_workers in (0, 2):
        for one, other in zip(
            batches(ours, num_workers=num_workers), batches(plain, num_workers=num_workers), strict=True
        ):
            assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_the_index_is_made_once_and_holds_no_secret(far, tmp_path):
    server, _ = far
    urls = [f"{server.http}/bucket/data/train-{number:04}.tar?sig=verysecret" for number in range(3)]
    WebDataset(urls)
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert kept and not any(b"verysecret" in path.read_bytes() for path in kept)
    server.fails()
    again = WebDataset([url.replace("verysecret", "another") for url in urls])
    assert server.counts()["requests"] == len(urls)  # what each is now, and no more
    assert again[3][1] == 3 and "another" not in str(again.samples[3][0].name)


def test_a_shard_far_away_that_is_damaged(far, monkeypatch):
    server, folder = far
    server.fails({"kind": "error", "code": 404, "match": "0001"})
    with pytest.raises(FileNotFoundError, match="train-0001"):
        WebDataset("s3://bucket/data/train-{0000..0002}.tar")
    assert remote_stat("s3://bucket/data/train-0000.tar")[0] == (folder / "train-0000.tar").stat().st_size


def test_a_stream(far):
    _, folder = far
    ours, plain = (
        WebDataset.stream(f"{where}/train-{{0000..0002}}.tar", TRANSFORM) for where in ("s3://bucket/data", folder)
    )
    assert [target for _, target in ours] == [target for _, target in plain]


def test_tfrecords(far):
    """Beside the tars; a pattern, and what is named so in a folder."""
    _, folder = far
    plain = TFRecord([str(path) for path in sorted(folder.glob("*.tfrecord"))], TRANSFORM)
    for files in ("s3://bucket/data/part-*.tfrecord", "s3://bucket/data/part-{0..1}.tfrecord", "s3://bucket/data/"):
        ours = TFRecord(files, TRANSFORM)
        for one, other in zip(batches(ours, num_workers=2), batches(plain, num_workers=2), strict=True):
            assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
    with pytest.raises(ValueError, match="always"):
        TFRecord("s3://bucket/data/part-0.tfrecord", check="always")


def test_tfrecords_of_a_web_server(far, tmp_path):
    """Scanned as they arrive: no copy is left or made; the index is, without the signature."""
    server, folder = far
    urls = [f"{server.http}/bucket/data/part-{number}.tfrecord?sig=verysecret" for number in range(2)]
    ours = TFRecord(urls, TRANSFORM)
    plain = TFRecord([str(folder / f"part-{number}.tfrecord") for number in range(2)], TRANSFORM)
    for one, other in zip(batches(ours), batches(plain), strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and "entries" not in path.parts]
    assert [path.suffix for path in kept] == [".index"] and b"verysecret" not in kept[0].read_bytes()
    server.fails()
    assert TFRecord([url.replace("verysecret", "another") for url in urls]).targets == plain.targets
    assert server.counts()["requests"] == len(urls)


def test_tfrecords_far_away_that_are_damaged_or_packed(far):
    server, _ = far
    for name, what in [
        ("cut", "record 2, at byte"),
        ("odd", "record 0, at byte 0: the checksum of its data"),
        ("packed", r"compressed as a whole \(gzip\)"),
    ]:
        with pytest.raises(ValueError, match=what) as error:
            TFRecord(f"{server.http}/bucket/{name}?sig=verysecret")
        assert "verysecret" not in str(error.value)
    server.fails({"kind": "error", "code": 404, "match": "part-1"})
    with pytest.raises(FileNotFoundError, match="part-1"):
        TFRecord("s3://bucket/data/part-{0..1}.tfrecord")


def test_an_lmdb_database_is_not_read_from_a_url():
    with pytest.raises(ValueError, match=r"not read from .*: copy https://host/x to a disk first"):
        fastload.LMDB("https://user:secret@host/x")
