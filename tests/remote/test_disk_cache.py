"""The folder of what was read from afar: nothing is read twice, it stays within its size, and what it cannot do is no error."""

from __future__ import annotations

import os

import pytest
import torchvision.transforms as T

import fastload
from fastload import DataLoader, ImageFolder
from fastload.remote import RemoteObject, disk_cache
from fastload.remote.cache_on_disk import DiskCache, bytes_of

TRANSFORM = T.Compose([T.Resize((8, 8)), T.ToTensor()])


def epoch(far):
    return [images.sum().item() for images, _ in DataLoader(far, batch_size=6, num_workers=2)]


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_second_epoch_asks_for_nothing(store, monkeypatch, tmp_path):
    server, _ = store
    monkeypatch.setenv("FASTLOAD_REMOTE_CACHE", str(tmp_path / "objects"))
    far = ImageFolder("s3://bucket/train", TRANSFORM)
    first = epoch(far)
    disk_cache().flush()
    server.fails()
    assert epoch(far) == first
    assert server.counts()["requests"] == 0
    assert len(files(tmp_path / "objects")) == len(far)
    # A file that is cut, or goes, is read from afar.
    cut, gone, *_ = files(tmp_path / "objects")
    cut.write_bytes(cut.read_bytes()[:9])
    gone.unlink()
    assert epoch(far) == first
    assert server.counts()["requests"] == 2


def test_it_stays_within_its_size(tmp_path):
    cache = DiskCache(str(tmp_path), 100_000)
    paths = [cache.path_of(number) for number in range(40)]
    for age, path in enumerate(paths):
        cache.keep(path, bytes(5_000))
        cache.flush()
        os.utime(path, (age, age)) if os.path.exists(path) else None
        assert sum(file.stat().st_size for file in files(tmp_path)) <= 100_000
    assert os.path.exists(paths[-1]) and not os.path.exists(paths[0])


def test_a_folder_that_cannot_be_written_is_no_error(store, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FASTLOAD_REMOTE_CACHE", str(tmp_path / "file"))
    far = ImageFolder("s3://bucket/train", TRANSFORM)
    assert len(epoch(far)) == 4
    disk_cache().flush()
    assert not disk_cache()._writes


def test_a_full_disk_is_said_once(tmp_path, monkeypatch):
    cache = DiskCache(str(tmp_path), 1 << 20)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.warns(fastload.FastloadWarning, match="No space left"):
        cache._write(cache.path_of(0), b"data")
    cache._write(cache.path_of(1), b"data")
    assert not files(tmp_path)


@pytest.mark.parametrize(("text", "size"), [("5", 5), ("2k", 2048), ("1.5G", 3 << 29), ("20 GiB", 20 << 30)])
def test_sizes(text, size):
    assert bytes_of(text) == size
    with pytest.raises(ValueError, match="FASTLOAD_REMOTE_CACHE_BYTES"):
        bytes_of(f"about {text}")


def test_one_object_twice(store):
    """One that is still there is not read again."""
    server, folder = store
    name = next(folder.rglob("*.jp*g")).relative_to(folder)
    server.fails()
    one, other = (RemoteObject(f"s3://bucket/train/{name}") for _ in range(2))
    assert one.read() == other.read() == (folder / name).read_bytes()
    assert server.counts()["requests"] == 1
