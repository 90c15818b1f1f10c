"""Paths of every kind that ``open`` takes, and of kinds that it does not; and what a table of paths costs where it is sent."""

from __future__ import annotations

import copy
import os
import pathlib
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader as StockLoader
from torchvision.datasets import DatasetFolder
from torchvision.datasets import ImageFolder as StockFolder
from torchvision.datasets.folder import default_loader

import fastload
from fastload import DataLoader, FastloadError, ImageFiles, ImageFolder, ReadError
from fastload.datasets.sample_table import SampleTable
from images import jpeg_bytes

TRANSFORM = T.Compose([T.Resize((16, 16)), T.ToTensor()])
IN_PYTHON = T.Compose([T.Resize((16, 16)), T.ToTensor(), T.Lambda(torch.neg)])


class Like:
    """No path by inheritance."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        if isinstance(self.path, Exception):
            raise self.path
        return self.path


class Text(str):
    pass


GOOD = {
    "str": str,
    "a subclass of str": Text,
    "numpy's str": np.str_,
    "bytes": os.fsencode,
    "Path": pathlib.Path,
    "PurePath": pathlib.PurePosixPath,
    "PathLike": Like,
    "PathLike of bytes": lambda path: Like(os.fsencode(path)),
}
BAD = {
    "None": None,
    "a float": 1.5,
    "a list": ["a.jpg"],
    "an object": object(),
    "a bytearray": bytearray(b"a.jpg"),
    "embedded null": "a\0b.jpg",
    "embedded null in bytes": b"a\0b.jpg",
    "embedded null in a Path": pathlib.Path("a\0b.jpg"),
    "a lone surrogate": "\ud800.jpg",
    "a PathLike that raises": Like(KeyError("no such thing")),
    "a PathLike of no path": Like(5),
    "empty": "",
    "empty bytes": b"",
    "a folder": pathlib.Path(os.sep),
    "no such file": pathlib.Path("there is no such file.jpg"),
    "no such file, as bytes": b"there is no such file.jpg",
    "no such descriptor": 10**6,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paths") / "class"
    folder.mkdir()
    names = [folder / f"{i}é ü.jpg" for i in range(4)]
    for i, name in enumerate(names):
        name.write_bytes(jpeg_bytes(i, 40, 30))
    return [str(name) for name in names]


def of_files(paths, transform):
    return ImageFiles(paths, range(len(paths)), transform)


def of_folder(kind):
    def make(paths, transform):
        folder = os.path.dirname(os.path.dirname(os.fspath(next(p for p in paths if type(p) is str))))
        made = kind(folder, transform=transform)
        made.samples = [(path, i) for i, path in enumerate(paths)]
        return made

    return make


def plain_folder(folder, transform):
    return DatasetFolder(folder, default_loader, extensions=(".jpg",), transform=transform)


KINDS = {
    "ImageFiles": of_files,
    "fastload.ImageFolder": of_folder(ImageFolder),
    "torchvision's ImageFolder": of_folder(StockFolder),
    "DatasetFolder": of_folder(plain_folder),
}


def expected(files, transform):
    return [transform(default_loader(path)) for path in files]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("good", GOOD)
def test_paths_that_open_takes(files, kind, good):
    paths = [files[0], *map(GOOD[good], files[1:])]
    loaders = [
        DataLoader(KINDS[kind](paths, TRANSFORM), 4),
        DataLoader(KINDS[kind](paths, TRANSFORM), 4, num_workers=2),
        StockLoader(KINDS[kind](paths, TRANSFORM), 4),
    ]
    for loader in loaders:
        ((images, targets),) = loader
        assert targets.tolist() == [0, 1, 2, 3]
        assert torch.equal(images, torch.stack(expected(files, TRANSFORM)))
    assert "native" in loaders[0].explain()
    fallbacks = loaders[0].stats()
    assert fallbacks["images"] == 4


@pytest.mark.parametrize("kind", ["ImageFiles", "torchvision's ImageFolder"])
def test_paths_that_open_takes_with_python_in_workers(files, kind):
    paths = [files[0], pathlib.Path(files[1]), os.fsencode(files[2]), Like(files[3])]
    ((images, _),) = DataLoader(KINDS[kind](paths, IN_PYTHON), 4, num_workers=1)
    assert torch.equal(images, torch.stack(expected(files, IN_PYTHON)))


def test_a_file_descriptor_is_a_path_too(files):
    paths = [files[0], os.open(files[1], os.O_RDONLY)]
    ((images, _),) = DataLoader(KINDS["torchvision's ImageFolder"](paths, TRANSFORM), 2)
    assert torch.equal(images, torch.stack(expected(files[:2], TRANSFORM)))


def stock_error(path):
    with pytest.raises(Exception) as caught:
        default_loader(path)
    return caught.value


def type_of_ours(theirs):
    """The same, or what it is a kind of where that cannot be made from a message; not the user's own."""
    if isinstance(theirs, UnicodeEncodeError):
        return ValueError
    return FastloadError if isinstance(theirs, KeyError) else type(theirs)


@pytest.mark.parametrize("transform", [TRANSFORM, IN_PYTHON], ids=["native", "python"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", BAD)
def test_bad_paths_are_bad_samples(files, kind, bad, transform):
    paths = [files[0], BAD[bad], files[2], files[3]]
    theirs = stock_error(KINDS[kind](paths, transform).samples[1][0])  # bytes have become text in a table

    def loader(on_error):
        return DataLoader(KINDS[kind](paths, transform), 2, on_error=on_error)

    iterator = iter(loader("raise"))
    with pytest.raises(type_of_ours(theirs)) as caught:
        next(iterator)
    assert isinstance(caught.value, ReadError)
    assert caught.value.index == 1 and str(theirs) in str(caught.value)
    _, targets = next(iterator)
    assert targets.tolist() == [2, 3]
    skipping = loader("skip")
    assert [targets.tolist() for _, targets in skipping] == [[0], [2, 3]]
    assert [error.index for error in skipping.errors] == [1]
    assert [targets.tolist() for _, targets in loader("replace")] == [[0, 0], [2, 3]]


@pytest.mark.parametrize("bad", BAD)
def test_bad_paths_in_torchs_own_loader(files, bad):
    theirs = stock_error(BAD[bad])
    data = of_files([files[0], BAD[bad]], TRANSFORM)
    with pytest.raises(type_of_ours(theirs)):
        list(StockLoader(data, 2))
    with pytest.raises(type(theirs)):
        data[1]


def test_bad_paths_in_workers(files):
    paths = [files[0], None, files[2], "a\0b"]
    loader = DataLoader(of_files(paths, IN_PYTHON), 2, num_workers=2, on_error="skip")
    assert [targets.tolist() for _, targets in loader] == [[0], [2]]
    assert sorted(error.index for error in loader.errors) == [1, 3]
    with pytest.raises(ReadError) as caught:
        list(DataLoader(of_files(paths, IN_PYTHON), 2, num_workers=1))
    assert isinstance(caught.value, TypeError)


def test_a_table_knows_its_odd_paths():
    samples = [("a/b.jpg", 1), (None, 2), ("", 3), (5, 4), ("a\0", 5), ("a/c.jpg", 6)]
    for table in (
        SampleTable(samples),
        pickle.loads(pickle.dumps(SampleTable(samples))),
        copy.deepcopy(SampleTable(samples)),
    ):
        assert list(table) == samples
        assert [table[i] for i in range(-6, 6)] == samples + samples
        assert table[1:5] == samples[1:5]
        assert table == samples


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_table_is_its_arrays(protocol):
    samples = [(f"/data/train/n{i % 50:08d}/n{i % 50:08d}_{i}.JPEG", i % 50) for i in range(20_000)]
    table = SampleTable(samples)
    pickled = pickle.dumps(table, protocol)
    assert len(pickled) < table.memory_bytes + 2000
    again = pickle.loads(pickled)
    assert list(again) == samples and again.memory_bytes <= table.memory_bytes + 1000
    assert list(pickle.loads(pickle.dumps(SampleTable([])))) == []


@pytest.mark.parametrize("part", range(6))
@pytest.mark.parametrize("change", [b"", b"\xff" * 4, b"\xff" * 8, b"\0" * 16, b"\1" * 800], ids=repr)
def test_damaged_arrays_are_refused_or_harmless(part, change):
    table = fastload._core.PathTable()
    for i in range(20):
        table.append(f"/a/b{i % 3}/c{i}.jpg", i)
    kind, arguments, state, *_ = table.__reduce_ex__(2)
    damaged = list(state)
    damaged[part] = change
    other = kind(*arguments)
    try:
        other.__setstate__(tuple(damaged))
    except ValueError:
        return
    for i in range(len(other)):
        other.path(i)


def test_sending_a_table_makes_no_list():
    """What a spawned worker costs; a list of tuples took 250 bytes a path and more, on both sides."""
    table = SampleTable((f"/data/train/n{i % 50:08d}/n{i % 50:08d}_{i}.JPEG", i % 50) for i in range(20_000))
    tracemalloc.start()
    try:
        pickled = pickle.dumps(table)
        sent = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        pickle.loads(pickled)
        received = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert sent < 3 * table.memory_bytes and received < 2 * table.memory_bytes
