"""What objects are that nobody listed: the size and version of each, as its first answer said them, for all who read them.

As with a listing, an object that is another later on is an error, not other bytes. All is kept in a file with a place for each
object, which workers and other processes share: a place is written once, in one call, and has a checksum.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import warnings
import weakref
import zlib
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fastload.remote.addresses import redacted, unsigned
from fastload.remote.store import Got
from fastload.reports import FastloadWarning

_SLOT = 128  # bytes: checksum, size, length of the version, version
_MOST = _SLOT - 4 - 8 - 1
_MARK = b"without a version"  # in the first place


class LearnedVersions:
    """Of a list of URLs; those that are equal without their signatures have one place. Any thread may call.

    Args:
        folder: where they are kept; where that cannot be, they are this process's own, and those of its forks.
        lasts: until somebody wants them anew. Else as long as one process has them.
        refresh: somebody wants them anew.
    """

    def __init__(self, folder: Path, urls: Iterable[str], *, lasts: bool = False, refresh: bool = False) -> None:
        where = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
        digest, hashes = hashlib.sha256(where.encode()), array("Q")
        for url in urls:
            key = unsigned(url).encode("utf-8", "surrogateescape")
            digest.update(b"\0" + key)
            hashes.append(int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little"))
        found, places = np.unique(np.array(hashes, np.uint64), return_inverse=True)
        self._slots = None if len(found) == len(hashes) else places.astype(np.int32)
        self._path = str(folder / f"{digest.hexdigest()[:32]}.versions")
        self._lasts = lasts
        if refresh:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self._open()

    def _open(self) -> None:
        self._handle = _opened(self._path, self._lasts)
        weakref.finalize(self, os.close, self._handle).atexit = False  # threads may still learn something

    def __getstate__(self) -> Any:
        return self._path, self._slots, self._lasts

    def __setstate__(self, state: Any) -> None:
        self._path, self._slots, self._lasts = state
        self._open()

    def of(self, number: int) -> tuple[int, str] | None:
        """Size and version of the object of the URL with this number; None: it was not read yet, or has none."""
        return self._at(self._slot(number))

    def learn(self, number: int, got: Got, length: int, url: str) -> tuple[int, str]:
        """What is kept of it from now on: what is there, or what an answer says. Without a version, where the server gives none."""
        slot = self._slot(number)
        version = got.version.encode("utf-8", "surrogateescape")
        if not version or len(version) > _MOST:
            self._tell(url)
            return length, ""
        known = self._at(slot)
        if known is not None:
            return known
        self._write(slot, length, version)
        return self._at(slot) or (length, "")  # another process may have been faster

    def forget(self, number: int) -> None:
        """It is learned anew."""
        with contextlib.suppress(OSError):
            os.pwrite(self._handle, bytes(_SLOT), self._slot(number) * _SLOT)

    @property
    def lacks_some(self) -> bool:
        """Whether some object had no version."""
        with contextlib.suppress(OSError):
            return os.pread(self._handle, len(_MARK), 0) == _MARK
        return False

    def _tell(self, url: str) -> None:
        if self.lacks_some:
            return
        with contextlib.suppress(OSError):
            os.pwrite(self._handle, _MARK, 0)
        with contextlib.suppress(Warning):
            warnings.warn(
                f"{redacted(url)}: the server says neither ETag nor Last-Modified, so nothing that it gives is kept, neither "
                "by cache= nor on a disk, and that an object has changed would not be seen; this is said once",
                FastloadWarning,
                stacklevel=2,
            )

    def _slot(self, number: int) -> int:
        return 1 + (number if self._slots is None else int(self._slots[number]))

    def _at(self, slot: int) -> tuple[int, str] | None:
        try:
            found = os.pread(self._handle, _SLOT, slot * _SLOT)
        except OSError:
            return None
        if len(found) < _SLOT or int.from_bytes(found[:4], "little") != zlib.crc32(found[4:]):
            return None
        length = found[12]
        return int.from_bytes(found[4:12], "little"), found[13 : 13 + length].decode("utf-8", "surrogateescape")

    def _write(self, slot: int, size: int, version: bytes) -> None:
        said = (size.to_bytes(8, "little") + bytes([len(version)]) + version).ljust(_SLOT - 4, b"\0")
        with contextlib.suppress(OSError):
            os.pwrite(self._handle, zlib.crc32(said).to_bytes(4, "little") + said, slot * _SLOT)


def _opened(path: str, lasts: bool) -> int:
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not lasts:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.ftruncate(handle, 0)  # what is there is of processes that have ended
                fcntl.flock(handle, fcntl.LOCK_SH)
        except BaseException:
            os.close(handle)
            raise
        return handle
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
