"""A conversion writes what its source holds: every byte, name and class; the same bytes however it is made."""

from __future__ import annotations

import json
import os

import pytest
import trees

from fastload.conversion import BadSampleError, ConversionError, RefusedError, convert


def test_a_folder_comes_back(tmp_path):
    src = trees.odd_folder(tmp_path / "src")
    report = convert(src, tmp_path / "dst", "folder")
    assert trees.images(tmp_path / "dst") == trees.images(src)
    assert report["samples"] == len(trees.ODD) + 1
    assert report["classes"] == sorted(os.listdir(src))
    del report["seconds"]
    assert json.loads((tmp_path / "dst" / "fastload.json").read_text()) == report


def test_a_plain_folder_comes_back(tmp_path):
    trees.put(tmp_path, "src/b.jpg", b"\xff\xd8\xff1")
    trees.put(tmp_path, "src/a.jpg", b"\xff\xd8\xff2")
    assert convert(tmp_path / "src", tmp_path / "dst", "folder")["classes"] is None
    assert trees.images(tmp_path / "dst") == trees.images(tmp_path / "src")


def test_what_is_no_image_is_left_out_and_named(tmp_path):
    src = trees.plain_folder(tmp_path / "src")
    trees.put(src, "class0/notes.txt", b"hello")
    trees.put(src, "class0/LICENSE", b"hello")
    trees.put(src, "beside.jpg", b"\xff\xd8\xff")
    report = convert(src, tmp_path / "dst", "folder")
    assert report["left_out"] == {"files": 3, "first": ["class0/LICENSE", "class0/notes.txt", "beside.jpg"]}
    assert report["samples"] == 24


@pytest.mark.parametrize("to", trees.FORMATS)
def test_the_same_bytes_with_any_number_of_workers(tmp_path, to):
    src = trees.plain_folder(tmp_path / "src")
    convert(src, tmp_path / "one", to, workers=1, shard_size=10_000)
    convert(src, tmp_path / "two", to, workers=3, shard_size=10_000)
    assert trees.contents(tmp_path / "one") == trees.contents(tmp_path / "two")


def test_a_finished_conversion_is_not_done_again(tmp_path):
    src = trees.plain_folder(tmp_path / "src")
    first = convert(src, tmp_path / "dst", "folder")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "dst").rglob("*.jpg")}
    again = convert(src, tmp_path / "dst", "folder")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {**again, "seconds": 0} == {**first, "seconds": 0}


@pytest.mark.parametrize("change", ["source", "settings", "foreign"])
def test_another_conversions_folder_is_refused(tmp_path, change):
    src, dst = trees.plain_folder(tmp_path / "src"), tmp_path / "dst"
    if change == "foreign":
        trees.put(dst, "mine.txt", b"precious")
    else:
        convert(src, dst, "folder")
    if change == "source":
        trees.put(src, "class0/0000.jpg", b"\xff\xd8\xff other")
    before = trees.contents(dst)
    what = {"source": "another source", "settings": "shard_size", "foreign": "mine.txt"}[change]
    with pytest.raises(RefusedError, match=what):
        convert(src, dst, "folder", shard_size=77_000 if change == "settings" else 512_000_000)
    assert trees.contents(dst) == before


def test_what_cannot_be_done_is_refused(tmp_path):
    src = trees.plain_folder(tmp_path / "src")
    (tmp_path / "empty").mkdir()
    for wrong in (
        lambda: convert(src, tmp_path / "dst", "zip"),
        lambda: convert(src, src / "dst", "folder"),
        lambda: convert(tmp_path / "nowhere", tmp_path / "dst"),
        lambda: convert(tmp_path / "empty", tmp_path / "dst"),
        lambda: convert(src, tmp_path / "dst", quality=90),
        lambda: convert(src, tmp_path / "dst", workers=0),
        lambda: convert(src, tmp_path / "dst", on_error="ignore"),
    ):
        with pytest.raises(RefusedError):
            wrong()
    assert not (tmp_path / "dst").exists()


def test_an_unreadable_sample_ends_it_or_is_left_out(tmp_path):
    src = trees.plain_folder(tmp_path / "src")
    (src / "class1" / "broken.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(src / "class1" / "pipe.jpg")
    with pytest.raises(BadSampleError, match=r"class1/broken.jpg.*No such file") as raised:
        convert(src, tmp_path / "one", "folder", workers=1)
    assert raised.value.name == "class1/broken.jpg"
    report = convert(src, tmp_path / "two", "folder", on_error="skip")
    assert [bad["name"] for bad in report["bad"]] == ["class1/broken.jpg", "class1/pipe.jpg"]
    assert report["samples"] == 24 and len(list((tmp_path / "two").rglob("*.jpg"))) == 24


def test_excluded_samples_are_left_out(tmp_path):
    src = trees.plain_folder(tmp_path / "src")
    report = convert(src, tmp_path / "dst", "folder", exclude=["class0/0000.jpg", "class1/0001.jpg"])
    assert report["samples"] == 22 and not (tmp_path / "dst/class0/0000.jpg").exists()


def test_a_sample_that_changes_meanwhile_is_an_error(tmp_path, monkeypatch):
    src = trees.plain_folder(tmp_path / "src")
    monkeypatch.setattr(os, "mkdir", _first(os.mkdir, lambda: trees.put(src, "class2/0023.jpg", b"longer" * 9000)))
    with pytest.raises(BadSampleError, match=r"class2/0023.jpg.* 54000 bytes"):
        convert(src, tmp_path / "dst", "folder")


def test_the_check_sees_what_was_written_wrong(tmp_path, monkeypatch):
    """A disk that does not keep what it was given: one byte of one file."""
    src = trees.plain_folder(tmp_path / "src")
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, _flipped(data) if len(data) == target else data))
    target = (src / "class1/0010.jpg").stat().st_size
    assert [path.name for path in src.rglob("*.jpg") if path.stat().st_size == target] == ["0010.jpg"]
    with pytest.raises(ConversionError, match=r"check failed.*class1/0010.jpg.*other bytes"):
        convert(src, tmp_path / "dst", "folder")
    assert convert(src, tmp_path / "unchecked", "folder", check=False)["checked"] is False


def _first(function, before):
    """The function; before its first call, another."""
    waiting = [before]

    def called(*args, **options):
        while waiting:
            waiting.pop()()
        return function(*args, **options)

    return called


def _flipped(data):
    return bytes([data[0] ^ 1]) + bytes(data[1:])
