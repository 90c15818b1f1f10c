"""TFRecord: what others write is read, what we write others read, batches are those of the files, and what is damaged is said."""

from __future__ import annotations

import gzip
import os
import random
import re
import zlib
from pathlib import Path

import pytest
import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader as StockLoader
from torchvision.datasets import ImageFolder

import fastload
from fastload import DataLoader, TFRecord, _core
from fastload.datasets import open_source
from fastload.shards import Record, find_tfrecords, write_tfrecord
from fastload.shards.tfrecord_records import records as records_of
from images import jpeg_bytes, write_folder
from record_files import bytes_list, crc32c, example, field, floats, folder_records, framed, ints, masked

TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.ToTensor()])
IN_PYTHON = T.Compose([T.Resize((16, 16)), T.ToTensor(), T.Lambda(torch.neg)])
JPEG = jpeg_bytes(1, 30, 20)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def file_of(path, *examples):
    path.write_bytes(b"".join(map(framed, examples)))
    return path


def image(label=None, *more, data=JPEG):
    labels = [] if label is None else [("image/class/label", ints(label))]
    return example(("image/encoded", bytes_list(data)), *labels, *more)


@pytest.mark.parametrize("variant", ["table", "sse42", ""])
def test_checksums(variant):
    if variant == "sse42" and "sse4_2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("no SSE4.2")
    assert _core.crc32c(b"123456789", 0, variant) == 0xE3069283 == crc32c(b"123456789")
    assert int.from_bytes(masked((5).to_bytes(8, "little")), "little") == 0x3E04B2EA
    other = pytest.importorskip("crc32c")
    data = random.Random(0).randbytes(60_000)
    for start, size in [
        (0, 0),
        (1, 1),
        (3, 7),
        (0, 8),
        (5, 9),
        (7, 4092),
        (0, 4099),
        (1, 767),
        (2, 768),
        (3, 1543),
        (5, 12_288),
        (9, 59_991),
    ]:
        piece = data[start : start + size]
        assert _core.crc32c(piece, 0, variant) == other.crc32c(piece)
        assert _core.crc32c(piece[size // 3 :], _core.crc32c(piece[: size // 3]), variant) == other.crc32c(piece)


@pytest.mark.parametrize("transform", [TRANSFORM, IN_PYTHON], ids=["threads", "workers"])
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("check", ["first", "always"])
def test_batches_are_those_of_the_folder(tmp_path, transform, num_workers, check):
    folder = write_folder(tmp_path / "folder", 3, 6, largest=60)
    records, classes = folder_records(folder)
    for number in range(2):
        write_tfrecord(tmp_path / f"t-{number:05d}-of-00002", records[number * 9 :][:9], classes)
    ours = TFRecord(tmp_path / "t-?????-of-00002", transform, check=check)
    plain = ImageFolder(folder, transform)
    assert (ours.classes, ours.class_to_idx, ours.targets) == (plain.classes, plain.class_to_idx, plain.targets)
    assert [ours.samples[i][0].read() for i in range(18)] == [record.data for record in records]
    assert [ours.samples.name(i) for i in range(18)] == [record.name for record in records]
    batches = []
    for kind, dataset in ((StockLoader, plain), (DataLoader, ours), (StockLoader, ours)):
        torch.manual_seed(3)
        batches.append(list(kind(dataset, batch_size=5, shuffle=True, num_workers=num_workers)))
    assert DataLoader(ours).explain().startswith("native:")
    for others in batches[1:]:
        for mine, theirs in zip(batches[0], others, strict=True):
            assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])


def test_others_read_what_we_write(tmp_path):
    tfrecord = pytest.importorskip("tfrecord")
    records, classes = folder_records(write_folder(tmp_path / "folder", 2, 3))
    write_tfrecord(tmp_path / "ours", records, classes)
    description = {
        "image/encoded": "byte", "image/class/label": "int", "image/class/text": "byte", "image/filename": "byte",
        "image/format": "byte", "image/class/label_base": "int",
    }  # fmt: skip
    read = list(tfrecord.tfrecord_loader(str(tmp_path / "ours"), None, description))
    for record, found in zip(records, read, strict=True):
        assert bytes(found["image/encoded"]) == record.data
        assert found["image/class/label"].tolist() == [record.target] and found["image/class/label_base"].tolist() == [
            0
        ]
        assert bytes(found["image/class/text"]).decode() == record.class_name
        assert bytes(found["image/filename"]).decode() == record.name
        assert bytes(found["image/format"]) == b"JPEG"
    raw = list(records_of(tmp_path / "ours"))
    assert (tmp_path / "ours").read_bytes() == b"".join(map(framed, raw))
    again = tmp_path / "again"
    write_tfrecord(again, iter(records), classes)
    assert again.read_bytes() == (tmp_path / "ours").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["again", "folder", "ours"]


@pytest.mark.parametrize(
    "targets", [[3, -1], [1 << 62, -(1 << 63)], ["käfer", "ö"], [None, None], [[1, 2], [-3, 0]], []], ids=str
)
def test_every_target_comes_back(tmp_path, targets):
    write_tfrecord(tmp_path / "x", [Record(f"sub/{i} ö.png", JPEG, target) for i, target in enumerate(targets)], ["a"])
    found = TFRecord(tmp_path / "x")
    assert found.targets == (None if targets in ([None, None], []) else targets)
    assert [found.samples.name(i) for i in range(len(targets))] == [f"sub/{i} ö.png" for i in range(len(targets))]


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(TypeError, match=r"a\.jpg: a TFRecord's label"):
        write_tfrecord(tmp_path / "x", [Record("b.jpg", JPEG, 0), Record("a.jpg", JPEG, {"x": 1})])
    assert os.listdir(tmp_path) == []
    with pytest.raises(OSError):
        write_tfrecord(tmp_path / "no" / "x", [])


def test_what_the_tfrecord_package_writes_is_read(tmp_path):
    tfrecord = pytest.importorskip("tfrecord")
    writer = tfrecord.TFRecordWriter(str(tmp_path / "theirs"))
    for number in range(4):
        writer.write(
            {
                "height": (20, "int"),
                "image/encoded": (jpeg_bytes(number), "byte"),
                "image/class/label": (number * 7 - 7, "int"),
                "mean": ([0.5, 1.5], "float"),
            }
        )
    writer.write({"image/encoded": (JPEG, "byte"), "image/class/label": (5, "int")}, {"frames": ([[1, 2], [3]], "int")})
    writer.close()
    found = TFRecord(tmp_path / "theirs")
    assert found.targets == [-7, 0, 7, 14, 5]
    assert [found.samples[i][0].read() for i in range(5)] == [jpeg_bytes(number) for number in range(4)] + [JPEG]
    assert found.samples.name(4) == "theirs/00000004"
    with pytest.raises(ValueError, match=r"record 4, .*no label, and others have one"):
        TFRecord(tmp_path / "theirs", target="height")
    left = TFRecord(tmp_path / "theirs", exclude=["theirs/00000004", "theirs/00000000"], check="never")
    assert left.targets == [0, 7, 14]


@pytest.mark.parametrize(
    ("written", "target"),
    [
        (image(3), 3),
        (image(None, ("image/class/label", ints(3, packed=False))), 3),
        (image(-1), -1),
        (image(None, ("image/class/label", ints(-(1 << 63), packed=False))), -(1 << 63)),
        (image(8, ("image/class/label", ints(3))), 3),  # the last of two
        (example(("image/class/label", ints(3)), ("image/encoded", bytes_list(b"first")), ("image/encoded", bytes_list(JPEG))), 3),
        (image(None, ("image/class/label", bytes_list("käfer".encode()))), "käfer"),
        (image(None, ("image/class/label", ints(3, 0, -5))), [3, 0, -5]),
        (image(None, ("image/class/label", ints(3) + ints(4, packed=False))), [3, 4]),  # one list in two pieces
        (image(None, ("image/class/label", floats(1.0) + ints(4))), 4),  # of two kinds the last
        (image(3, ("x", b""), ("y", floats(1, 2)), ("z", floats(1, 2, packed=False))), 3),
        (image(3) + field(2, b"lists of a SequenceExample") + b"\x5b\x08\x01\x5c", 3),  # a group
        (field(1, field(1, field(2, ints(3)) + field(1, b"image/class/label"))) + image(), 3),  # value before key
        (b"\x78\x05" + image(3) + b"\x7d1234" + b"\x79" + b"12345678", 3),  # fields that nobody knows
    ],
)  # fmt: skip
def test_every_form_of_a_feature(tmp_path, written, target):
    dataset = TFRecord(file_of(tmp_path / "x", written))
    assert dataset.samples[0][1] == target
    assert dataset.samples[0][0].read() == JPEG
    if target != [3, 0, -5]:
        pytest.importorskip("tfrecord")
        from tfrecord import example_pb2

        features = example_pb2.Example.FromString(written).features.feature["image/class/label"]
        assert list(features.int64_list.value or [value.decode() for value in features.bytes_list.value]) == (
            target if isinstance(target, list) else [target]
        )


@pytest.mark.parametrize(
    ("written", "what"),
    [
        (example(("a", ints(1)), ("b", ints(2))), 'no feature "image/encoded"; it has a, b'),
        (example(("image/encoded", bytes_list(JPEG, JPEG))), "is 2 of bytes, not one image"),
        (example(("image/encoded", ints(1, 2, 3))), "is 3 of int64"),
        (example(("image/encoded", b"")), "no feature|is 0 of nothing|nothing"),
        (field(1, b"") + field(2, b""), "context of this SequenceExample"),
        (image(None, ("image/class/label", floats(1.0))), "is floats"),
        (image(None, ("image/class/label", bytes_list(b"a", b"b"))), "is 2 texts"),
        (b"no example at all", "no tf.train.Example"),
        (image(3)[:-1], "no tf.train.Example"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "no tf.train.Example"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(tmp_path, written, what):
    good = image(1)
    with pytest.raises(ValueError, match=rf"/x: record 2, at byte {2 * (len(good) + 16)}: .*({what})"):
        TFRecord(file_of(tmp_path / "x", good, good, written))
    with pytest.raises(ValueError, match=r"/x: record 0, at byte 0"):
        TFRecord(file_of(tmp_path / "x", written, good))


def test_lengths_that_lie_and_cuts(tmp_path):
    good = framed(image(1))
    for tail, what in [
        (good[:11], "ends in its header"),
        (good[:-1], "is cut: it has"),
        (framed(image(1), length=1 << 40), "is cut: it has 1099511627776 bytes"),
        (framed(image(1), length=(1 << 64) - 1), "is cut: it has 18446744073709551615"),
        (b"\1" + good[1:], "checksum of its length is wrong"),
        (good[:-5] + bytes([good[-5] ^ 1]) + good[-4:], "checksum of its data is wrong"),
        (good[:-1] + b"?", "checksum of its data is wrong"),
    ]:
        (tmp_path / "x").write_bytes(good + tail)
        with pytest.raises(ValueError, match=rf"/x: record 1, at byte {len(good)}: .*{re.escape(what)}"):
            TFRecord(tmp_path / "x")
    assert TFRecord(tmp_path / "x", check="never").targets == [1, 1]
    with open(tmp_path / "hole", "wb") as sparse:
        head = (1 << 32).to_bytes(8, "little")
        sparse.write(head + masked(head))
        sparse.truncate(1 << 33)
    with pytest.raises(ValueError, match="2 GiB"):
        TFRecord(tmp_path / "hole")


def test_bytes_that_change_after_they_were_indexed(tmp_path):
    path = file_of(tmp_path / "x", image(1), image(2))
    kept, checked = TFRecord(path, TRANSFORM), TFRecord(path, TRANSFORM, check="always")
    assert len(kept[0][0]) == 3
    at, time = path.read_bytes().rindex(JPEG[300:320]), path.stat().st_mtime_ns
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(b"x")
    os.utime(path, ns=(time, time))  # as a failing disk does, which tells nobody
    list(DataLoader(kept, batch_size=1))
    with pytest.raises(fastload.FastloadError, match=r"sample 1 .*/x.*checksum of its bytes is wrong"):
        list(DataLoader(checked, batch_size=1))
    with pytest.raises(OSError, match="checksum of its bytes is wrong"):
        checked[1]
    checked[0]


def synset(label):
    return image(label, ("image/class/synset", bytes_list(b"n%08d" % label)))


def test_label_bases(tmp_path):
    path = file_of(tmp_path / "x", synset(1000), synset(1), synset(2))
    with pytest.warns(fastload.FastloadWarning, match="counted from 1"):
        found = TFRecord(path)
    assert (found.targets, found.facts["label_base"], found.classes) == ([999, 0, 1], 1, [])
    assert TFRecord(path, label_base=0).targets == [1000, 1, 2]
    assert TFRecord(path, label_base=1).targets == [999, 0, 1]
    with pytest.warns(fastload.FastloadWarning, match="counted from 1"):
        assert TFRecord(file_of(path, synset(2), synset(1), synset(2))).classes == ["n00000001", "n00000002"]
    for others in ([image(1), image(2)], [synset(0), synset(1)], [synset(1), synset(1001)]):
        assert TFRecord(file_of(path, *others)).facts["label_base"] == 0
    write_tfrecord(path, [Record("a/1.jpg", JPEG, 1, "a"), Record("b/1.jpg", JPEG, 2, "b")], ["z", "a", "b"])
    ours = TFRecord(path)
    assert (ours.targets, ours.classes) == ([1, 2], ["z", "a", "b"])


def test_the_names_of_others(tmp_path):
    tfds = example(("image", bytes_list(JPEG)), ("label", ints(4)), ("file_name", bytes_list(b"n1_2.JPEG")))
    found = TFRecord(file_of(tmp_path / "x", tfds))
    assert (found.targets, found.samples.name(0)) == ([4], "n1_2.JPEG")
    assert found.facts["features"] == {"image": "image", "target": "label", "name": "file_name", "class": None}
    none = TFRecord(file_of(tmp_path / "y", image(), image()))
    assert none.targets is None and none[0].size == (30, 20)
    assert TFRecord(tmp_path / "x", target=None).targets is None
    with pytest.raises(ValueError, match="no feature 'height'"):
        TFRecord(tmp_path / "x", target="height")
    with pytest.raises(ValueError, match=r"record 1, .*no label, and others have one"):
        TFRecord(file_of(tmp_path / "z", image(1), image()))
    with pytest.raises(ValueError, match="check="):
        TFRecord(tmp_path / "x", check="sometimes")


@pytest.mark.parametrize(("pack", "kind"), [(gzip.compress, "gzip"), (zlib.compress, "zlib")])
def test_compressed_files_are_refused_and_read_one_after_the_other(tmp_path, pack, kind):
    plain = file_of(tmp_path / "x", image(1), image(2)).read_bytes()
    (tmp_path / "x.tfrecord").write_bytes(pack(plain))
    with pytest.raises(ValueError, match=rf"x\.tfrecord is compressed as a whole \({kind}\).*fastload convert"):
        TFRecord(tmp_path / "x.tfrecord")
    assert list(records_of(tmp_path / "x.tfrecord")) == [image(1), image(2)]
    (tmp_path / "x.tfrecord").write_bytes(pack(plain)[:-40])
    with pytest.raises(ValueError, match=r"record"):
        list(records_of(tmp_path / "x.tfrecord"))


def test_files_are_found(tmp_path):
    for name in ("t-00000-of-00002", "t-00001-of-00002", "a.tfrecord", "no-ending"):
        file_of(tmp_path / name, image(1))
    for name in (".hidden.tfrecord", "dataset_info.json", "t-00000-of-00002.index"):
        (tmp_path / name).write_text("12 345\n")
    (tmp_path / "folder.tfrecord").mkdir()
    folder = [str(tmp_path / name) for name in ("a.tfrecord", "no-ending", "t-00000-of-00002", "t-00001-of-00002")]
    assert find_tfrecords(tmp_path) == folder
    assert find_tfrecords([tmp_path / "t-0000[01]-of-*2", folder[0]]) == [*folder[2:], folder[0]]
    file_of(tmp_path / "t-100000-of-00002", image(1))
    assert find_tfrecords(str(tmp_path / "t-?*-of-00002"))[-1].endswith("t-100000-of-00002")
    for source in (tmp_path, folder[0], tmp_path / "no-ending", tmp_path / "t-00000-of-00002"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fastload.shards.tfrecord_files.warn_of_missing", lambda *given: None)
            assert isinstance(open_source(source), TFRecord)
    with pytest.raises(FileNotFoundError, match="no file matches"):
        find_tfrecords(tmp_path / "u-*")
    with pytest.raises(FileNotFoundError, match="holds no TFRecords"):
        find_tfrecords(tmp_path / "folder.tfrecord")
    with pytest.raises(FileNotFoundError):
        TFRecord(tmp_path / "nowhere")
    file_of(tmp_path / "u-00001-of-00003", image(1))
    with pytest.warns(
        fastload.FastloadWarning, match=r"1 of 3 files of .*u-.* are there; missing: u-00000-of-00003, u-"
    ):
        find_tfrecords(tmp_path / "u-*")


def damaged_files(tmp_path, count):
    """A right answer or a clear error for each."""
    whole = b"".join(
        framed(image(n, ("image/filename", bytes_list(b"%d.jpg" % n)), data=JPEG[: 60 + n])) for n in range(3)
    )
    rng = random.Random(5)
    path = tmp_path / "x"
    errors = 0
    for number in range(count):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        if rng.random() < 0.2:
            del damaged[rng.randrange(len(damaged)) :]
        if number % 2:  # what no checksum stops
            starts = [0, len(whole) // 3, 2 * len(whole) // 3]
            parts = [bytes(damaged[start + 12 : start + len(whole) // 3 - 4]) for start in starts]
            damaged = b"".join(map(framed_fast, parts))
        path.write_bytes(damaged)
        found = _core.scan_tfrecord(
            str(path), len(damaged), "image/encoded", "image/class/label", "image/filename", "", number % 3 > 0, True
        )
        past = _core.scan_tfrecord(
            str(path), len(damaged), "image/encoded", "image/class/label", "image/filename", "", True, False, True
        )
        assert len(past["offset"]) + sum(row < 0 for _, _, row, _ in past["bad"]) == past["records"]
        assert all(row < len(past["offset"]) and 0 <= offset < len(damaged) for _, offset, row, _ in past["bad"])
        if "error" in found:
            errors += 1
            assert 0 <= found["error"][2] <= len(damaged)
            continue
        assert ((found["offset"] >= 0) & (found["offset"] + found["length"] <= len(damaged))).all()
        for offset, length, crc in zip(found["offset"], found["length"], found["crc32c"], strict=True):
            assert _core.crc32c(bytes(damaged[offset : offset + length])) == crc
    return errors


def framed_fast(data):
    from fastload.shards.tfrecord_records import masked_crc32c

    head = len(data).to_bytes(8, "little")
    return b"".join([head, masked_crc32c(head).to_bytes(4, "little"), data, masked_crc32c(data).to_bytes(4, "little")])


def test_damaged_files(tmp_path):
    assert 100 < damaged_files(tmp_path, 300) < 300


@pytest.mark.slow
def test_damaged_files_many(tmp_path):
    assert damaged_files(tmp_path, 10_000) > 3000
