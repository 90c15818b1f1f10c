"""A folder with what was read from afar, up to a size: what was not asked for longest goes first.

Any number of processes may share it: a file appears whole, under its name; what goes before it is opened is read from afar again.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from fastload.engine import BackgroundThread
from fastload.reports import FastloadWarning

FOLDER = "FASTLOAD_REMOTE_CACHE"
SIZE = "FASTLOAD_REMOTE_CACHE_BYTES"
_USUAL_BYTES = 10 << 30
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_WAITING_BYTES = 64 << 20  # of what is still to be written; more is not kept
_FRESH_SECONDS = 60.0  # so exactly it is known when a file was asked for
_UNFINISHED_SECONDS = 3600.0


class DiskCache:
    """One folder. Any thread may call; raises nothing once it is made."""

    def __init__(self, folder: str, most_bytes: int) -> None:
        self.folder = Path(folder)
        self.most_bytes = most_bytes
        self._writes = True
        self._waiting = 0
        self._written = 0  # since the folder was last looked through
        self._looked = False
        self._lock = threading.Lock()
        self._writer: BackgroundThread | None = None

    def path_of(self, *key: Any) -> str:
        name = hashlib.sha256("\0".join(map(str, key)).encode("utf-8", "surrogateescape")).hexdigest()[:40]
        return os.path.join(self.folder, name[:2], name)

    def find(self, path: str, length: int) -> int:
        """The size of a file that is there; of this length, -1: any. Else -1."""
        try:
            found = os.stat(path)
        except OSError:
            return -1
        if found.st_size == 0 or (length >= 0 and found.st_size != length):
            return -1
        if time.time() - found.st_mtime > _FRESH_SECONDS:
            with contextlib.suppress(OSError):
                os.utime(path)
        return found.st_size

    def keep(self, path: str, data: Any) -> None:
        """Soon; in the background."""
        with self._lock:
            if not self._writes or self._waiting + len(data) > _WAITING_BYTES or len(data) > self.most_bytes:
                return
            self._waiting += len(data)
            if self._writer is None:
                self._writer = BackgroundThread("fastload-remote-cache")
            self._writer.submit(self._write, path, data)

    def forget(self, path: str) -> None:
        """Once what waits is written."""
        with self._lock:
            if self._writer is None:
                self._writer = BackgroundThread("fastload-remote-cache")
            self._writer.submit(_unlink, path)

    def flush(self) -> None:
        """Waits until all is written."""
        if self._writer is not None:
            self._writer.submit(lambda: None).result()

    def _write(self, path: str, data: Any) -> None:
        try:
            if os.path.exists(path):
                return
            os.makedirs(os.path.dirname(path), exist_ok=True)
            handle, unfinished = tempfile.mkstemp(dir=self.folder, prefix=".part-")
            try:
                with open(handle, "wb") as file:
                    file.write(data)
                os.replace(unfinished, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(unfinished)
                raise
            self._written += len(data)
            if not self._looked or self._written > self.most_bytes // 64:
                self._make_room()
        except OSError as error:
            self._stop(error)
        finally:
            with self._lock:
                self._waiting -= len(data)

    def _stop(self, error: OSError) -> None:
        with self._lock:
            if not self._writes:
                return
            self._writes = False
        with contextlib.suppress(Warning):
            warnings.warn(
                f"fastload: the cache {self.folder} takes nothing any more: {error.strerror}",
                FastloadWarning,
                stacklevel=2,
            )

    def _make_room(self) -> None:
        """Where another process does it already, that will do."""
        self._written, self._looked = 0, True
        handle = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._evict()
        finally:
            os.close(handle)

    def _evict(self) -> None:
        files = []
        for folder in os.scandir(self.folder):
            if folder.name.startswith(".part-"):
                with contextlib.suppress(OSError):
                    if time.time() - folder.stat().st_mtime > _UNFINISHED_SECONDS:
                        os.unlink(folder.path)
            elif re.fullmatch("[0-9a-f]{2}", folder.name):
                with contextlib.suppress(OSError):
                    for file in os.scandir(folder.path):
                        if re.fullmatch("[0-9a-f]{40}", file.name):
                            found = file.stat()
                            files.append((found.st_mtime, found.st_size, file.path))
        total = sum(size for _, size, _ in files)
        if total <= self.most_bytes - self.most_bytes // 32:
            return
        for _, size, path in sorted(files):
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size
            if total <= self.most_bytes - self.most_bytes // 8:
                return


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def bytes_of(text: str) -> int:
    """Of "500M", "20G", "1073741824". Raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if found is None:
        raise ValueError(f"{SIZE} should be a size as 500M or 20G, but is {text!r}")
    return int(float(found[1]) * _UNITS[found[2]])


def disk_cache() -> DiskCache | None:
    """As the environment wants it now; None: none."""
    folder = os.environ.get(FOLDER)
    return _of(folder, os.environ.get(SIZE, ""), os.getpid()) if folder else None


@functools.lru_cache(maxsize=4)
def _of(folder: str, size: str, pid: int) -> DiskCache:
    return DiskCache(os.path.abspath(os.path.expanduser(folder)), bytes_of(size) if size else _USUAL_BYTES)
