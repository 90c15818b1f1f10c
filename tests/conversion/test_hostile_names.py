"""Whatever a sample is called, and whatever lies in the destination, nothing is written outside of it."""

from __future__ import annotations

import io
import os
import tarfile

import pytest
import trees

from fastload.conversion import BadSampleError, ConversionError, RefusedError, convert
from fastload.conversion.folder_writer import write_folder
from fastload.shards import Record, write_parquet

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


@pytest.mark.parametrize(
    "name", ["fastload.json", ".fastload/x.jpg", ".fastload-conversion/plan.json", "./.fastload/x"]
)
def test_a_name_that_conversion_needs_is_refused(tmp_path, name):
    with pytest.raises(BadSampleError, match="own files"):
        write(tmp_path, Record(name, b"x", None, None))
    with pytest.raises(BadSampleError, match="own files"):
        write(tmp_path, Record("x.jpg", b"x", 0, ".fastload"))
    assert not list((tmp_path / "dst").iterdir())


def test_a_tar_of_a_folder_itself_becomes_that_folder(tmp_path):
    """``tar -C FOLDER -cf x.tar .`` puts ``./`` before all names."""
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, data in (
            ("./a.png", trees.png_bytes()),
            ("./a.cls", b"1"),
            ("./1/b.png", trees.png_bytes()),
            ("./1/b.cls", b"1"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    convert(tmp_path / "x.tar", tmp_path / "dst", "folder")
    assert sorted(trees.images(tmp_path / "dst")) == ["1", "1/a.png", "1/b.png"]


def test_samples_with_and_without_a_class_are_refused_before_any_is_written(tmp_path):
    records = [Record("a.png", trees.png_bytes(), 0, None), Record("b.png", trees.png_bytes(), -1, None)]
    write_parquet(tmp_path / "x.parquet", records, None)
    with pytest.raises(RefusedError, match=r"'b\.png' has no class"):
        convert(tmp_path / "x.parquet", tmp_path / "dst", "folder")
    assert not (tmp_path / "dst").exists()
