"""A shard that becomes another while a data set of it is open: never another image with an old target."""

from __future__ import annotations

import importlib.util
import io
import os
import pickle
import shutil

import pytest
import torch
import torchvision.transforms as T

import fastload
from fastload import DataLoader, DecodeError, ReadError
from fastload.conversion import BadSampleError, convert
from images import picture

TENSOR = T.Compose([T.CenterCrop(8), T.PILToTensor()])
SAID = r"has changed since it was indexed: open the data set anew"
ENDINGS = (".jpg", ".png")


def encoded(number):
    """Every second one is Pillow's to read; all are of one length."""
    buffer = io.BytesIO()
    picture(number, 12, 12).save(buffer, "PNG" if number % 2 else "JPEG")
    return buffer.getvalue().ljust(2000, b"\0")


def called(key, value):
    return None if key.startswith(b"__") else (bytes(value)[1:], key[-1] % 2)


def put_lmdb(values, path):
    import lmdb

    with lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 20) as env, env.begin(write=True) as writing:
        for number, value in enumerate(values):
            writing.put(b"%08d" % number, b"\0" + value)


def put_feather(source, path):
    import pyarrow.feather
    import pyarrow.parquet

    pyarrow.feather.write_feather(pyarrow.parquet.read_table(source), path, compression="uncompressed")


KINDS = {
    "webdataset": ("webdataset", fastload.WebDataset),
    "tfrecord": ("tfrecord", fastload.TFRecord),
    "checked": ("tfrecord", lambda path, *a: fastload.TFRecord(path, *a, check="always")),
    "lmdb": ("lmdb", fastload.LMDB),
    "called": (None, lambda path, *a: fastload.LMDB(path, *a, read=called)),
    "parquet": ("parquet", fastload.Parquet),
    "arrow": ("parquet", fastload.Parquet),
}
NEEDS = {"lmdb": "lmdb", "called": "lmdb", "parquet": "pyarrow", "arrow": "pyarrow"}
every_kind = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind, marks=pytest.mark.skipif(not importlib.util.find_spec(NEEDS.get(kind, "os")), reason="extra")
        )
        for kind in KINDS
    ],
)


@pytest.fixture(scope="module")
def shard_files(tmp_path_factory):
    """Of each kind two shards of equal sizes, of other pixels."""
    root = tmp_path_factory.mktemp("changing")
    made = {}

    def files(kind):
        if kind in made:
            return made[kind]
        pair = []
        for version in (0, 100):
            folder = root / f"{kind}-{version}"
            if kind == "called":
                folder.mkdir()
                put_lmdb([encoded(version + number) for number in range(6)], folder / "data.mdb")
            else:
                for number in range(6):
                    path = root / f"src-{version}" / f"class{number % 2}" / f"{number}{ENDINGS[number % 2]}"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(encoded(version + number))
                convert(root / f"src-{version}", folder, KINDS[kind][0])
            pair.append(next(path for path in folder.iterdir() if path.is_file() and path.suffix != ".json"))
            if kind == "arrow":
                put_feather(pair[-1], folder / "one.arrow")
                pair[-1] = folder / "one.arrow"
        made[kind] = pair
        return pair

    return files


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def opened(shard_files, tmp_path):
    """``open(kind)``: the data set, its shard, and the shard that comes in its place."""

    def open_it(kind, transform=TENSOR):
        old, new = shard_files(kind)
        assert old.stat().st_size == new.stat().st_size
        shard = tmp_path / "set" / old.name
        shard.parent.mkdir(exist_ok=True)
        shutil.copyfile(old, shard)
        os.utime(shard, (1e9, 1e9))  # what is written to it later has another time, whatever the clock's tick
        return KINDS[kind][1](str(shard), transform), shard, new

    return open_it


def rewritten(shard, new):
    with open(shard, "r+b") as file:
        file.write(new.read_bytes())


def replaced(shard, new):
    shutil.copyfile(new, shard.with_suffix(".new"))
    os.replace(shard.with_suffix(".new"), shard)


def replaced_with_its_time(shard, new):
    """As ``rsync -t`` and ``cp -p`` do, of another shard of this size and time."""
    time = shard.stat().st_mtime_ns
    replaced(shard, new)
    os.utime(shard, ns=(time, time))


def longer(shard, new):
    rewritten(shard, new)
    with open(shard, "ab") as file:
        file.write(bytes(512))


def shorter(shard, new):
    rewritten(shard, new)
    os.truncate(shard, shard.stat().st_size - 1)


@every_kind
def test_no_sample_is_of_the_new_shard(opened, kind):
    dataset, shard, new = opened(kind)
    loaders = [
        DataLoader(dataset, 2, persistent_workers=workers > 0, num_workers=workers, cache=cache)
        for workers, cache in ((0, None), (2, None), (0, "encoded"), (0, "decoded"))
    ]
    before = list(loaders[0])
    mapped = iter(loaders[1])
    next(mapped)
    rewritten(shard, new)
    for loader in [loaders[0], *loaders[2:]]:
        with pytest.raises(ReadError, match=SAID) as raised:
            list(loader)
        assert str(shard) in str(raised.value)
    # The workers, which had it before; where Pillow reads again what the engine has read, it is Pillow that is told.
    with pytest.raises((ReadError, DecodeError), match=SAID):
        for _ in range(2):
            list(mapped)
            mapped = iter(loaders[1])
    for item in (lambda: dataset[1], lambda: dataset.samples[1][0].read(), lambda: dataset.__getitems__([0, 1])):
        with pytest.raises(OSError, match=SAID):
            item()
    anew = list(DataLoader(KINDS[kind][1](str(shard), TENSOR), 2))
    assert all(torch.equal(a[1], b[1]) and not torch.equal(a[0], b[0]) for a, b in zip(anew, before, strict=True))


@pytest.mark.parametrize("change", [longer, shorter, replaced, replaced_with_its_time])
def test_each_change_is_told(opened, change):
    for kind in ("webdataset", "checked"):
        dataset, shard, new = opened(kind)
        copied = pickle.loads(pickle.dumps(dataset))  # as another process has it
        change(shard, new)
        for one in (dataset, copied) if change is not replaced_with_its_time else (dataset,):
            with pytest.raises(ReadError, match=SAID):
                list(DataLoader(one, 2))


def test_a_cache_that_knows_the_new_shard_gives_the_old_data_set_none_of_it(opened):
    old, shard, new = opened("webdataset")
    rewritten(shard, new)
    anew = fastload.WebDataset(str(shard), TENSOR)
    for cache in ("encoded", "decoded"):
        kept = DataLoader(anew, 2, cache=cache)
        list(kept)
        with pytest.raises(ReadError, match=SAID):
            list(DataLoader(old, 2, cache=cache))


def test_what_is_skipped_counts(opened):
    dataset, shard, new = opened("webdataset")
    replaced(shard, new)
    with pytest.raises(fastload.reports.TooManyErrors, match=SAID):
        list(DataLoader(dataset, 2, on_error="skip", max_errors=2))


def test_a_conversion_takes_no_sample_of_the_new_shard(opened, tmp_path, monkeypatch):
    _, shard, new = opened("webdataset")
    from fastload.conversion import convert_source

    plain = convert_source._check_folder_names

    def late(*args):
        rewritten(shard, new)
        return plain(*args)

    monkeypatch.setattr(convert_source, "_check_folder_names", late)
    with pytest.raises(BadSampleError, match="changed since it was indexed"):
        convert(shard, tmp_path / "dst", "folder")


def test_a_shard_that_is_only_linked_or_read_stays_what_it_is(opened):
    dataset, shard, _ = opened("tfrecord")
    os.link(shard, shard.with_suffix(".link"))
    os.chmod(shard, 0o400)
    moved = shard.with_suffix(".moved")
    os.rename(shard, moved)
    os.rename(moved, shard)
    assert len(list(DataLoader(dataset, 2))) == 3
