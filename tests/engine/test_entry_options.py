"""``entries=`` beside other options: what it may be, what a cache leaves of it, and what ``explain()`` says at any time."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
import torchvision.transforms as v1
from test_entry_points import EVAL, TRAIN, assert_as_torch, index, stacked, written
from torch.utils.data import ConcatDataset, Subset
from torchvision.datasets import ImageFolder

import fastload
from fastload.batches import choose
from fastload.engine import file_dataset_of
from fastload.entries import entry_points_of, make_entries
from fastload.gpu.decode_options import has_entries

CACHED = {"cache": "encoded", "cache_bytes": 1 << 24}
WAYS = [{}, {"num_workers": 2}, {"num_workers": 2, "collate_fn": stacked}]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eight of them."""
    return written(tmp_path_factory.mktemp("photos"))


def loader_of(photos, transform=EVAL, **options):
    return fastload.DataLoader(ImageFolder(photos, transform), **{"batch_size": 3, **options})


def line_of(loader):
    return "\n".join(line for line in loader.explain().splitlines() if line.startswith("  entries: "))


@pytest.mark.parametrize(
    ("given", "meant"), [("autp", "auto"), ("Auto", "auto"), ("verfy", "verify"), ("of", "off"), ("OFF", "off")]
)
def test_a_word_that_is_mistyped(photos, tmp_path, monkeypatch, given, meant):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"'auto', 'verify', 'off'.*'{given}'.*did you mean '{meant}'"):
        loader_of(photos, entries=given)
    (tmp_path / given).touch()
    loader_of(photos, entries=given)  # a file of that name is meant


def test_a_path_to_nowhere(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in ("no/entries", str(tmp_path / "no" / "entries"), tmp_path / "no" / "entries", Path("no/autp")):
        with pytest.raises(ValueError, match=r"'auto', 'verify', 'off'.*neither such a file nor a folder for it"):
            loader_of(photos, entries=given)
    for given in ("photos.entries", tmp_path / "autp", str(tmp_path / "later")):
        loader_of(photos, entries=given)


@pytest.mark.parametrize("options", WAYS, ids=["caller", "threads", "workers"])
@pytest.mark.parametrize("transform", [EVAL, TRAIN], ids=["eval", "train"])
def test_a_cache_that_fills_enters_files_by_what_is_known(photos, options, transform):
    assert index(photos).made == 8
    loader = assert_as_torch(photos, CACHED, transform=transform, **options)
    assert loader.stats()["entries"] == {"used": 8, "made": 0, "ignored": 0}
    assert loader.stats()["cache"]["hits"] == 0 and loader.stats()["cache"]["samples"] == 8
    list(loader)
    assert loader.stats()["entries"]["used"] == 8 and loader.stats()["cache"]["hits"] == 8


@pytest.mark.parametrize("options", WAYS, ids=["caller", "threads", "workers"])
def test_a_cache_that_fills_makes_what_is_not_known(photos, options):
    loader = assert_as_torch(photos, CACHED, transform=EVAL, **options)
    assert loader.stats()["entries"] == {"used": 0, "made": 8, "ignored": 0}
    assert loader.stats()["cache"]["samples"] == 8
    del loader
    other = assert_as_torch(photos, CACHED, transform=TRAIN, **options)
    assert other.stats()["entries"]["used"] == 8


@pytest.mark.parametrize("entries", ["auto", "verify"])
def test_a_cache_keeps_the_files_as_they_are_now(tmp_path, entries):
    own = written(tmp_path / "own")
    index(own)
    files = sorted((own / "a").iterdir())
    times = os.stat(files[0])
    files[0].write_bytes(files[0].read_bytes()[:-300])  # another size
    data = bytearray(files[1].read_bytes())
    data[len(data) // 2] ^= 4
    files[1].unlink()
    files[1].write_bytes(data)  # another file of the same size and time
    os.utime(files[1], ns=(times.st_atime_ns, os.stat(files[1]).st_mtime_ns))
    loader = loader_of(own, entries=entries, on_error="skip", **CACHED)
    plain = loader_of(own, entries="off", on_error="skip")
    for _ in range(2):
        for (images, targets), (own_images, own_targets) in zip(plain, loader, strict=True):
            assert torch.equal(images, own_images) and torch.equal(targets, own_targets)


def test_a_cache_of_pixels_says_that_it_decodes_whole_images(photos):
    index(photos)
    loader = assert_as_torch(photos, {**CACHED, "cache": "decoded"}, 2, transform=EVAL)
    assert loader.stats()["entries"]["used"] == 0
    assert "not used for images that cache='decoded' has no pixels of yet" in line_of(loader)
    assert "cache='decoded'" not in line_of(loader_of(photos))


@pytest.mark.parametrize("options", WAYS, ids=["caller", "threads", "workers"])
def test_explain_counts_what_was_made_since(photos, options):
    loader = loader_of(photos, **options)
    assert line_of(loader) == ""
    iterator = iter(loader)
    next(iterator)
    assert "of 8 samples have entry points" in line_of(loader)
    assert list(iterator)
    assert "8 of 8 samples have entry points, 8 of them since this epoch began" in line_of(loader)
    assert "others get theirs" not in line_of(loader)
    del iterator
    list(loader)
    assert "8 of 8 samples have entry points, in " in line_of(loader)


def assert_says_closed(loader, known, samples):
    said = line_of(loader)
    assert f"{known} of {samples} samples have entry points" in said and "others get theirs" not in said
    assert "no new ones are kept, since " in said and "cannot be written: set XDG_CACHE_HOME" in said


def test_explain_where_there_can_be_no_cache_folder(photos, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    loader = loader_of(photos)
    list(loader)
    assert_says_closed(loader, 0, 8)


def test_explain_where_the_cache_folder_is_anothers(tmp_path, monkeypatch):
    own = written(tmp_path / "own")
    index(own)
    shutil.copy(own / "a" / "1.jpg", own / "a" / "new.jpg")
    assert "others get theirs" in line_of(loader_of(own))
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever is root may write anywhere
    assert_says_closed(loader_of(own), 8, 9)


def test_explain_says_whose_process_makes_samples(photos):
    tail = v1.Compose([*EVAL.transforms, lambda tensor: tensor.tolist()])
    caller = loader_of(photos, tail).explain().splitlines()[0]
    workers = loader_of(photos, tail, num_workers=1).explain().splitlines()[0]
    assert caller.startswith(
        "native: images are read, decoded and transformed in the main process (num_workers=0), because "
    )
    assert workers.startswith("native: images are read, decoded and transformed in torch's workers, because ")
    with pytest.warns(fastload.FastloadWarning, match="the batches are made in the main process, not native threads"):
        next(iter(loader_of(photos, tail)))


def known_of(dataset):
    """What ``explain()`` says, and whether a GPU is to enter most of the files, not the hardware decoder."""
    loader = fastload.DataLoader(dataset, 3)
    loader._entry_points = entry_points_of(None, "auto", choose(loader._settings()).files)
    settings = loader._settings()
    return line_of(loader).partition(" samples")[0].removeprefix("  entries: "), has_entries(settings, choose(settings))


def test_samples_are_counted_and_not_their_files(photos):
    """A file that is listed often has its entry points as often; those of a folder's other files are nobody's here."""
    index(photos)
    plain = ImageFolder(photos, EVAL)
    assert known_of(ConcatDataset([plain] * 5)) == ("40 of 40", True)
    listed = fastload.ImageFiles([path for path, _ in plain.samples] * 3, transform=EVAL)
    make_entries(file_dataset_of(listed), 16)
    assert known_of(listed) == ("24 of 24", True)
    assert known_of(Subset(plain, [2, 2, 5])) == ("3 of 3", True)


def test_entry_points_of_other_files_do_not_count(tmp_path):
    own = written(tmp_path / "own")
    index(own)
    for number in range(4):
        shutil.copy(own / "a" / f"{number}.jpg", own / "a" / f"new{number}.jpg")
    plain = ImageFolder(own, EVAL)
    assert known_of(plain) == ("8 of 12", True)
    new = [row for row, (path, _) in enumerate(plain.samples) if "new" in path]
    assert known_of(Subset(plain, new)) == ("0 of 4", False)
    assert known_of(Subset(plain, [*new, 0])) == ("1 of 5", False)
    assert known_of(ConcatDataset([Subset(plain, new), Subset(plain, new), plain])) == ("8 of 20", False)


@pytest.mark.parametrize("options", WAYS, ids=["caller", "threads", "workers"])
def test_what_was_made_since_of_files_that_are_listed_often(photos, options):
    repeated = ConcatDataset([ImageFolder(photos, EVAL)] * 3)
    loader = fastload.DataLoader(repeated, 3, **options)
    list(loader)
    if "collate_fn" not in options:  # where workers made them, it is known later whose they are
        assert "24 of 24 samples have entry points" in line_of(loader)
    list(loader)
    assert "24 of 24 samples have entry points, in " in line_of(loader)


def test_of_many_samples_some_tell_it(photos, monkeypatch):
    monkeypatch.setattr("fastload.entries.entry_points._COUNTED", 16)
    index(photos)
    plain, nowhere = ImageFolder(photos, EVAL), fastload.ImageFiles([photos / "none.jpg"] * 32, transform=EVAL)
    assert known_of(ConcatDataset([*[plain] * 4, nowhere])) == ("about 32 of 64", True)
    assert known_of(ConcatDataset([*[plain] * 3, nowhere])) == ("about 24 of 56", False)
    assert known_of(ConcatDataset([plain] * 4)) == ("32 of 32", True)
