"""A file that takes its place once it is whole and on the disk."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

_PART = ".part"


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[str]:
    """A file beside ``path``, to be opened and written, that is renamed to it in the end; on an error nothing is left.

    Raises OSError.
    """
    folder, name = os.path.split(os.path.abspath(path))
    beside = os.path.join(folder, f".{name}.{os.getpid()}.{secrets.token_hex(4)}{_PART}")
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            yield beside
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def remove_unfinished(folder: str | os.PathLike[str], seconds: float) -> None:
    """Removes what new_file() left in a folder because its process was killed: what nobody has written for so long.

    Raises OSError.
    """
    for path in Path(folder).glob(f".*{_PART}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink()


def write_pieces(file: BinaryIO, pieces: Sequence[Any]) -> int:
    """Writes these bytes, in some tens of pieces at most, to an unbuffered file in one call; how many they are. Raises OSError."""
    size = sum(map(len, pieces))
    written = os.writev(file.fileno(), pieces)
    if written < size:  # more than the system takes at once, or a disk that is nearly full
        rest = memoryview(b"".join(pieces))[written:]
        while rest:
            rest = rest[os.write(file.fileno(), rest) :]
    return size
