"""LMDB: each layout that others write is read without liblmdb, lmdb reads ours, and no damaged file takes the process with it."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import random
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader as StockLoader
from torchvision.datasets import ImageFolder

import fastload
from fastload import LMDB, DataLoader
from fastload.datasets import open_source
from fastload.shards import Record, write_lmdb
from images import jpeg_bytes, write_folder
from record_files import field, folder_records, varint

lmdb = pytest.importorskip("lmdb")

TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.ToTensor()])
IN_PYTHON = T.Compose([T.Resize((16, 16)), T.ToTensor(), T.Lambda(torch.neg)])
JPEGS = [jpeg_bytes(number, 40 + number, 30) for number in range(12)]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def database(path, items, *, subdir=True, name=None, **options):
    """Written by lmdb itself."""
    env = lmdb.open(str(path), map_size=1 << 26, subdir=subdir, max_dbs=4)
    where = None if name is None else env.open_db(name.encode(), **options)
    with env.begin(write=True, db=where) as transaction:
        for key, value in items:
            transaction.put(key if isinstance(key, bytes) else key.encode(), value)
    env.close()
    return path


def read_all(dataset):
    return [dataset.samples[i][0].read() for i in range(len(dataset))]


@pytest.mark.parametrize("transform", [TRANSFORM, IN_PYTHON], ids=["threads", "workers"])
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("caffe", [False, True])
def test_batches_are_those_of_the_folder(tmp_path, transform, num_workers, caffe):
    folder = write_folder(tmp_path / "folder", 3, 6, largest=60)
    records, classes = folder_records(folder)
    write_lmdb(tmp_path / "all.mdb", records, classes, caffe=caffe)
    assert sorted(os.listdir(tmp_path)) == ["all.mdb", "folder"]
    ours = LMDB(tmp_path / "all.mdb", transform)
    plain = ImageFolder(folder, transform)
    assert (ours.classes, ours.class_to_idx, ours.targets) == (plain.classes, plain.class_to_idx, plain.targets)
    assert read_all(ours) == [record.data for record in records]
    assert [ours.samples.name(i) for i in range(18)] == [record.name for record in records]
    batches = []
    for kind, dataset in ((StockLoader, plain), (DataLoader, ours), (StockLoader, ours)):
        torch.manual_seed(3)
        batches.append(list(kind(dataset, batch_size=5, shuffle=True, num_workers=num_workers)))
    assert DataLoader(ours).explain().startswith("native:")
    for others in batches[1:]:
        for mine, theirs in zip(batches[0], others, strict=True):
            assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])


def test_lmdb_reads_what_we_write(tmp_path):
    records, classes = folder_records(write_folder(tmp_path / "folder", 2, 3))
    write_lmdb(tmp_path / "ours", iter(records), classes)
    with lmdb.open(str(tmp_path / "ours"), subdir=False, readonly=True, lock=False) as env, env.begin() as transaction:
        assert [transaction.get(b"%08d" % i) for i in range(6)] == [record.data for record in records]
        assert transaction.stat()["entries"] == 7
    write_lmdb(tmp_path / "again", records, classes)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "ours").read_bytes()
    assert not [name for name in os.listdir(tmp_path) if "lock" in name or ".part" in name]


@pytest.mark.parametrize(
    ("targets", "kind"), [([3, -1], "int"), (["käfer", ""], "text"), ([None, None], None), ([{"a": [1]}, None], "json")]
)
def test_every_target_comes_back(tmp_path, targets, kind):
    write_lmdb(tmp_path / "x", [Record(f"sub/{i} ö.jpg", JPEGS[i], target) for i, target in enumerate(targets)])
    found = LMDB(tmp_path / "x")
    assert found.targets == (None if kind is None else targets)
    assert [found.samples.name(i) for i in (0, 1)] == ["sub/0 ö.jpg", "sub/1 ö.jpg"]


def test_a_map_that_is_full_grows(tmp_path, monkeypatch):
    monkeypatch.setattr("fastload.shards.lmdb_writer._FIRST_MAP", 1 << 16)
    monkeypatch.setattr("fastload.shards.lmdb_writer._BATCH_BYTES", 1 << 15)
    write_lmdb(tmp_path / "x", (Record(str(i), bytes([i]) * 20_000, i) for i in range(40)))
    assert read_all(LMDB(tmp_path / "x")) == [bytes([i]) * 20_000 for i in range(40)]


def datum(data, label, encoded=True):
    head = b"" if encoded else b"\x08\x03\x10\x02\x18\x02"
    return (
        head + field(4, data) + (b"" if label is None else b"\x28" + varint(label)) + (b"\x38\x01" if encoded else b"")
    )


def labelled(count, first=1):
    for number in range(first, first + count):
        yield f"image-{number:09d}", JPEGS[number]
        yield f"label-{number:09d}", f"wörd {number}".encode()


LAYOUTS = {
    "datum": (
        [(f"{i:08d}_c{i % 2}/{i}.jpg", datum(JPEGS[i], i % 2)) for i in range(12)],
        JPEGS,
        [0, 1] * 6,
        [f"c{i % 2}/{i}.jpg" for i in range(12)],
    ),
    "lsun": ([(f"{i:040x}", JPEGS[i]) for i in range(12)], JPEGS, None, [f"{i:040x}" for i in range(12)]),
    "numbers": (
        [(f"{i}", JPEGS[i]) for i in range(12)]
        + [("__len__", pickle.dumps(12)), ("__keys__", pickle.dumps([b"%d" % i for i in range(12)]))],
        JPEGS,
        None,
        [f"{i}" for i in range(12)],  # not in LMDB's order, 0, 1, 10, 11, 2
    ),
    "text": (
        [*labelled(11), ("num-samples", b"11")],
        JPEGS[1:],
        [f"wörd {i}" for i in range(1, 12)],
        [f"image-{i:09d}" for i in range(1, 12)],
    ),
    "basicsr": ([("0801_s001", JPEGS[0]), ("0802x2", JPEGS[1])], JPEGS[:2], None, ["0801_s001", "0802x2"]),
    "small": ([("a", b"BM1"), ("b", b"BM22")], [b"BM1", b"BM22"], None, ["a", "b"]),  # within a page
}


@pytest.mark.parametrize("subdir", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout, subdir):
    items, images, targets, names = LAYOUTS[layout]
    path = database(tmp_path / "db", items, subdir=subdir)
    before = sorted(os.walk(tmp_path))
    found = LMDB(path)
    assert (read_all(found), found.targets) == (images, targets)
    assert [found.samples.name(i) for i in range(len(found))] == names
    assert [files for _, _, files in before] == [
        files for folder, _, files in sorted(os.walk(tmp_path)) if not folder.endswith((".fastload", "index", "cache"))
        and not folder.endswith("cache/fastload")
    ]  # fmt: skip
    assert LMDB(path, exclude=names[:1]).samples.name(0) == names[1]


def test_without_a_lock_and_where_nothing_can_be_written(tmp_path, monkeypatch):
    path = database(tmp_path / "db", LAYOUTS["datum"][0])
    os.unlink(path / "lock.mdb")
    os.chmod(path / "data.mdb", 0o444)
    monkeypatch.setattr("fastload.shards.index_place.FOLDER", "/proc/nowhere")
    assert read_all(LMDB(path)) == JPEGS
    assert os.listdir(path) == ["data.mdb"]


def test_several_databases(tmp_path):
    (tmp_path / "lsun").mkdir()
    for name, at in (("bedroom_val_lmdb", 0), ("tower_val_lmdb", 6)):
        database(tmp_path / "lsun" / name, [(f"k{i:02d}", JPEGS[i]) for i in range(at, at + 6)])
    (tmp_path / "lsun" / "test.txt").write_text("x")
    for paths in (tmp_path / "lsun", tmp_path / "lsun" / "*_val_*", sorted((tmp_path / "lsun").glob("*_lmdb"))):
        found = LMDB(paths)
        assert (found.classes, found.targets) == (["bedroom_val", "tower_val"], [0] * 6 + [1] * 6)
        assert read_all(found) == JPEGS and found.samples.name(6) == "tower_val/k06"
    for number in range(2):
        write_lmdb(tmp_path / f"{number}.mdb", [Record(f"a{number}.jpg", JPEGS[number], number)], ["x", "y"])
    found = LMDB(tmp_path / "?.mdb")
    assert (found.classes, found.targets, read_all(found)) == (["x", "y"], [0, 1], JPEGS[:2])
    for missing in (tmp_path / "none-*", tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError):
            LMDB(missing)
    for source in (tmp_path / "lsun", tmp_path / "0.mdb", tmp_path / "lsun" / "bedroom_val_lmdb"):
        assert isinstance(open_source(source), LMDB)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no LMDB"):
        LMDB(tmp_path / "empty")


def test_a_named_database(tmp_path):
    path = database(tmp_path / "db", [("a", JPEGS[0]), ("b", JPEGS[1])], name="train")
    assert read_all(LMDB(path, database="train")) == JPEGS[:2]
    with pytest.raises(ValueError, match="NotFound"):
        LMDB(path, database="val")
    twice = database(tmp_path / "twice", [("a", b"1"), ("a", b"2")], name="train", dupsort=True)
    with pytest.raises(ValueError, match="DUPSORT"):
        LMDB(twice, database="train")


class Harmful:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


def pickled(key, value):
    return None if key.startswith(b"__") else pickle.loads(value)


def upside_down(key, value):
    """An image that is not in the value as it is."""
    return bytes(value)[::-1], len(value)


def test_pickles_are_refused_and_read_by_a_function(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    items = [(f"{i}", pickle.dumps(([JPEGS[i]], np.array([i % 3])))) for i in range(12)]
    path = database(tmp_path / "db", [*items, ("__len__", pickle.dumps(Harmful()))])
    with pytest.raises(ValueError, match=r"a Python pickle, which is never loaded.*read=lambda key, value"):
        LMDB(path)
    assert not (tmp_path / "harm").exists()
    found = LMDB(path, TRANSFORM, read=pickled)
    by_name = {found.samples.name(i): found.samples[i] for i in range(12)}
    assert [by_name[f"{i}"][1] for i in range(12)] == [i % 3 for i in range(12)]
    assert [by_name[f"{i}"][0].read() for i in range(12)] == JPEGS
    assert type(found.samples[0][0]).__name__ == "ByteRange"  # the function is not asked again
    in_order = LMDB(path, read=(lambda values: [b"%d" % i for i in range(len(values) - 1)], pickled))
    assert [in_order.samples.name(i) for i in range(12)] == [f"{i}" for i in range(12)]
    for bad, error, what in (
        (lambda key, value: 3, TypeError, "returned int"),
        (lambda key, value: (3, 4), TypeError, "int for the image"),
        (lambda key, value: 1 / 0, ZeroDivisionError, "division"),
    ):
        with pytest.raises(error, match=what):
            LMDB(path, read=bad)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_images_that_only_a_function_can_read(tmp_path, num_workers):
    path = database(tmp_path / "db", [(f"{i:02d}", JPEGS[i][::-1]) for i in range(12)])
    found = LMDB(path, TRANSFORM, read=upside_down)
    assert (read_all(found), found.targets) == (JPEGS, [len(one) for one in JPEGS])
    assert read_all(pickle.loads(pickle.dumps(found))) == JPEGS
    (tmp_path / "plain").mkdir()
    for i, data in enumerate(JPEGS):
        (tmp_path / "plain" / f"{i:02d}.jpg").write_bytes(data)
    plain = fastload.ImageFiles(sorted((tmp_path / "plain").iterdir()), found.targets, TRANSFORM)
    batches = []
    for dataset in (plain, found):
        torch.manual_seed(5)
        batches.append(list(DataLoader(dataset, batch_size=4, shuffle=True, num_workers=num_workers)))
    for mine, theirs in zip(*batches, strict=True):
        assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])


@pytest.mark.parametrize(
    ("items", "what"),
    [
        ([("a", b"no image")], r"key b'a' begins with b'no image'.*no layout that is known.*read="),
        ([("a", datum(bytes(12), 1, encoded=False))], r"raw pixels \(3 x 2 x 2, .*blue, green, red.*read="),
        ([("a", datum(JPEGS[0], 1)), ("b", JPEGS[1])], r"value b'b', at byte \d+, is no Datum"),
        ([*labelled(2), ("num-samples", b"3")], "num-samples is 3, and there is no image-000000003"),
        ([*labelled(2), ("num-samples", b"9" * 30)], "num-samples is"),
        ([*list(labelled(2))[:-1], ("num-samples", b"2")], "there is no label-000000002, and others"),
        ([("__fastload__", b"x" * 64)], "what it says of its samples does not hold"),
    ],
)
def test_what_is_not_known_is_said(tmp_path, items, what):
    with pytest.raises(ValueError, match=what):
        LMDB(database(tmp_path / "db", items))


def test_an_empty_database_and_what_is_none(tmp_path):
    assert len(LMDB(database(tmp_path / "db", []))) == 0
    write_lmdb(tmp_path / "ours", [], ["a"])
    assert (len(LMDB(tmp_path / "ours")), LMDB(tmp_path / "ours").classes) == (0, ["a"])
    for data in (b"", b"x" * 8192):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(ValueError, match="no LMDB data file"):
            LMDB(tmp_path / "x")


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    def broken():
        yield Record("a.jpg", JPEGS[0], 0)
        raise KeyError("the source broke")

    for records, options, error in (
        (broken(), {}, KeyError),
        ([Record("a.jpg", JPEGS[0], "text")], {"caffe": True}, TypeError),
        ([Record("a" * 600, JPEGS[0], 1)], {"caffe": True}, ValueError),
        ([Record("a", JPEGS[0], object())], {}, TypeError),
    ):
        with pytest.raises(error):
            write_lmdb(tmp_path / "x", records, **options)
        assert os.listdir(tmp_path) == []
    with pytest.raises(OSError):
        write_lmdb(tmp_path / "no" / "x", [])


def test_a_database_that_changes(tmp_path):
    path = database(tmp_path / "db", [("a", JPEGS[0])])
    times = os.stat(path / "data.mdb")
    assert read_all(LMDB(path)) == JPEGS[:1]
    database(path, [("a", JPEGS[1]), ("b", JPEGS[2])])
    os.utime(path / "data.mdb", ns=(times.st_atime_ns, times.st_mtime_ns))  # a map that is written to may leave it so
    assert read_all(LMDB(path)) == JPEGS[1:3]


def test_a_writer_at_work_is_said(tmp_path):
    path = database(tmp_path / "db", [("a", JPEGS[0])])
    with lmdb.open(str(path), map_size=1 << 26) as env:
        with env.begin(write=True), pytest.warns(fastload.FastloadWarning, match="is being written to"):
            LMDB(path)
        assert read_all(LMDB(path)) == JPEGS[:1]


def test_forks_share_nothing(tmp_path):
    found = LMDB(database(tmp_path / "db", LAYOUTS["lsun"][0]), TRANSFORM)
    held = Path("/proc/self/maps").read_text().splitlines()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # another thread's, which has closed it
            held.append(os.readlink(f"/proc/self/fd/{number}"))
    assert not [one for one in held if str(tmp_path) in one and one.endswith("data.mdb")]
    child = os.fork()
    if child == 0:
        os._exit(0 if read_all(found) == JPEGS else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_without_the_package(tmp_path, monkeypatch):
    path = database(tmp_path / "db", LAYOUTS["lsun"][0])
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(ImportError, match=r"fastload-torch\[lmdb\]"):
        LMDB(path)


def test_a_crash_of_liblmdb_is_an_error(tmp_path, monkeypatch):
    path = database(tmp_path / "db", LAYOUTS["lsun"][0])
    crash = tmp_path / "lmdb_walk.py"
    crash.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr("fastload.shards.lmdb_values.__file__", str(tmp_path / "lmdb_values.py"))
    with pytest.raises(ValueError, match=r"data\.mdb is damaged: liblmdb crashed on it \(SIGSEGV\)"):
        LMDB(path)


def test_a_cut_file(tmp_path):
    path = database(tmp_path / "db", LAYOUTS["lsun"][0], subdir=False)
    found = LMDB(path, TRANSFORM)
    size = os.path.getsize(path)
    os.truncate(path, size // 2)
    with pytest.raises(fastload.FastloadError, match=r"db, sample 0+\w+ at byte \d+"):
        list(DataLoader(found, batch_size=4))
    with pytest.raises(ValueError, match="db"):
        LMDB(path)


def damaged_files(tmp_path, count):
    """Names and bytes of structure changed: an error, or values that are in the file, from lmdb's walk in this process's child."""
    from fastload.shards import lmdb_walk
    from fastload.shards.lmdb_values import lmdb_shard

    whole = (database(tmp_path / "db", LAYOUTS["datum"][0]) / "data.mdb").read_bytes()
    structure = [at for page in range(0, len(whole), 4096) for at in (*range(page, page + 64), page + 4000)]
    rng = random.Random(7)
    path = tmp_path / "x"
    errors = 0
    for _ in range(count):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.choice(structure) % len(damaged)] ^= 1 << rng.randrange(8)
        if rng.random() < 0.1:
            del damaged[rng.randrange(4096, len(damaged)) :]
        path.write_bytes(damaged)
        try:
            lmdb_shard(str(path))
            lmdb_walk.verified(str(path))
            walked = lmdb_walk.walk(str(path), "")  # what passes the verifier does not crash liblmdb
        except (ValueError, lmdb.Error):
            errors += 1
            continue
        assert (walked["offset"] + walked["length"] <= len(damaged)).all()
    return errors


def test_damaged_files(tmp_path):
    assert damaged_files(tmp_path, 300) > 100


@pytest.mark.slow
def test_damaged_files_many(tmp_path):
    assert damaged_files(tmp_path, 10_000) > 3000


def test_damaged_files_whole_way(tmp_path):
    whole = (database(tmp_path / "db", LAYOUTS["datum"][0]) / "data.mdb").read_bytes()
    path = tmp_path / "x"
    for at in (4096 * 2 + 8, 4096 * 3 + 12, 4096 + 140, len(whole) - 4096 * 2):
        damaged = bytearray(whole)
        damaged[at] ^= 0x21
        path.write_bytes(damaged)
        try:
            assert all(one in whole or one in bytes(damaged) for one in read_all(LMDB(path)))
        except ValueError as error:
            assert "/x" in str(error)


def test_an_image_is_pillows(tmp_path):
    path = database(tmp_path / "db", LAYOUTS["lsun"][0])
    assert np.array_equal(LMDB(path)[3], PIL.Image.open(io.BytesIO(JPEGS[3])).convert("RGB"))
