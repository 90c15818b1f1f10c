"""From every format to every other, killed at any call to the system: the same command goes on, and leaves what one run leaves."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess

import pytest
import trees

from fastload.conversion import convert

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace kills at a call")

# All by which what lies in a folder changes, whoever makes them: Python, the core, liblmdb, pyarrow.
_CHANGES = (
    "write,pwrite64,writev,pwritev,pwritev2,ftruncate,fallocate,fsync,fdatasync,msync,rename,renameat,renameat2,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,link,linkat,copy_file_range,sendfile,close,munmap"
)
_PART = 15_000  # bytes: some files a source


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same samples in every format."""
    root = tmp_path_factory.mktemp("sources")
    trees.plain_folder(root / "folder", count=6)
    for to in trees.FORMATS:
        if to != "folder":
            convert(root / "folder", root / to, to, shard_size=_PART)
    return root


def ended_at(nth, src, dst, to, by="SIGKILL", workers=2):
    """A conversion that gets a signal at the nth such call of one of its threads, or processes. False: it ended by itself."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = 1
        try:
            os.kill(os.getpid(), signal.SIGSTOP)
            convert(src, dst, to, workers=workers, shard_size=_PART)
            status = 0
        except KeyboardInterrupt:
            status = 130
        finally:
            os._exit(status)
    os.waitpid(child, os.WUNTRACED)
    command = ["strace", "-f", "-o", os.devnull, "-e", f"inject={_CHANGES}:signal={by}:when={nth}", "-p", str(child)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        said = strace.stderr.readline()
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
        said += strace.stderr.read()
    if "attached" not in said:
        pytest.skip(f"strace may not look at processes here: {said}")
    code = os.waitstatus_to_exitcode(status)
    # 1: a process that walks a database for it got the signal, and it told an error.
    assert code in (0, 1, 130, -signal.SIGKILL)
    return code != 0


def goes_on(src, dst, to, whole):
    """And is taken away for the next."""
    convert(src, dst, to, shard_size=_PART)
    assert trees.contents(dst) == whole
    shutil.rmtree(dst)


def whole_of(src, dst, to):
    convert(src, dst, to, shard_size=_PART)
    return trees.contents(dst)


@pytest.mark.parametrize(("of", "to", "by"), [("folder", "webdataset", "SIGKILL"), ("webdataset", "folder", "SIGINT")])
def test_killed_twice(tmp_path, sources, of, to, by):
    whole = whole_of(sources / of, tmp_path / "whole", to)
    for nth in (5, 20):
        assert ended_at(nth, sources / of, tmp_path / "dst", to, by)
        ended_at(nth + 2, sources / of, tmp_path / "dst", to, by)
        goes_on(sources / of, tmp_path / "dst", to, whole)


@pytest.mark.slow
@pytest.mark.parametrize("to", trees.FORMATS)
@pytest.mark.parametrize("of", trees.FORMATS)
def test_killed_anywhere_from_every_format_to_every_format(tmp_path, sources, of, to):
    whole, dice, ends = whole_of(sources / of, tmp_path / "whole", to), random.Random(f"{of} {to}"), 0
    nth = dice.randrange(1, 4)
    while ended_at(nth, sources / of, tmp_path / "dst", to):
        ends += 1
        if dice.random() < 0.3:  # and the one that goes on
            ended_at(dice.randrange(1, 60), sources / of, tmp_path / "dst", to, dice.choice(["SIGKILL", "SIGINT"]))
        goes_on(sources / of, tmp_path / "dst", to, whole)
        nth += dice.randrange(1, 4)
    assert ends > 8
