"""A conversion that was killed at any point goes on without loss, and without anything twice."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import signal

import pytest
import trees

from fastload.conversion import ConversionError, RefusedError, convert


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return trees.plain_folder(tmp_path_factory.mktemp("killed") / "src", count=12)


def ended_at(nth, src, dst, to, *, by=signal.SIGKILL):
    """A conversion that a signal ends, kill -9 or Ctrl-C, before the nth of the calls by which it changes what lies in a folder, or
    makes sure that it does. False: it came to its end before, or all the same."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        calls = [0]

        def dying(function):
            def called(*args, **options):
                calls[0] += 1
                if calls[0] == nth:
                    os.kill(os.getpid(), by)
                return function(*args, **options)

            return called

        for name in ("open", "write", "writev", "fsync", "replace", "rename", "unlink", "rmdir", "mkdir", "close"):
            setattr(os, name, dying(getattr(os, name)))
        status = 0
        try:
            convert(src, dst, to, workers=1, shard_size=10_000)
        except KeyboardInterrupt:
            status = 130
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 130


@pytest.mark.parametrize(("to", "nth"), [("folder", 7), ("folder", 40), ("webdataset", 17), ("webdataset", 24)])
def test_after_a_kill_the_same_call_goes_on(tmp_path, source, to, nth):
    convert(source, tmp_path / "whole", to, shard_size=10_000)
    assert ended_at(nth, source, tmp_path / "dst", to)
    assert not (tmp_path / "dst" / "fastload.json").exists()
    convert(source, tmp_path / "dst", to, shard_size=10_000)
    assert trees.contents(tmp_path / "dst") == trees.contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("to", trees.FORMATS)
def test_after_a_kill_anywhere(tmp_path, to):
    """Four samples in two parts: some fifty places a format."""
    source = trees.plain_folder(tmp_path / "src", count=4)
    convert(source, tmp_path / "whole", to, shard_size=10_000)
    whole, nth = trees.contents(tmp_path / "whole"), 1
    while ended_at(nth, source, tmp_path / "dst", to):
        convert(source, tmp_path / "dst", to, shard_size=10_000)
        assert trees.contents(tmp_path / "dst") == whole
        shutil.rmtree(tmp_path / "dst")
        nth += 1
    assert nth > 20


@pytest.mark.slow
@pytest.mark.parametrize("to", ["folder", "webdataset"])
def test_after_a_kill_and_a_ctrl_c_anywhere(tmp_path, to):
    """Each place of a kill with places of a Ctrl-C in the run that goes on."""
    source = trees.plain_folder(tmp_path / "src", count=4)
    convert(source, tmp_path / "whole", to, shard_size=10_000)
    whole, nth, places = trees.contents(tmp_path / "whole"), 1, random.Random(0)
    while ended_at(nth, source, tmp_path / "dst", to):
        for _ in range(2):
            ended_at(places.randrange(1, 60), source, tmp_path / "dst", to, by=signal.SIGINT)
        convert(source, tmp_path / "dst", to, shard_size=10_000)
        assert trees.contents(tmp_path / "dst") == whole
        shutil.rmtree(tmp_path / "dst")
        nth += 1
    assert nth > 20


def test_finished_parts_are_not_written_again(tmp_path, source, monkeypatch):
    dst = tmp_path / "dst"
    with pytest.raises(KeyboardInterrupt):
        convert(source, dst, "folder", workers=1, shard_size=10_000, progress=_interrupt_after(4))
    done = {path: path.stat().st_mtime_ns for path in dst.rglob("*.jpg")}
    parts = len(list((dst / ".fastload-conversion").glob("*.done")))
    assert parts and done
    report = convert(source, dst, "folder", workers=1, shard_size=10_000)
    assert report["samples"] == 12 and trees.images(dst) == trees.images(source)


def _interrupt_after(samples):
    def show(progress):
        if progress.step == "write" and progress.samples >= samples:
            raise KeyboardInterrupt

    return show


def test_another_source_or_setting_is_refused_where_one_was_begun(tmp_path, source):
    dst = tmp_path / "dst"
    with pytest.raises(KeyboardInterrupt):
        convert(source, dst, "folder", shard_size=10_000, progress=_interrupt_after(1))
    before = trees.contents(dst)
    with pytest.raises(RefusedError, match=r"begun with other settings \(shard_size 10000, not 9000\)"):
        convert(source, dst, "folder", shard_size=9_000)
    other = trees.plain_folder(tmp_path / "other", count=3)
    with pytest.raises(RefusedError, match="begun with another source"):
        convert(other, dst, "folder", shard_size=10_000)
    assert trees.contents(dst) == before


def test_two_at_once_are_refused(tmp_path, source):
    seen = []

    def show(progress):
        if not seen:
            with pytest.raises(RefusedError, match="another conversion is writing"):
                convert(source, tmp_path / "dst", "folder")
            seen.append(progress)

    convert(source, tmp_path / "dst", "folder", progress=show)
    assert seen and trees.images(tmp_path / "dst") == trees.images(source)


@pytest.mark.parametrize("to", trees.FORMATS)
def test_a_full_disk_is_an_error_and_can_be_gone_on_from(tmp_path, to):
    """The limit of a file's size stands for it: the system refuses to write, as with a full disk."""
    src = trees.plain_folder(tmp_path / "src")
    trees.put(src, "class1/large.jpg", b"\xff\xd8\xff" + bytes(400_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        with pytest.raises(ConversionError, match=os.strerror(errno.EIO if to == "lmdb" else errno.EFBIG)):
            convert(src, tmp_path / "dst", to)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert json.loads((tmp_path / "dst/.fastload-conversion/plan.json").read_text())["source"]["samples"] == 25
    assert convert(src, tmp_path / "dst", to)["samples"] == 25
