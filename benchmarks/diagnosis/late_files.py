"""FOLDER's files at MOUNT, where opening and reading take SECONDS each: ``late_files FOLDER MOUNT SECONDS``, through FUSE."""

from __future__ import annotations

import os
import sys
import time

import fuse


class Late(fuse.Operations):
    """A read-only view."""

    def __init__(self, folder: str, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds

    def _path(self, path: str) -> str:
        return self._folder + path

    def getattr(self, path: str, fh: int | None = None) -> dict[str, float]:
        try:
            found = os.lstat(self._path(path))
        except OSError as error:
            raise fuse.FuseOSError(error.errno) from error
        return {
            name: getattr(found, name) for name in ("st_mode", "st_size", "st_mtime", "st_uid", "st_gid", "st_nlink")
        }

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(self._path(path))]

    def open(self, path: str, flags: int) -> int:
        time.sleep(self._seconds)
        return os.open(self._path(path), os.O_RDONLY)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        time.sleep(self._seconds)
        return os.pread(fh, size, offset)

    def release(self, path: str, fh: int) -> None:
        os.close(fh)


if __name__ == "__main__":
    folder, mount, seconds = sys.argv[1:]
    fuse.FUSE(Late(folder, float(seconds)), mount, foreground=True, nothreads=False, ro=True)
