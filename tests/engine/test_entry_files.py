"""Where entry points are kept: logs and files of several processes, also where a file system has few locks or none."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import time

import pytest
from test_entry_points import EVAL, SETTLED
from torchvision.datasets import ImageFolder

import fastload
from fastload import _core
from fastload.engine import file_dataset_of
from fastload.entries import EntryFolder, copy_entries, entry_files, make_entries, parts_of, roots_of
from images import jpeg_bytes


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    (folder / "a").mkdir()
    for number in range(4):
        (folder / "a" / f"{number}.jpg").write_bytes(jpeg_bytes(number, form=0))
    time.sleep(SETTLED)
    return folder


@pytest.fixture
def folder(photos):
    (root,) = roots_of([file_dataset_of(ImageFolder(photos))])
    return EntryFolder(root.cache, root.folder)


def noted(photos, folder, *numbers):
    """A log with the entry points of these photos, which is being written as long as it lives."""
    log = folder.log()
    store = _core.EntryStore([(f"{photos}/", [], log)], every=16, verifies=False)
    assert store.make([str(photos / "a" / f"{number}.jpg") for number in numbers], 1)[0] == len(numbers)
    return log


def named(folder, ending):
    return [path for path in folder.path.iterdir() if path.suffix == ending]


def test_a_log_belongs_to_its_process_as_long_as_it_is_written(photos, folder):
    log = noted(photos, folder, 0)
    folder.collect()
    assert named(folder, ".log") == [log.path]
    del log
    folder.collect()
    assert not named(folder, ".log") and [count for _, count in folder.files()] == [1]


def test_a_fork_does_not_keep_its_parents_log(photos, folder):
    log = noted(photos, folder, 0)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reads, 1)
        os._exit(0)
    try:
        del log
        folder.collect()
        assert not named(folder, ".log")
    finally:
        os.write(writes, b"1")
        os.waitpid(child, 0)
        os.close(reads)
        os.close(writes)


def test_logs_are_merged_some_at_a_time(photos, folder, monkeypatch):
    monkeypatch.setattr(entry_files, "_MOST_LOGS", 2)
    for number in range(4):
        noted(photos, folder, number)
    folder.collect()
    assert len(named(folder, ".log")) == 2
    folder.collect(into_one=True)
    assert not named(folder, ".log") and [count for _, count in folder.files()] == [4]


def test_a_copy_has_what_could_not_be_merged(photos, folder, tmp_path):
    log = noted(photos, folder, 0)
    del log
    folder.collect()
    noted(photos, folder, 1, 2)
    copy_entries([folder], tmp_path / "copy")
    assert parts_of(tmp_path / "copy")[1] == 3
    assert parts_of(tmp_path / "copy")[1] == 3


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_without_locks(photos, folder, monkeypatch, number):
    noted(photos, folder, 0)

    def flock(handle, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    folder.collect()
    (log,) = named(folder, ".log")  # which somebody may be writing
    os.utime(log, (1e9, 1e9))
    folder.collect()
    assert not named(folder, ".log") and [count for _, count in folder.files()] == [1]


def test_where_only_what_is_open_for_writing_can_be_locked(photos, folder, monkeypatch):
    """As on NFS, but for folders."""
    real = fcntl.flock

    def flock(handle, operation):
        is_written = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        if operation & fcntl.LOCK_EX and not is_written and not stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    noted(photos, folder, 0)
    folder.collect()
    assert not named(folder, ".log") and [count for _, count in folder.files()] == [1]


def test_what_a_process_left_that_was_killed_while_it_wrote(photos, folder, monkeypatch):
    noted(photos, folder, 0)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:

        def fsync(file):
            os.write(writes, b"1")
            time.sleep(60)

        monkeypatch.setattr(os, "fsync", fsync)
        folder.collect()
        os._exit(1)
    os.read(reads, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reads)
    os.close(writes)
    (left,) = named(folder, ".part")
    folder.collect()
    assert named(folder, ".part") == [left]  # which somebody may be writing
    os.utime(left, (1e9, 1e9))
    folder.collect()
    assert not named(folder, ".part") and [count for _, count in folder.files()] == [1]


def test_a_copy_has_what_another_process_would_merge_meanwhile(photos, folder, tmp_path, monkeypatch):
    noted(photos, folder, 0)
    folder.collect()
    noted(photos, folder, 1, 2)
    monkeypatch.setattr(entry_files, "_PATIENCE_SECONDS", 0)
    left_behind = EntryFolder._left_behind

    def other_process_first(self):
        monkeypatch.setattr(EntryFolder, "_left_behind", left_behind)
        EntryFolder(folder.path, folder.root).collect()
        return left_behind(self)

    monkeypatch.setattr(EntryFolder, "_left_behind", other_process_first)
    copy_entries([folder], tmp_path / "copy")
    assert parts_of(tmp_path / "copy")[1] == 3


@pytest.fixture
def merged_meanwhile(photos, folder, monkeypatch):
    """Another process renames the file of all records each time that it was listed, but for the third; counts the times."""
    make_entries(file_dataset_of(ImageFolder(photos)), 16)
    listed = EntryFolder.files
    times = []

    def files(self):
        found = listed(self)
        times.append(None)
        if len(times) < 3:
            (path,) = named(folder, ".entries")
            path.rename(folder.path / f"{time.time_ns():020d}-x.entries")
        return found

    monkeypatch.setattr(EntryFolder, "files", files)
    return times


def test_a_loader_looks_again_for_files_that_were_merged(photos, merged_meanwhile):
    loader = fastload.DataLoader(ImageFolder(photos, EVAL), 4)
    list(loader)
    assert len(merged_meanwhile) == 3 and loader.stats()["entries"] == {"used": 4, "made": 0, "ignored": 0}
    assert "ignored" not in loader.explain()


def test_who_makes_entry_points_looks_again_for_files_that_were_merged(photos, merged_meanwhile):
    made = make_entries(file_dataset_of(ImageFolder(photos)), 16)
    assert len(merged_meanwhile) == 3 and (made.made, made.known) == (0, 4)
