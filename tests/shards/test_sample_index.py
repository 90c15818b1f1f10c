"""The index file: what is written is read, nothing damaged is believed, and its samples make the batches of a plain folder."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader as StockLoader

import fastload
from configurations import PlainFiles
from fastload import DataLoader
from fastload.datasets import ShardedImages
from fastload.shards import BadIndexError, SampleColumns, SampleIndex, Shard, kept_index
from fastload.shards.index_file import read_index, text_column, write_index
from images import jpeg_bytes

TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.ToTensor()])
IN_PYTHON = T.Compose([T.Resize((16, 16)), T.ToTensor(), T.Lambda(torch.neg)])


@pytest.fixture
def shard(tmp_path):
    """One file of all photos, one after the other; and each in a file."""
    payloads = [jpeg_bytes(number, 40 + number, 30) for number in range(12)]
    (tmp_path / "one.bin").write_bytes(b"".join(payloads))
    paths = []
    for number, payload in enumerate(payloads):
        paths.append(str(tmp_path / f"{number}.jpg"))
        (tmp_path / f"{number}.jpg").write_bytes(payload)
    return tmp_path / "one.bin", payloads, paths


def index_of(path, payloads, **more):
    lengths = np.array([len(payload) for payload in payloads], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    starts, names = text_column([f"n/{number}" for number in range(len(payloads))])
    columns = SampleColumns(
        np.zeros(len(payloads), np.uint32), offsets, lengths, starts, names, np.arange(len(payloads)) % 3
    )
    return SampleIndex("test", [Shard.of_file(path)], columns, **more)


@pytest.mark.parametrize("transform", [TRANSFORM, IN_PYTHON], ids=["threads", "workers"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_those_of_the_files(shard, transform, num_workers):
    path, payloads, paths = shard
    ours = ShardedImages(index_of(path, payloads), transform)
    plain = PlainFiles([(path, number % 3) for number, path in enumerate(paths)], True, transform, None)
    batches = []
    for kind, dataset in ((StockLoader, plain), (DataLoader, ours), (StockLoader, ours)):
        torch.manual_seed(3)
        batches.append(list(kind(dataset, batch_size=5, shuffle=True, num_workers=num_workers)))
        if kind is DataLoader:
            assert kind(dataset).explain().startswith("native:")
    for others in batches[1:]:
        for mine, theirs in zip(batches[0], others, strict=True):
            assert torch.equal(mine[0], theirs[0])
            assert torch.equal(mine[1], theirs[1])


def test_an_index_survives_a_file_and_a_pickle(shard, tmp_path):
    path, payloads, _ = shard
    index = index_of(path, payloads, facts={"classes": ["a", "b", "c"]})
    index.write(tmp_path / "x.index")
    read = SampleIndex.read(tmp_path / "x.index")
    for other in (read, pickle.loads(pickle.dumps(read)), pickle.loads(pickle.dumps(index))):
        assert [other.source(i) for i in range(12)] == [index.source(i) for i in range(12)]
        assert [(other.name(i), other.target(i)) for i in range(12)] == [(f"n/{i}", i % 3) for i in range(12)]
        assert other.facts == {"classes": ["a", "b", "c"]}
    assert len(pickle.dumps(read)) < 1000
    again = tmp_path / "y.index"
    read.write(again)
    assert again.read_bytes() == (tmp_path / "x.index").read_bytes()
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".bin", ".index", ".index"] + [".jpg"] * 12


def test_every_damaged_byte_of_an_index_is_seen(shard, tmp_path):
    path, payloads, _ = shard
    index_of(path, payloads).write(tmp_path / "x.index")
    whole = (tmp_path / "x.index").read_bytes()
    header, columns = read_index(tmp_path / "x.index")
    rng = np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(whole)
        at = int(rng.integers(len(damaged)))
        damaged[at] ^= int(rng.integers(1, 256))
        damaged = damaged[: int(rng.integers(len(damaged)))] if rng.random() < 0.2 else damaged
        (tmp_path / "y.index").write_bytes(damaged)
        try:
            read = SampleIndex.read(tmp_path / "y.index")
        except BadIndexError as error:
            assert "y.index" in str(error)
        else:  # padding
            assert [read.source(i) for i in range(12)] == [index_of(path, payloads).source(i) for i in range(12)]


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [("shard", 1, "shard that is not there"), ("length", 1 << 40, "end behind"), ("offset", -1, "negative")],
)
def test_an_index_that_lies_is_refused(shard, tmp_path, column, value, what):
    path, payloads, _ = shard
    index_of(path, payloads).write(tmp_path / "x.index")
    header, columns = read_index(tmp_path / "x.index")
    changed = columns[column].copy()
    changed[3] = value
    write_index(tmp_path / "x.index", header, {**columns, column: changed})
    with pytest.raises(BadIndexError, match=what):
        SampleIndex.read(tmp_path / "x.index")


def test_a_shard_that_changed_is_indexed_again(shard, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path, payloads, _ = shard
    built = []

    def build(shards, older):
        built.append(older is not None)
        return index_of(path, payloads)

    for _ in range(2):
        kept_index("test", [Shard.of_file(path)], {"a": 1}, build)
    assert built == [False]
    os.utime(path, ns=(1, 1))
    assert kept_index("test", [Shard.of_file(path)], {"a": 1}, build).shards[0].version == "1"
    assert built == [False, True]
    kept_index("test", [Shard.of_file(path)], {"a": 2}, build)
    assert built == [False, True, False]
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    path.rename(moved / path.name)
    (tmp_path / ".fastload").rename(moved / ".fastload")
    found = kept_index("test", [Shard.of_file(moved / path.name)], {"a": 1}, build)
    assert found.source(0).read() == payloads[0]
    assert len(built) == 3


def test_without_a_place_to_write_the_index_is_kept_in_memory(shard, monkeypatch):
    path, payloads, _ = shard
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    monkeypatch.setattr("fastload.shards.index_place.FOLDER", "/proc/nowhere")
    index = kept_index("test", [Shard.of_file(path)], {}, lambda shards, older: index_of(path, payloads))
    assert index.path is None
    assert index.source(2).read() == payloads[2]


def test_an_error_of_the_scan_is_the_callers(shard):
    def build(shards, older):
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        kept_index("test", [Shard.of_file(shard[0])], {}, build)


def test_a_shard_that_is_cut_names_the_sample(shard):
    path, payloads, _ = shard
    dataset = ShardedImages(index_of(path, payloads), TRANSFORM)
    os.truncate(path, sum(map(len, payloads[:-1])) + 5)
    with pytest.raises(fastload.FastloadError, match=r"sample 0 .*one\.bin, sample n/0 at byte 0.* has changed since"):
        list(DataLoader(dataset, batch_size=4))
    with pytest.raises(OSError, match="has changed since it was indexed"):
        dataset[11]


def test_samples_are_left_out_by_name(shard):
    path, payloads, _ = shard
    dataset = ShardedImages(index_of(path, payloads), exclude=["n/0", "n/5", "no such sample"])
    assert len(dataset) == 10
    assert dataset.targets == [1, 2, 0, 1, 0, 1, 2, 0, 1, 2]
    assert [dataset.samples.name(i) for i in (0, 4, -1)] == ["n/1", "n/6", "n/11"]
    with pytest.raises(IndexError):
        dataset[10]


def test_processes_that_want_an_index_at_once_make_it_once(shard, tmp_path):
    path, payloads, _ = shard
    code = f"""
import sys, os
sys.path.insert(0, {os.path.dirname(__file__)!r}); sys.path.insert(0, {os.path.dirname(os.path.dirname(__file__))!r})
from test_sample_index import *
payloads = [jpeg_bytes(number, 40 + number, 30) for number in range(12)]
def build(shards, older):
    print("built", flush=True)
    return index_of({str(path)!r}, payloads)
kept_index("test", [Shard.of_file({str(path)!r})], {{}}, build)
"""
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert "".join(process.communicate()[0] for process in processes) == "built\n"
