"""What is not all there is no whole set without a word: conversions that were not finished, shards that are missing."""

from __future__ import annotations

import os
import shutil
import warnings

import pytest
from click.testing import CliRunner

import fastload
from fastload.commands import main
from fastload.conversion import RefusedError, convert
from fastload.datasets import open_source
from fastload.reports import FastloadWarning
from images import write_folder

SETS = {
    "webdataset": fastload.WebDataset,
    "tfrecord": fastload.TFRecord,
    "lmdb": fastload.LMDB,
    "parquet": fastload.Parquet,
    "folder": fastload.ImageFolder,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path):
    return write_folder(tmp_path / "src", classes=2, images=6)


def _interrupted(progress):
    if progress.step == "check":
        raise KeyboardInterrupt


@pytest.mark.parametrize("to", SETS)
def test_an_unfinished_conversion_is_no_data_set(tmp_path, source, to):
    dst = tmp_path / "dst"
    with pytest.raises(KeyboardInterrupt):
        convert(source, dst, to, shard_size=10_000, progress=_interrupted)
    said = rf"{dst} holds a conversion that was not finished.*fastload convert SRC {dst}"
    with pytest.raises(ValueError, match=said):
        SETS[to](str(dst))
    with pytest.raises(ValueError, match=said):
        open_source(str(dst))
    with pytest.raises(RefusedError, match=said):
        convert(dst, tmp_path / "other")
    for command in ("verify", "info"):
        answer = CliRunner().invoke(main, [command, str(dst)])
        assert answer.exit_code == 2 and "was not finished" in answer.output, answer.output
    files = [name for name in os.listdir(dst) if not name.startswith(".")]
    if to != "folder":
        with pytest.raises(ValueError, match=said):
            SETS[to]([str(dst / files[0])])
    convert(source, dst, to, shard_size=10_000)
    assert len(SETS[to](str(dst))) == 12


def test_nor_a_stream(tmp_path, source):
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "dst", shard_size=10_000, progress=_interrupted)
    with pytest.raises(ValueError, match="was not finished"):
        fastload.WebDataset.stream(str(tmp_path / "dst"))


def test_however_the_folder_is_named(tmp_path, source, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "dst", "folder", progress=_interrupted)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "dst")
    for named in ("~/dst", ".", tmp_path / "dst", "../dst/"):
        with pytest.raises(ValueError, match="was not finished"):
            fastload.ImageFolder(named)
    fastload.WebDataset.stream("-")  # lies nowhere


def test_a_conversion_that_was_killed_while_it_tidied_up_is_whole(tmp_path, source):
    convert(source, tmp_path / "dst", "parquet")
    (tmp_path / "dst" / ".fastload-conversion").mkdir()
    assert len(fastload.Parquet(str(tmp_path / "dst"))) == 12
    (tmp_path / "dst" / "fastload.json").unlink()
    with pytest.raises(ValueError, match="was not finished"):
        fastload.Parquet(str(tmp_path / "dst"))


def opened(kind, named):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        dataset = kind(named)
    return len(dataset), [str(one.message) for one in heard if issubclass(one.category, FastloadWarning)]


@pytest.mark.parametrize("to", ["tfrecord", "parquet"])
def test_missing_shards_are_named(tmp_path, source, to):
    dst = tmp_path / "dst"
    count = len(convert(source, dst, to, shard_size=6_000)["files"])
    assert count > 4
    names = [f"train-{number:05d}-of-{count:05d}.{to}" for number in range(count)]
    assert opened(SETS[to], str(dst))[1] == opened(SETS[to], str(dst / "train-*"))[1] == []
    for name in (names[1], names[-1]):
        (dst / name).unlink()
    for named in (str(dst), str(dst / "t*"), str(dst / f"train-?????-of-{count:05d}.{to}"), os.path.join(dst, "")):
        _, (told,) = opened(SETS[to], named)
        assert f"{count - 2} of {count} files of {dst}/train-*-of-{count:05d} are there" in told
        assert told.endswith(f"missing: {names[1]}, {names[-1]}")
    assert len(opened(open_source, str(dst))[1]) == 1
    # What was not meant is not missed.
    assert opened(SETS[to], [str(dst / names[0]), str(dst / names[2])])[1] == []
    assert opened(SETS[to], f"{dst}/{{{names[0]},{names[2]}}}")[1] == []
    assert opened(SETS[to], str(dst / "train-0000[023]-of-*"))[1] == []
    assert len(opened(SETS[to], str(dst / "train-0000[013]-of-*"))[1]) == 1


def test_names_as_the_hub_has_them(tmp_path, source):
    """Each shard's name ends with a hash of its own."""
    count = len(convert(source, tmp_path / "dst", "parquet", shard_size=6_000)["files"])
    for number in range(count):
        name = tmp_path / "dst" / f"train-{number:05d}-of-{count:05d}"
        shutil.move(f"{name}.parquet", f"{name}-{number:016x}.parquet")
    assert opened(fastload.Parquet, str(tmp_path / "dst")) == (12, [])
    assert opened(fastload.Parquet, str(tmp_path / "dst" / "train-*.parquet")) == (12, [])
    (tmp_path / "dst" / f"train-00000-of-{count:05d}-{0:016x}.parquet").unlink()
    assert "missing: train-00000-of-" in opened(fastload.Parquet, str(tmp_path / "dst"))[1][0]


def test_a_count_without_end_takes_no_time(tmp_path, source):
    convert(source, tmp_path / "dst", "webdataset")
    shutil.move(tmp_path / "dst" / "000000.tar", tmp_path / "dst" / "x-00000-of-999999999999999999.tar")
    shutil.copy(tmp_path / "dst" / "x-00000-of-999999999999999999.tar", tmp_path / "dst" / "x-00007-of-00003.tar")
    _, (told,) = opened(fastload.WebDataset, str(tmp_path / "dst" / "x-*-of-9*.tar"))
    assert "1 of 999,999,999,999,999,999 files" in told


@pytest.mark.parametrize("named", ["http://127.0.0.1:9/train-*.tar", "https://127.0.0.1:9/shards/"])
def test_a_web_server_lists_nothing(named):
    with pytest.raises(OSError, match=r"a web server lists nothing.*with braces as train-\{000000..000099\}.tar"):
        fastload.WebDataset(named)
