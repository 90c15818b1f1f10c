"""Samples that their shards call the same have names of their own, so an exclude list leaves out what it names alone."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile

import fastload
from fastload.shards import Record, shard_list


def write_tar(path, *names):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, name in enumerate(names):
            for ending, data in (("jpg", b"\xff\xd8"), ("cls", b"%d" % number)):
                member = tarfile.TarInfo(f"{name}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def check(dataset, count):
    names = [dataset.samples.name(i) for i in range(len(dataset))]
    assert len(set(names)) == len(names) == count
    return names


def test_shards_of_one_name(tmp_path):
    for folder in ("a", "b"):
        write_tar(tmp_path / folder / "train.tar", "0", "1")
    names = check(fastload.WebDataset(str(tmp_path / "*/train.tar")), 4)
    left = fastload.WebDataset(str(tmp_path / "*/train.tar"), exclude=names[2:3])
    assert left.targets == [0, 1, 1]
    write_tar(tmp_path / "a" / "train.tar", "0", "1", "2")  # the other shard is known from the index before
    assert check(fastload.WebDataset(str(tmp_path / "*/train.tar")), 5)


def test_keys_that_come_back(tmp_path):
    write_tar(tmp_path / "x.tar", "a/k", "b/k", "a/k", "a/k#2", "a/k")
    names = check(fastload.WebDataset(tmp_path / "x.tar"), 5)
    assert names == ["a/k.jpg", "b/k.jpg", "a/k#3.jpg", "a/k#2.jpg", "a/k#4.jpg"]


def test_other_formats(tmp_path):
    records = [Record(name, b"\xff\xd8", number, None) for number, name in enumerate(("x", "y", "x"))]
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        fastload.write_tfrecord(tmp_path / folder / "t.tfrecord", records, None)
        fastload.write_parquet(tmp_path / folder / "t.parquet", records, None)
        fastload.write_lmdb(tmp_path / folder / "t.mdb", records, None)
    both = [tmp_path / "a", tmp_path / "b"]
    check(fastload.TFRecord([one / "t.tfrecord" for one in both]), 6)
    check(fastload.Parquet([one / "t.parquet" for one in both]), 6)
    check(fastload.LMDB([one / "t.mdb" for one in both]), 6)


def test_a_user_whom_the_system_does_not_know(tmp_path):
    write_tar(tmp_path / "x.tar", "a")
    script = (
        "import os, pwd, sys, fastload\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\n"
        "print(len(fastload.WebDataset(sys.argv[1])))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    ran = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "x.tar"], env=environment, capture_output=True, text=True
    )
    assert ran.stdout == "1\n", ran.stderr


def test_an_address_of_ipv6_is_not_two_shards():
    first, second = "http://[::1]:8000/x.tar", "https://[fe80::1]/y.tar"
    assert shard_list(first) == [first]
    assert shard_list(f"{first}::{second}::z.tar") == [first, second, "z.tar"]
