"""Files as other programs write them: links in tars, labels of any size, dictionaries in Parquet, numbered keys in LMDB."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import warnings
from pathlib import Path

import pytest
from PIL import Image

import fastload
from record_files import bytes_list, example, framed, ints


def photo(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(file, "JPEG")
    return file.getvalue()


def shown(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


@pytest.fixture(scope="module")
def linked(tmp_path_factory) -> Path:
    """A tar of GNU tar's with a sample, one whose files are hard links to it, and one whose image is a symbolic link."""
    root = tmp_path_factory.mktemp("links")
    folder = root / "files"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(photo(1))
    (folder / "a.cls").write_bytes(b"1")
    (folder / "c.cls").write_bytes(b"2")
    for ending in ("jpg", "cls"):
        os.link(folder / f"a.{ending}", folder / f"b.{ending}")
    (folder / "c.jpg").symlink_to("a.jpg")
    (folder / "no_member").symlink_to("a.jpg")
    subprocess.run(["tar", "--sort=name", "-cf", root / "links.tar", "-C", folder, "."], check=True)
    return root / "links.tar"


def test_links_whose_samples_are_missing_are_told(linked):
    with pytest.warns(fastload.FastloadWarning, match=r"3 members are links.*'\./b\.cls'.*--hard-dereference"):
        dataset = fastload.WebDataset(linked)
    assert [target for _, target in dataset.samples] == [1]
    with pytest.warns(fastload.FastloadWarning, match=r"3 members are links"):
        assert [target for _, target in fastload.WebDataset.stream(linked, shuffle=False)] == [1]


@pytest.mark.parametrize("label", [2**40, 2**62, 2**63 - 1])
def test_labels_of_tfrecords_may_be_any_integers(tmp_path, label):
    records = [
        example(("image/encoded", bytes_list(photo(0))), ("image/class/label", ints(value))) for value in (label, 0)
    ]
    (tmp_path / "a.tfrecord").write_bytes(b"".join(map(framed, records)))
    dataset = fastload.TFRecord(tmp_path / "a.tfrecord")
    assert [target for _, target in dataset.samples] == [label, 0]
    assert dataset.classes == []


def test_numbered_keys_count_as_numbers_for_a_function_too(tmp_path):
    """As in the lists of keys that such databases hold for their own readers."""
    lmdb = pytest.importorskip("lmdb")
    database = lmdb.open(str(tmp_path / "a"), map_size=1 << 24)
    with database.begin(write=True) as transaction:
        for number in range(12):
            transaction.put(b"%d" % number, pickle.dumps((photo(number), number)))
        transaction.put(b"__len__", pickle.dumps(12))
    database.close()

    def read(key, value):
        return None if key.startswith(b"__") else pickle.loads(value)

    dataset = fastload.LMDB(tmp_path / "a", read=read)
    assert [target for _, target in dataset.samples] == list(range(12))
    assert [dataset[number][0] for number in (2, 11)] == [shown(photo(number)) for number in (2, 11)]


@pytest.mark.parametrize("form", ["bytes", "struct", "paths"])
@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_columns_of_images_may_have_dictionaries(tmp_path, form, compression):
    pyarrow = pytest.importorskip("pyarrow")
    photos = [photo(number % 3) for number in range(7)]
    if form == "paths":
        for number in range(3):
            (tmp_path / f"{number}.jpg").write_bytes(photo(number))
        column = pyarrow.array([f"{number % 3}.jpg" for number in range(7)]).dictionary_encode()
    else:
        column = pyarrow.array(photos).dictionary_encode()
    if form == "struct":
        paths = pyarrow.array([f"{number}.jpg" for number in range(7)]).dictionary_encode()
        column = pyarrow.StructArray.from_arrays([column, paths], ["bytes", "path"])
    table = pyarrow.table({"image": column, "label": pyarrow.array(list("abababa")).dictionary_encode()})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "a.parquet", compression=compression)
    with pyarrow.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    for name in ("a.parquet", "a.arrow"):
        dataset = fastload.Parquet(tmp_path / name)
        assert [dataset[number] for number in range(7)] == [
            (shown(data), target) for data, target in zip(photos, "abababa", strict=True)
        ]


def test_targets_that_are_no_numbers_of_an_index_say_so(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    for name, targets, said in (
        ("large", pyarrow.array([1, 2**63], pyarrow.uint64()), "targets are uint64, .* sign"),
        ("nothing", pyarrow.nulls(2), "all are null: target=None"),
    ):
        table = pyarrow.table({"image": [photo(0), photo(1)], "label": targets})
        pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / f"{name}.parquet")
        with pytest.raises(ValueError, match=rf"{name}\.parquet: .*{said}"):
            fastload.Parquet(tmp_path / f"{name}.parquet")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(fastload.Parquet(tmp_path / f"{name}.parquet", target=None)) == 2
