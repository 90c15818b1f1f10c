"""Whatever a sample is called, and whatever lies in the destination, nothing is written outside of it."""

from __future__ import annotations

import os

import pytest
import trees

from fastload.conversion import BadSampleError, ConversionError, convert
from fastload.conversion.folder_writer import write_folder
from fastload.shards import Record

HOSTILE = [
    "../x.jpg",
    "a/../../x.jpg",
    "/tmp/x.jpg",
    "a/\0.jpg",
    "C:\\x.jpg",
    "c:x.jpg",
    "..\\x.jpg",
    "\\\\server\\x.jpg",
    "..",
    ".",
    "",
    "a/",
]


def write(folder, *records, classes=None):
    (folder / "dst").mkdir(exist_ok=True)
    (folder / "staged").mkdir(exist_ok=True)
    write_folder(folder / "dst", iter(records), classes, temporary=folder / "staged")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("class_name", [None, "cat"])
def test_a_hostile_name_is_refused(tmp_path, name, class_name):
    (tmp_path / "dst").mkdir()
    (tmp_path / "staged").mkdir()
    before = trees.contents(tmp_path)
    with pytest.raises(BadSampleError) as raised:
        write(tmp_path, Record(name, b"x", 0, class_name))
    assert raised.value.name == name
    assert trees.contents(tmp_path) == before


@pytest.mark.parametrize("name", [*HOSTILE, "a/b"])
def test_a_hostile_class_is_refused(tmp_path, name):
    with pytest.raises(BadSampleError):
        write(tmp_path, Record("x.jpg", b"x", 0, name))
    with pytest.raises(BadSampleError):
        write(tmp_path, Record("x.jpg", b"x", 0, "fine"), classes=[name])
    assert not list((tmp_path / "dst").iterdir())


@pytest.mark.parametrize(
    "name", ["a..b.jpg", "...", "a/...jpg", "~", "-x.jpg", "ab:c.jpg", "CON", "a\n.jpg", "ü/ .jpg"]
)
def test_an_odd_name_is_no_hostile_one(tmp_path, name):
    write(tmp_path, Record(name, b"x"))
    assert (tmp_path / "dst" / name).read_bytes() == b"x"


@pytest.mark.parametrize("deep", [False, True])
def test_links_in_the_destination_are_not_followed(tmp_path, deep):
    (tmp_path / "outside").mkdir()
    inside = tmp_path / "dst" / ("cat/deep" if deep else "cat")
    inside.parent.mkdir(parents=True)
    inside.symlink_to(tmp_path / "outside")
    with pytest.raises(BadSampleError, match="symbolic link"):
        write(tmp_path, Record("cat/deep/x.jpg" if deep else "cat/x.jpg", b"x", 0, "cat"))
    assert not list((tmp_path / "outside").iterdir())


def test_a_link_in_a_files_place_is_replaced(tmp_path):
    (tmp_path / "outside").write_bytes(b"precious")
    (tmp_path / "dst").mkdir()
    (tmp_path / "dst" / "x.jpg").symlink_to(tmp_path / "outside")
    write(tmp_path, Record("x.jpg", b"x"))
    assert (tmp_path / "outside").read_bytes() == b"precious" and (tmp_path / "dst" / "x.jpg").read_bytes() == b"x"


def test_two_samples_of_one_name_are_refused(tmp_path):
    from fastload.conversion.folder_writer import check_file_names

    check_file_names(["a/x", "b/x", "a/y"])
    with pytest.raises(ConversionError, match="two samples are named"):
        check_file_names(["a/x", "b/x", "./a//x"])


def test_a_linked_plan_is_refused(tmp_path):
    src = trees.plain_folder(tmp_path / "src")
    (tmp_path / "outside").mkdir()
    (tmp_path / "dst").mkdir()
    (tmp_path / "dst" / ".fastload-conversion").symlink_to(tmp_path / "outside")
    with pytest.raises(ConversionError, match="symbolic link"):
        convert(src, tmp_path / "dst", "folder")
    assert not list((tmp_path / "outside").iterdir())
    assert os.readlink(tmp_path / "dst" / ".fastload-conversion") == str(tmp_path / "outside")
