"""``entries=``: batches are torch's with entry points and without, whatever becomes of the files, the records or their folder."""

from __future__ import annotations

import os
import shutil
import tarfile
import time

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
from torchvision.datasets import ImageFolder

import fastload
from children import environment, run_script
from fastload import _core
from fastload.engine import file_dataset_of
from fastload.entries import EntryFolder, make_entries, roots_of
from images import jpeg_bytes, of_size, write_folder

TRAIN = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor()])
EVAL = v1.Compose([v1.Resize(40), v1.CenterCrop(32), v1.ToTensor()])
BASELINE = {"form": 0}
SETTLED = 0.15  # seconds, after which a file is old enough


def stacked(samples):
    return torch.utils.data.default_collate(samples)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of JPEGs of many forms."""
    folder = write_folder(tmp_path_factory.mktemp("data"), classes=2, images=12)
    time.sleep(SETTLED)
    return folder


def written(folder):
    """One class of eight baseline JPEGs of one size."""
    (folder / "a").mkdir(parents=True)
    for number in range(8):
        (folder / "a" / f"{number}.jpg").write_bytes(jpeg_bytes(number, **BASELINE))
    time.sleep(SETTLED)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """For tests that leave it as it is."""
    return written(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def own_photos(tmp_path):
    """For tests that change it."""
    return written(tmp_path / "photos")


def epochs(cls, dataset, count=1, **options):
    torch.manual_seed(5)
    loader = cls(dataset, **{"batch_size": 3, "shuffle": True, **options})
    return [list(loader) for _ in range(count)], loader


def assert_as_torch(root, loader_options, count=1, transform=TRAIN, **options):
    """The loader, which gave torch's batches."""
    wanted, _ = epochs(torch.utils.data.DataLoader, ImageFolder(root, transform), count, **options)
    got, loader = epochs(fastload.DataLoader, ImageFolder(root, transform), count, **options, **loader_options)
    for of_epoch, ours in zip(wanted, got, strict=True):
        for (images, targets), (own, own_targets) in zip(of_epoch, ours, strict=True):
            assert torch.equal(images, own) and torch.equal(targets, own_targets)
    return loader


def index(root, every=16, **options):
    return make_entries(file_dataset_of(ImageFolder(root)), every, **options)


@pytest.mark.parametrize("entries", ["auto", "verify", "off"])
@pytest.mark.parametrize(
    "options", [{}, {"num_workers": 2}, {"num_workers": 2, "collate_fn": stacked}], ids=["caller", "threads", "workers"]
)
def test_batches_are_torchs(root, entries, options):
    made = index(root).made
    loader = assert_as_torch(root, {"entries": entries}, 3, **options)
    figures = loader.stats()["entries"]
    assert figures is None if entries == "off" else figures == {"used": made, "made": 0, "ignored": 0}


@pytest.mark.parametrize("persistent_workers", [True, False])
@pytest.mark.parametrize("collate_fn", [None, stacked], ids=["whole", "items"])
def test_what_workers_made_is_entered_later(photos, collate_fn, persistent_workers):
    options = {"num_workers": 2, "collate_fn": collate_fn, "worker_init_fn": int}  # for which there must be workers
    wanted, _ = epochs(torch.utils.data.DataLoader, ImageFolder(photos, EVAL), 1, shuffle=False)
    loader = fastload.DataLoader(
        ImageFolder(photos, EVAL), 3, persistent_workers=persistent_workers, multiprocessing_context="fork", **options
    )
    figures = []
    for _ in range(4):
        for (images, _), (own, _) in zip(wanted[0], loader, strict=True):
            assert torch.equal(images, own)
        figures.append(loader.stats()["entries"])
    assert figures[0] == {"used": 0, "made": 8, "ignored": 0}
    assert figures[-1]["used"] == 8  # once both workers had made files of what they made


def test_what_was_decoded_is_entered_later(root):
    loader = assert_as_torch(root, {}, transform=EVAL)
    first = loader.stats()["entries"]
    assert first["used"] == 0 and first["made"] > 0
    list(loader)
    assert loader.stats()["entries"]["used"] == first["made"]
    other = assert_as_torch(root, {}, transform=TRAIN)
    assert other.stats()["entries"]["used"] == first["made"]
    known = first["made"] + other.stats()["entries"]["made"]
    assert f"{known} of 24 samples have entry points" in other.explain()


def test_off_leaves_no_trace(root, tmp_path):
    loader = assert_as_torch(root, {"entries": "off"}, 2)
    assert loader.stats()["entries"] is None and "entries" not in loader.explain()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("every", [1, 16, 0])
@pytest.mark.parametrize("threads", [1, 3])
def test_all_at_once(root, every, threads):
    made = index(root, every, threads=threads)
    assert made.made > 12 and made.none > 0 and made.made + made.none == 24 and not made.failed
    again = index(root, every)
    assert (again.made, again.known) == (0, made.made)
    loader = assert_as_torch(root, {}, 2)
    assert loader.stats()["entries"]["used"] == made.made


def test_another_k_takes_the_place_of_the_first(photos):
    index(photos, 16)
    assert index(photos, 1).made == 8
    assert index(photos, 1).known == 8


def test_a_file_of_entry_points_for_another_machine(root, tmp_path):
    made = index(root, copy_to=tmp_path / "entries")
    moved = shutil.copytree(root, tmp_path / "moved")  # with its times
    shutil.rmtree(tmp_path / "cache")
    loader = assert_as_torch(moved, {"entries": tmp_path / "entries"})
    assert loader.stats()["entries"] == {"used": made.made, "made": 0, "ignored": 0}
    assert not (tmp_path / "cache").exists()


def replaced(path, data):
    """Under the same name, with the time of the one before."""
    times = os.stat(path)
    os.unlink(path)
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("entries", ["auto", "verify"])
def test_files_that_change(own_photos, entries):
    index(own_photos)
    files = sorted((own_photos / "a").iterdir())
    files[0].write_bytes(jpeg_bytes(50, **BASELINE))
    replaced(
        files[1], of_size(jpeg_bytes(51, 60, 50, **BASELINE), files[1].stat().st_size)
    )  # another picture, of another size
    flipped = bytearray(files[2].read_bytes())
    flipped[len(flipped) // 2] ^= 4
    replaced(files[2], bytes(flipped))
    with open(files[3], "r+b") as file:  # the file itself
        times = os.stat(files[3])
        file.seek(times.st_size // 2)
        file.write(b"\x12\x34")
    os.utime(files[3], ns=(times.st_atime_ns, times.st_mtime_ns))
    replaced(files[4], files[4].read_bytes())  # nothing has changed but the times of its status
    loader = assert_as_torch(own_photos, {"entries": entries}, transform=EVAL)
    figures = loader.stats()["entries"]
    assert figures["used"] == 4 and figures["ignored"] == 4


def test_files_that_are_cut_or_gone(own_photos):
    index(own_photos)
    files = sorted((own_photos / "a").iterdir())
    data = files[0].read_bytes()
    replaced(files[0], data[: len(data) // 2])
    dataset = ImageFolder(own_photos, EVAL)
    os.unlink(files[1])
    loader = fastload.DataLoader(dataset, batch_size=8, on_error="skip")
    ((images, _),) = loader
    assert len(images) == 6 and len(loader.errors) == 2
    with pytest.raises(fastload.FastloadError):
        list(fastload.DataLoader(dataset, batch_size=8))


def test_files_with_times_ahead(own_photos):
    for path in (own_photos / "a").iterdir():
        os.utime(path, (4e9, 4e9))
    time.sleep(SETTLED)
    assert assert_as_torch(own_photos, {}, transform=EVAL).stats()["entries"]["made"] == 8
    assert index(own_photos).known == 8


def test_names_that_are_no_text(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / os.fsdecode(b"cache\xfe")))
    root = written(tmp_path / os.fsdecode(b"photos\xff"))
    loader = assert_as_torch(root, {}, 2, transform=EVAL)
    assert loader.stats()["entries"]["used"] == 8
    file = tmp_path / os.fsdecode(b"entries\xff")
    assert index(root, copy_to=file).known == 8
    loader = assert_as_torch(root, {"entries": file})
    assert loader.stats()["entries"]["used"] == 8
    loader.explain()
    file.unlink()
    assert "ignored: " in assert_as_torch(root, {"entries": file}).explain()


def test_a_working_folder_that_is_gone(photos, tmp_path):
    works = """
        import os, sys
        import torch
        import fastload
        from torchvision.datasets import ImageFolder
        from test_entry_points import EVAL

        gone = os.path.join(sys.argv[2], "gone")
        os.mkdir(gone)
        os.chdir(gone)
        os.rmdir(gone)
        ours, theirs = (cls(ImageFolder(sys.argv[1], EVAL), 4) for cls in (fastload.DataLoader, torch.utils.data.DataLoader))
        for _ in range(2):
            for (images, _), (own, _) in zip(theirs, ours, strict=True):
                assert torch.equal(images, own)
        assert ours.stats()["entries"]["used"] == 8
    """
    done = run_script(works, photos, tmp_path, env=environment())
    assert done.returncode == 0, done.stderr


def with_stray_restart(data, part):
    """The JPEG, with a restart marker among its codes, where none belongs."""
    at = data.index(b"\xff\xda") + 14
    at += int(part * (len(data) - at))
    while data[at - 1] == 0xFF:
        at += 1
    return data[:at] + b"\xff\xd0" + data[at:]


def test_a_marker_among_the_codes(own_photos):
    for number, path in enumerate(sorted((own_photos / "a").iterdir())):
        path.write_bytes(with_stray_restart(path.read_bytes(), (number + 1) / 10))
    time.sleep(SETTLED)
    for transform in (EVAL, TRAIN):
        assert_as_torch(own_photos, {"entries": "off"}, transform=transform)
        assert_as_torch(own_photos, {}, 2, transform=transform)
    assert index(own_photos).made == 0


def store_files(root):
    (found,) = roots_of([file_dataset_of(ImageFolder(root))])
    return [path for path in found.cache.iterdir() if path.suffix == ".entries"]


def test_damaged_records_are_ignored(photos):
    index(photos, 1)
    (path,) = store_files(photos)
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    seen = set()
    for number in range(12):
        bad = bytearray(whole)
        for at in rng.integers(512, len(bad), 4 * number):
            bad[at] ^= 1 << rng.integers(8)
        path.write_bytes(bad)
        loader = assert_as_torch(photos, {"entries": path})
        seen.add(loader.stats()["entries"]["used"])
    assert max(seen) == 8 and min(seen) < 8


@pytest.mark.parametrize("damage", ["cut", "header", "foreign", "empty", "missing", "older", "folder"])
def test_files_that_are_none_are_ignored(photos, tmp_path, damage):
    index(photos)
    (path,) = store_files(photos)
    whole = path.read_bytes()
    path.unlink()
    match damage:
        case "cut":
            path.write_bytes(whole[:-100])
        case "header":
            path.write_bytes(whole[:40] + b"xx" + whole[42:])
        case "foreign":
            path.write_bytes(b"something else that lies here" * 40)
        case "empty":
            path.touch()
        case "older":
            path.write_bytes(whole[:8] + b"\x07" + whole[9:])
        case "folder":
            path.mkdir()
    given = assert_as_torch(photos, {"entries": path})
    assert given.stats()["entries"]["used"] == 0 and "ignored: " in given.explain()
    found = assert_as_torch(photos, {})
    assert found.stats()["entries"]["used"] == 0
    assert ("ignored: " in found.explain()) == (damage != "missing")


def test_records_of_other_samples_are_not_used(own_photos):
    index(own_photos)
    first, *others = sorted((own_photos / "a").iterdir())
    swapped = {path: path.read_bytes() for path in (first, others[0])}
    for path, other in ((first, others[0]), (others[0], first)):
        path.write_bytes(swapped[other])
    assert assert_as_torch(own_photos, {}).stats()["entries"]["used"] == 6


def test_where_nothing_can_be_kept(photos, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    loader = assert_as_torch(photos, {}, 2, transform=EVAL)
    assert loader.stats()["entries"]["made"] == 0
    loader.explain()


def test_young_files_have_none_yet(own_photos):
    path = own_photos / "a" / "0.jpg"
    assert assert_as_torch(own_photos, {}, transform=EVAL).stats()["entries"]["made"] == 8
    store = _core.EntryStore([("", [], _core.RecordLog(str(own_photos.parent), "log"))], every=16, verifies=False)
    begun = time.monotonic()
    path.write_bytes(jpeg_bytes(60, **BASELINE))
    assert store.make([str(path)], 1)[0] == 1  # it waits until it can be told from what is written now
    assert time.monotonic() - begun >= 0.09


def test_shards(photos, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for path in sorted((photos / "a").iterdir()):
            tar.add(path, path.name)
    time.sleep(SETTLED)
    dataset = fastload.WebDataset(str(tmp_path / "a.tar"), EVAL, target=None)
    assert make_entries(file_dataset_of(dataset), 8).made == 8
    loader = fastload.DataLoader(dataset, batch_size=3)
    plain = fastload.DataLoader(dataset, batch_size=3, entries="off")
    for ours, theirs in zip(loader, plain, strict=True):
        assert torch.equal(ours, theirs)
    assert loader.stats()["entries"]["used"] == 8


def test_a_cache_of_files_and_entry_points(photos):
    index(photos)
    loader = assert_as_torch(photos, {"cache": "encoded", "cache_bytes": 1 << 24}, 3)
    assert loader.stats()["entries"]["used"] == 8 and loader.stats()["cache"]["hits"] == 8


def test_a_process_that_dies_leaves_its_records(photos):
    dies = """
        import os, sys
        import fastload
        from torchvision.datasets import ImageFolder
        from test_entry_points import EVAL

        list(fastload.DataLoader(ImageFolder(sys.argv[1], EVAL), batch_size=4))
        os._exit(0)
    """
    assert run_script(dies, photos, env=environment()).returncode == 0
    loader = assert_as_torch(photos, {})
    assert loader.stats()["entries"]["used"] == 8


def test_many_files_become_one(photos):
    (found,) = roots_of([file_dataset_of(ImageFolder(photos))])
    for _ in range(12):
        log = EntryFolder(found.cache, found.folder).log()
        store = _core.EntryStore([(found.prefix, [], log)], every=16, verifies=False)
        assert store.make([str(photos / "a" / "0.jpg")], 1)[0] == 1
        del store, log
        EntryFolder(found.cache, found.folder).collect()
    assert len(store_files(photos)) <= 8
    assert [path for path in found.cache.iterdir() if path.suffix != ".entries"] == []


@pytest.mark.parametrize("entries", [None, 3, "", True])
def test_what_is_no_option(photos, entries):
    with pytest.raises(ValueError, match="entries should be"):
        fastload.DataLoader(ImageFolder(photos, EVAL), entries=entries)


def test_samples_in_memory_have_none():
    from fastload.datasets import ImageFiles

    assert "entries: none" in fastload.DataLoader(ImageFiles([], [], EVAL), entries="verify").explain()
    assert "entries" not in fastload.DataLoader(ImageFiles([], [], EVAL)).explain()
