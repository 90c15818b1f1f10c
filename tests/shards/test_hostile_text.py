"""What a terminal would obey is in no message, whatever the names in a shard hold."""

from __future__ import annotations

import lmdb
import pyarrow.parquet
import pytest
import torchvision.transforms as T
from click.testing import CliRunner

import fastload
from fastload.commands import main
from fastload.shards import Record, write_lmdb, write_parquet, write_tar, write_tfrecord
from images import jpeg_bytes
from record_files import bytes_list, example, framed


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("write", [write_tar, write_tfrecord, write_lmdb, write_parquet])
def test_names_of_samples(tmp_path, write):
    ending = write.__name__.removeprefix("write_")
    name = "a/\x1b]0;x\x07\x9b.jpg"
    path = tmp_path / f"x.{ending}"
    write(path, [Record(name, b"no image", 0), Record("a/b.jpg", jpeg_bytes(1, 40, 30), 0)], ["a"])
    dataset = fastload.datasets.open_source(path)
    assert dataset.samples.name(0) == name and "a/?]0;x??.jpg" in dataset.samples[0][0].name
    answer = CliRunner().invoke(main, ["verify", str(path)])
    assert answer.exit_code == 1 and "a/?]0;x??.jpg" in answer.output
    dataset.transform = T.Compose([T.Resize((8, 8)), T.ToTensor()])
    with pytest.raises(fastload.FastloadError, match="cannot identify") as error:
        list(fastload.DataLoader(dataset, batch_size=1))
    assert not {"\x1b", "\x07", "\x9b"} & set(answer.output + str(error.value))


def test_names_of_features_columns_and_keys(tmp_path):
    (tmp_path / "x.tfrecord").write_bytes(framed(example(("\x1b]0;x\x07", bytes_list(b"x")))))
    table = pyarrow.table({"\x1b]0;x\x07": ["x"]})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    with lmdb.open(str(tmp_path / "x.lmdb"), subdir=False) as env, env.begin(write=True) as transaction:
        transaction.put(b"\x1b]0;x\x07", b"\x1b]0;x\x07")
    for ending in ("tfrecord", "parquet", "lmdb"):
        with pytest.raises(ValueError) as error:
            fastload.datasets.open_source(tmp_path / f"x.{ending}")
        assert "]0;x" in str(error.value) and str(error.value).isprintable()
