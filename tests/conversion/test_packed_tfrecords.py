"""TFRecord files that are compressed as a whole: refused by the data set, converted, verified."""

from __future__ import annotations

import gzip
import zlib

import pytest
import torch
import torchvision.transforms as T
from click.testing import CliRunner

import fastload
from fastload.commands import main
from fastload.conversion import RefusedError, convert
from fastload.shards import Record, write_tfrecord
from images import jpeg_bytes

TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.ToTensor()])


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def in_pieces(data):
    """As pigz and cat leave it behind: several streams."""
    return gzip.compress(data[:5000]) + gzip.compress(data[5000:])


@pytest.fixture(params=[gzip.compress, zlib.compress, in_pieces], ids=["gzip", "zlib", "pieces"])
def packed(request, tmp_path):
    """A folder of three files, the second of which is not compressed, and one of the same records."""
    for folder in ("plain", "packed"):
        (tmp_path / folder).mkdir()
    for part in range(3):
        some = [Record(f"{n % 2}/{part}{n}.jpg", jpeg_bytes(9 * part + n, 60, 50), n % 2) for n in range(9)]
        path = tmp_path / "plain" / f"{part}.tfrecord"
        write_tfrecord(path, some, ["a", "b"])
        data = path.read_bytes()
        name = f"{part}.tfrecord" if part == 1 else f"{part}.tfrecord.gz"
        (tmp_path / "packed" / name).write_bytes(data if part == 1 else request.param(data))
    return tmp_path / "packed", tmp_path / "plain"


def batches(dataset):
    torch.manual_seed(1)
    return list(fastload.DataLoader(dataset, batch_size=5, shuffle=True))


@pytest.mark.parametrize("workers", [1, 3])
def test_they_are_converted(packed, tmp_path, workers):
    source, plain = packed
    with pytest.raises(ValueError, match=r"compressed as a whole .*fastload convert"):
        fastload.TFRecord(source)
    report = convert(source, tmp_path / "new", "tfrecord", shard_size=15_000, workers=workers)
    straight = convert(plain, tmp_path / "straight", "tfrecord", shard_size=15_000)
    assert report["checked"] and len(report["files"]) > 2
    assert [report[what] for what in ("crc32c_sha256", "files", "classes")] == [
        straight[what] for what in ("crc32c_sha256", "files", "classes")
    ]
    assert not list((tmp_path / "cache").rglob("*.values"))
    ours, theirs = fastload.TFRecord(tmp_path / "new", TRANSFORM), fastload.TFRecord(plain, TRANSFORM)
    for one, other in zip(batches(ours), batches(theirs), strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
    # As it was, it goes on; nothing to do.
    assert convert(source, tmp_path / "new", "tfrecord", shard_size=15_000)["crc32c_sha256"] == report["crc32c_sha256"]


def test_they_are_verified(packed):
    source, _ = packed
    assert CliRunner().invoke(main, ["verify", str(source)]).exit_code == 0
    path = source / "0.tfrecord.gz"
    path.write_bytes(path.read_bytes()[:-60])
    answer = CliRunner().invoke(main, ["verify", str(source)])
    assert answer.exit_code == 1 and f"bad: {path}: " in answer.output and "18 samples, 1 bad" in answer.output


def test_one_that_is_cut_is_not_converted(packed, tmp_path):
    source, _ = packed
    path = source / "2.tfrecord.gz"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(RefusedError, match=r"2\.tfrecord\.gz cannot be unpacked"):
        convert(source, tmp_path / "new", "tfrecord")
    assert not (tmp_path / "new").exists()
