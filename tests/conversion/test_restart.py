"""A conversion that was killed at any point goes on without loss, and without anything twice."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal

import pytest
import trees

from fastload.conversion import ConversionError, RefusedError, convert


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return trees.plain_folder(tmp_path_factory.mktemp("killed") / "src", count=12)


def killed_at(nth, src, dst, to):
    """As kill -9 does, before the nth change of a name: every file, part and record comes to its place by a rename."""
    child = os.fork()
    if child == 0:
        calls = [0]

        def dying(function):
            def called(*args, **options):
                calls[0] += 1
                if calls[0] == nth:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **options)

            return called

        for name in ("replace", "rename", "unlink", "rmdir", "mkdir"):
            setattr(os, name, dying(getattr(os, name)))
        try:
            convert(src, dst, to, workers=1, shard_size=10_000)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize(("to", "nth"), [("folder", 2), ("folder", 20), ("webdataset", 7), ("webdataset", 9)])
def test_after_a_kill_the_same_call_goes_on(tmp_path, source, to, nth):
    convert(source, tmp_path / "whole", to, shard_size=10_000)
    assert killed_at(nth, source, tmp_path / "dst", to)
    assert not (tmp_path / "dst" / "fastload.json").exists()
    convert(source, tmp_path / "dst", to, shard_size=10_000)
    assert trees.contents(tmp_path / "dst") == trees.contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("to", trees.FORMATS)
def test_after_a_kill_anywhere(tmp_path, to):
    """Four samples in two parts: some twenty to thirty places a format."""
    source = trees.plain_folder(tmp_path / "src", count=4)
    convert(source, tmp_path / "whole", to, shard_size=10_000)
    nth = 1
    while killed_at(nth, source, tmp_path / "dst", to):
        convert(source, tmp_path / "dst", to, shard_size=10_000)
        assert trees.contents(tmp_path / "dst") == trees.contents(tmp_path / "whole")
        shutil.rmtree(tmp_path / "dst")
        nth += 1
    assert nth > 10


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
    with pytest.raises(RefusedError, match=r"begun with another settings \(shard_size 10000, not 9000\)"):
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
