"""What a scenario does to the machine: control groups (version 1) that throttle, a file system that answers late, cold files."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")


class Unavailable(Exception):
    """This machine lacks what a scenario needs."""


@contextlib.contextmanager
def group(controller: str, **settings: str) -> Iterator[list[Path]]:
    """A control group, and in a list the file that takes its processes; ``settings``: file name with ``.`` as ``__`` -> content."""
    place = GROUPS / controller / f"fastload-{os.getpid()}"
    try:
        place.mkdir()
    except OSError as error:
        raise Unavailable(f"no control group for {controller}: {error}") from error
    try:
        for name, value in settings.items():
            (place / name.replace("__", ".")).write_text(value)
        yield [place / "cgroup.procs"]
    finally:
        late = time.monotonic() + 10
        while time.monotonic() < late:
            with contextlib.suppress(OSError):
                place.rmdir()
                break
            time.sleep(0.1)


def device_of(folder: Path) -> str:
    """major:minor of the disk that a folder lies on."""
    number = folder.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def disk(folder: Path, *, bytes_per_s: int = 0, reads_per_s: int = 0) -> contextlib.AbstractContextManager[list[Path]]:
    """A group whose reads are throttled."""
    settings = {}
    if bytes_per_s:
        settings["blkio__throttle__read_bps_device"] = f"{device_of(folder)} {bytes_per_s}"
    if reads_per_s:
        settings["blkio__throttle__read_iops_device"] = f"{device_of(folder)} {reads_per_s}"
    return group("blkio", **settings)


def quota(cores: float) -> contextlib.AbstractContextManager[list[Path]]:
    """A group that gets so much CPU time."""
    return group("cpu", cpu__cfs_period_us="100000", cpu__cfs_quota_us=str(int(cores * 100_000)))


@contextlib.contextmanager
def memory(folder: Path, size: int, bytes_per_s: int) -> Iterator[list[Path]]:
    """A group with so much memory, on a disk of that speed."""
    with group("memory", memory__limit_in_bytes=str(size)) as first, disk(folder, bytes_per_s=bytes_per_s) as second:
        yield [*first, *second]


def cool(folder: Path) -> None:
    """The files below it leave the page cache."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


@contextlib.contextmanager
def far_away(folder: Path, seconds: float) -> Iterator[Path]:
    """The same files where each answer takes so long, as over a network; a FUSE file system of a process of its own."""
    try:
        import fuse  # noqa: F401
    except (ImportError, OSError) as error:
        raise Unavailable(f"fusepy and libfuse2: {error}") from error
    mount = folder.parent / f"{folder.name}-far"
    mount.mkdir(exist_ok=True)
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.diagnosis.late_files", str(folder), str(mount), str(seconds)]
    )
    try:
        late = time.monotonic() + 20
        while not os.path.ismount(mount):
            if server.poll() is not None or time.monotonic() > late:
                raise Unavailable("FUSE does not work here")
            time.sleep(0.05)
        yield mount
    finally:
        subprocess.run(["fusermount", "-u", str(mount)], check=False)
        server.wait(timeout=20)


def enter(files: list[Path]) -> None:
    """This process, and all that it starts, belongs to these groups."""
    for file in files:
        file.write_text(str(os.getpid()))
