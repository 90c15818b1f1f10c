"""Which parts of files are in the page cache, and letting them leave it."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
from typing import Any

import numpy as np


def drop(path: str) -> None:
    """Asks the kernel to forget the file's pages: those that are written out and that nobody has mapped. Only of this file."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def resident_share(path: str) -> float | None:
    """The share of a file's pages that are in the page cache, 0 to 1; None for an empty file, and where the kernel does not tell.

    Of files that the caller neither owns nor may write the kernel (since 5.2) says that all are, which means nothing.

    Raises:
        OSError: the file cannot be opened or mapped.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        may_ask = os.fstat(file.fileno()).st_uid == os.geteuid() or os.access(path, os.W_OK)
        if size == 0 or not may_ask:
            return None
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped:
            view = np.frombuffer(mapped, np.uint8)
            pages = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
            failed = _mincore()(view.ctypes.data, size, pages.ctypes.data)
            del view  # or the mapping cannot be closed
    return None if failed else float((pages & 1).mean())


@functools.cache
def _mincore() -> Any:
    function = ctypes.CDLL(None, use_errno=True).mincore
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    return function
