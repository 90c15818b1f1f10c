"""From a folder through every format and back: each file's bytes, name and class; and targets that folders do not have."""

from __future__ import annotations

import pytest
import trees

from fastload.conversion import BadSampleError, convert
from fastload.conversion.source import open_source
from fastload.datasets import kind_of_source
from fastload.shards import Record, write_tar

CHAIN = [to for to in ("webdataset", "tfrecord", "lmdb", "parquet") if to in trees.FORMATS]


def test_through_all_formats_and_back(tmp_path):
    src = before = trees.odd_folder(tmp_path / "src")
    sums = set()
    for to in [*CHAIN, "folder"]:
        report = convert(before, tmp_path / to, to, shard_size=3000)
        sums.add(report["crc32c_sha256"])
        before = tmp_path / to
    assert trees.images(tmp_path / "folder") == trees.images(src)
    assert len(sums) == 1


@pytest.mark.parametrize("to", CHAIN)
def test_a_plain_folder_and_back(tmp_path, to):
    """No classes, no targets; several files but for a database."""
    for number in range(5):
        trees.put(tmp_path, f"src/{number}.jpg", b"\xff\xd8\xff" + bytes([number]))
    convert(tmp_path / "src", tmp_path / "there", to, shard_size=9)
    convert(tmp_path / "there", tmp_path / "back", "folder")
    assert trees.images(tmp_path / "back") == trees.images(tmp_path / "src")


@pytest.mark.parametrize("to", CHAIN)
def test_targets_without_names_and_texts(tmp_path, to):
    records = {
        "numbers": [Record(f"{n}.jpg", b"\xff\xd8\xff%d" % n, target) for n, target in enumerate((0, 7, 123))],
        "texts": [
            Record(f"{n}.jpg", b"\xff\xd8\xff%d" % n, text) for n, text in enumerate(("a dog", "", "ein Mädchen"))
        ],
    }
    for name, given in records.items():
        write_tar(tmp_path / f"{name}.tar", iter(given), None)
        convert(tmp_path / f"{name}.tar", tmp_path / name, to)
        back = open_source(tmp_path / name)
        assert [back.sample(row).target for row in range(3)] == [record.target for record in given]
    convert(tmp_path / "numbers", tmp_path / "folder", "folder")
    assert sorted(trees.images(tmp_path / "folder")) == ["000", "000/0.jpg", "007", "007/1.jpg", "123", "123/2.jpg"]
    with pytest.raises(BadSampleError, match="cannot hold the target 'a dog'"):
        convert(tmp_path / "texts", tmp_path / "no", "folder")


def test_a_hostile_name_in_a_source_ends_the_conversion(tmp_path):
    """Also where it would only be a text in a file: others may make files of it."""
    write_tar(tmp_path / "bad.tar", [Record("fine.jpg", b"1"), Record("../../evil.jpg", b"2")], None)
    for to in trees.FORMATS:
        with pytest.raises(BadSampleError, match=r"\.\./\.\./evil.jpg"):
            convert(tmp_path / "bad.tar", tmp_path / "a" / "b" / to, to)
    report = convert(tmp_path / "bad.tar", tmp_path / "fine", "folder", on_error="skip")
    assert [bad["name"] for bad in report["bad"]] == ["../../evil.jpg"]
    assert not list(tmp_path.rglob("evil.jpg"))


def test_classes_keep_their_numbers_but_in_a_folder(tmp_path):
    records = [Record("dog/1.jpg", b"\xff\xd8\xff1", 0, "dog"), Record("cat/1.jpg", b"\xff\xd8\xff2", 1, "cat")]
    write_tar(tmp_path / "x.tar", records, ["dog", "cat", "none"])
    for to in CHAIN:
        report = convert(tmp_path / "x.tar", tmp_path / to, to)
        assert not report["classes_renumbered"]
        dataset = kind_of_source(tmp_path / to).open(tmp_path / to)
        assert (dataset.classes, dataset.targets) == (["dog", "cat", "none"], [0, 1])
    assert convert(tmp_path / "x.tar", tmp_path / "folder", "folder")["classes_renumbered"]
    assert sorted(trees.images(tmp_path / "folder")) == ["cat", "cat/1.jpg", "dog", "dog/1.jpg", "none"]
