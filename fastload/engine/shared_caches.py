"""Finding the cache that another process of this user has.

Its memory has no name in any file system (``memfd_create``), so nothing can be left behind: it is gone with the last process that
holds it, after a kill -9, too. Who looks for it looks through the open files of this user's processes in /proc, where it has a
name; who does not find it makes it, one process at a time.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastload import _core

# Somebody who looks and makes takes milliseconds. A process that was stopped in the midst of it must not hold up all others.
_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 0.002


def join_or_make(name: str, *, decoded: bool, make: Callable[[], _core.Cache]) -> _core.Cache:
    """The cache of that name that a process of this user holds, or else ``make()``."""
    with _one_at_a_time(name):
        for descriptor in _held(name):
            try:
                return _core.Cache.join(descriptor, decoded=decoded)
            except OSError:
                continue  # of another version
        return make()


def _held(name: str) -> Iterator[int]:
    """Descriptors of files of that name, each opened anew, that processes of this user hold."""
    link = f"/memfd:{name} (deleted)"
    user = os.geteuid()
    for process in _entries("/proc"):
        files = f"/proc/{process}/fd"
        try:
            if not process.isdigit() or os.stat(files).st_uid != user:
                continue
        except OSError:
            continue
        for number in _entries(files):
            try:
                if os.readlink(f"{files}/{number}") != link:
                    continue
                descriptor = os.open(f"{files}/{number}", os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            if os.fstat(descriptor).st_uid == user:
                yield descriptor
            else:
                os.close(descriptor)


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # no such process any more, or no /proc
        return []


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Of this user's processes. A name of a socket that lies in no folder is free again when its process ends, however it does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as turn:
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                turn.bind(f"\0{name}-{os.geteuid()}")
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    break  # no such sockets here
                time.sleep(_LOOK_SECONDS)
        yield
