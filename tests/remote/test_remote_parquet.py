"""Parquet and Arrow files in an object store: indexed from a copy that goes, and then read where they lie."""

from __future__ import annotations

import importlib.util

import pytest
import torch
import torchvision.transforms as T
from stores import ObjectServer

import fastload
from fastload import DataLoader, Parquet
from fastload.conversion import convert
from images import write_folder

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("pyarrow"), reason="needs pyarrow")
TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.ToTensor()])


@pytest.fixture(scope="module")
def own_store(tmp_path_factory):
    """A store of its own, and its bucket."""
    import pyarrow.feather
    import pyarrow.parquet

    root = tmp_path_factory.mktemp("tables")
    folder, bucket = write_folder(root / "folder", classes=3, images=5), root / "store" / "bucket"
    convert(folder, bucket / "plain", "parquet", shard_size=15_000)
    for name in ("packed", "arrow", "splits"):
        (bucket / name).mkdir()
    for path in (bucket / "plain").glob("*.parquet"):
        table = pyarrow.parquet.read_table(path)
        pyarrow.parquet.write_table(table, bucket / "packed" / path.name, compression="snappy")
        pyarrow.feather.write_feather(table, bucket / "arrow" / f"{path.stem}.arrow", compression="uncompressed")
    for split in ("train", "test"):
        (bucket / "splits" / f"{split}-00000-of-00001.parquet").write_bytes(path.read_bytes())
    (bucket / "one.parquet").write_bytes(path.read_bytes())
    (bucket / "bad.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    server = ObjectServer(root / "store")
    yield server, bucket
    server.end()


def batches(dataset, **options):
    torch.manual_seed(1)
    return list(DataLoader(dataset, batch_size=4, shuffle=True, **options))


@pytest.mark.parametrize("name", ["plain", "packed", "arrow"])
def test_they_are_what_they_are_on_a_disk(far, tmp_path, name):
    _, bucket = far
    near, there = Parquet(bucket / name, TRANSFORM), Parquet(f"s3://bucket/{name}/", TRANSFORM)
    assert len(near) == 15 and len(near.samples.sample_index.shards) > 1
    assert (near.targets, near.classes) == (there.targets, there.classes)
    assert [near.samples.name(i) for i in range(15)] == [there.samples.name(i) for i in range(15)]
    fastload.require_native(DataLoader(there))
    for options in ({}, {"num_workers": 2}):
        for mine, theirs in zip(batches(there, **options), batches(near, **options), strict=True):
            assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])
    assert not list((tmp_path / "cache" / "fastload" / "copies").iterdir())


def test_the_index_is_kept_and_holds_no_secret(far, tmp_path):
    server, bucket = far
    urls = [
        f"{server.http}/bucket/plain/{path.name}?sig=SECRET" for path in sorted((bucket / "plain").glob("*.parquet"))
    ]
    assert len(Parquet(urls)) == 15
    asked = server.counts()["requests"]
    assert fastload.datasets.open_source(urls[0]).classes == Parquet(urls).classes
    assert server.counts()["requests"] - asked <= 4 + 2 * len(urls)
    for path in (tmp_path / "cache").rglob("*.index"):
        assert b"SECRET" not in path.read_bytes()


def test_what_is_wrong_is_told_with_the_url(far):
    server, _ = far
    with pytest.raises(ValueError, match=r"s3://bucket/splits holds several splits, test, train: name one"):
        Parquet("s3://bucket/splits/")
    with pytest.raises(ValueError, match=r"http://127\.0\.0\.1:\d+/bucket/bad\.parquet\?\.\.\. is damaged"):
        Parquet(f"{server.http}/bucket/bad.parquet?sig=SECRET")
    with pytest.raises(OSError, match="no such object"):
        Parquet("s3://bucket/nosuch.parquet")


def test_a_file_that_changed_gives_no_sample(far):
    server, _ = far
    dataset = Parquet("s3://bucket/one.parquet", TRANSFORM)
    server.fails({"kind": "changed"})
    with pytest.raises(fastload.ReadError, match="has changed"):
        list(DataLoader(dataset))
