"""What a scenario does to the machine: control groups that throttle, a file system that answers late, cold files."""

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
def limited(
    folder: Path, *, cores: float = 0.0, memory: int = 0, bytes_per_s: int = 0, reads_per_s: int = 0
) -> Iterator[list[Path]]:
    """Control groups with these limits (0: none), the reads' of the disk that ``folder`` lies on: the files that take a process."""
    if (GROUPS / "cgroup.controllers").exists():
        settings = _of_version_2(folder, cores, memory, bytes_per_s, reads_per_s)
    else:
        settings = _of_version_1(folder, cores, memory, bytes_per_s, reads_per_s)
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_group(parent, files)) for parent, files in settings.items() if files]


def _of_version_1(
    folder: Path, cores: float, memory: int, bytes_per_s: int, reads_per_s: int
) -> dict[Path, dict[str, str]]:
    cpu = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": str(int(cores * 100_000))}
    disk = {
        f"blkio.throttle.read_{name}_device": f"{_device_of(folder)} {limit}"
        for name, limit in (("bps", bytes_per_s), ("iops", reads_per_s))
        if limit
    }
    return {
        GROUPS / "cpu": cpu if cores else {},
        GROUPS / "memory": {"memory.limit_in_bytes": str(memory)} if memory else {},
        GROUPS / "blkio": disk,
    }


def _of_version_2(
    folder: Path, cores: float, memory: int, bytes_per_s: int, reads_per_s: int
) -> dict[Path, dict[str, str]]:
    files = {}
    if cores:
        files["cpu.max"] = f"{int(cores * 100_000)} 100000"
    if memory:
        files |= {"memory.max": str(memory), "memory.swap.max": "0"}
    if limits := [f"{name}={limit}" for name, limit in (("rbps", bytes_per_s), ("riops", reads_per_s)) if limit]:
        files["io.max"] = " ".join([_device_of(folder), *limits])
    for controller in {name.partition(".")[0] for name in files}:
        try:
            (GROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            raise Unavailable(f"no control groups for {controller}: {error}") from error
    return {GROUPS: files}


@contextlib.contextmanager
def _group(parent: Path, files: dict[str, str]) -> Iterator[Path]:
    """A group below ``parent``, with these contents of its files; the file that takes its processes."""
    place = parent / f"fastload-{os.getpid()}"
    try:
        place.mkdir()
    except OSError as error:
        raise Unavailable(f"no control group below {parent}: {error}") from error
    try:
        for name, value in files.items():
            try:
                (place / name).write_text(value)
            except OSError as error:
                if name != "memory.swap.max":  # a kernel without swap
                    raise Unavailable(f"{name} of a control group: {error}") from error
        yield place / "cgroup.procs"
    finally:
        late = time.monotonic() + 10
        while time.monotonic() < late:
            with contextlib.suppress(OSError):
                place.rmdir()
                break
            time.sleep(0.1)


def _device_of(folder: Path) -> str:
    """major:minor of the disk that a folder lies on."""
    number = folder.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def cool(folder: Path) -> None:
    """The files below it leave the page cache."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def warm(folder: Path) -> None:
    """The files below it are in the page cache, as far as there is room."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()


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
