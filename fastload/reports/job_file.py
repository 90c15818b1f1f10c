"""What the loaders of this process are doing, in a small file for ``fastload monitor``.

Written at most four times a second, by whoever takes a batch, and first when a process has had loaders for a quarter of a second.
One file a process, of its user alone; it is replaced, never changed, so a reader sees all of it. Where it cannot be written
nothing is said and nothing else changes.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import stat
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

SCHEMA = 1
EVERY_SECONDS = 0.25


def job_folders(user: int, environment: dict[str, str] | None = None) -> list[Path]:
    """Where a user's processes leave their files: the runtime directory if there is one, else below the one for temporary files.

    Args:
        environment: of the process that is asked about; None: of this one.
    """
    named = os.environ if environment is None else environment
    runtime = named.get("XDG_RUNTIME_DIR", "")
    temporary = tempfile.gettempdir() if environment is None else named.get("TMPDIR", "/tmp")
    return [*([Path(runtime) / "fastload"] if os.path.isabs(runtime) else []), Path(temporary) / f"fastload-{user}"]


def is_private(path: Path, user: int) -> bool:
    """Whether it is the user's and nobody else may read or write it, and no link."""
    found = path.lstat()
    return found.st_uid == user and not stat.S_ISLNK(found.st_mode) and stat.S_IMODE(found.st_mode) & 0o077 == 0


def start_time(process: int) -> str | None:
    """Which process it is, though numbers come again: when it started, in ticks since the machine did; None: there is none."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


class JobFile:
    """Of one process."""

    def __init__(self) -> None:
        os.register_at_fork(after_in_child=self._begin)
        self._begin()

    def _begin(self) -> None:
        self._loaders: dict[int, weakref.WeakMethod[Any]] = {}
        self._next = time.perf_counter() + EVERY_SECONDS
        self._busy = threading.Lock()
        self._path: Path | None = None

    def watch(self, figures: Callable[[], dict[str, Any]]) -> None:
        """A loader's bound method; it is forgotten with the loader. ``figures`` is for JSON."""
        with self._busy:
            self._loaders = {number: loader for number, loader in self._loaders.items() if loader() is not None}
            self._loaders[id(figures.__self__)] = weakref.WeakMethod(figures)  # type: ignore[attr-defined]

    def tick(self, now: float) -> None:
        """After a batch; ``now`` as of ``time.perf_counter``."""
        if now >= self._next:
            self._write(now)

    def at_the_end(self, now: float) -> None:
        """Of an epoch: what was written last is no longer so."""
        if self._path is not None:
            self._write(now)

    def _write(self, now: float) -> None:
        if not self._busy.acquire(blocking=False):
            return  # another thread is at it
        try:
            self._next = now + EVERY_SECONDS
            path = self._path or self._make_room()
            loaders = [loader() for loader in self._loaders.values()]
            text = json.dumps({**self._head, "written": time.time(), "loaders": [get() for get in loaders if get]})
            _replace(path, text)
            self._path = path
        except Exception:  # nothing that a training should end for
            if self._path is None:
                self._next = float("inf")  # no folder that is private: it would be so again
            self._path = None  # a session's end takes its runtime directory away: the next one may be elsewhere
        finally:
            self._busy.release()

    def _make_room(self) -> Path:
        pid, user = os.getpid(), os.geteuid()
        self._head = {
            "schema": SCHEMA,
            "pid": pid,
            "start_time": start_time(pid),
            "namespace": _namespace(),
            "rank": os.environ.get("RANK"),
            "world_size": os.environ.get("WORLD_SIZE"),
        }
        for folder in job_folders(user):
            with contextlib.suppress(OSError):
                folder.mkdir(0o700)
                folder.chmod(0o700)
            if folder.is_dir() and is_private(folder, user):
                break
        else:
            raise PermissionError("no private folder")
        for left in stale_files(folder):
            left.unlink(missing_ok=True)
        path = folder / f"{pid}.json"
        Finalize(None, _remove, args=(path, pid), exitpriority=0)
        return path


def stale_files(folder: Path) -> Iterator[Path]:
    """Files of processes that are no more; those of another container are not known to be."""
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            job = json.loads(path.read_text())
            if job["namespace"] == _namespace() and start_time(int(job["pid"])) != job["start_time"]:
                yield path


def _namespace() -> str:
    """Of process numbers."""
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def _replace(path: Path, text: str) -> None:
    """A file of this user alone, whatever the umask."""
    new = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
    os.replace(new, path)


def _remove(path: Path, process: int) -> None:
    if os.getpid() == process:
        path.unlink(missing_ok=True)


@functools.cache
def own_job_file() -> JobFile:
    """This process's."""
    return JobFile()
