"""Records as the files of a folder of class folders, never outside it, whatever their names are and whatever lies in the way."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable
from typing import Any

from fastload.conversion.errors import BadSampleError, ConversionError
from fastload.conversion.plan import OWN_NAMES
from fastload.conversion.safe_names import check_class, check_name
from fastload.shards import Record

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_OPEN = 64  # folders


def file_name(name: str, target: Any, class_name: str | None, digits: int = 0) -> str:
    """The path of a sample in a folder: its own name, in its class's folder.

    Args:
        name, target, class_name: of the record.
        digits: of the largest target, so that folders named by numbers are sorted as these.

    Raises:
        BadSampleError: a name that is no file's, or a target that is no class.
    """
    check_name(name)
    name = "/".join(part for part in name.split("/") if part not in ("", "."))
    if not has_class(target, class_name):
        _check_is_free(name)
        return name
    if class_name is None:
        if type(target) is not int or target < 0:
            raise BadSampleError(name, f"a folder of class folders cannot hold the target {target!r:.60}")
        class_name = f"{target:0{digits}d}"
    check_class(class_name)
    _check_is_free(class_name)
    return name if name.startswith(class_name + "/") else f"{class_name}/{name}"


def has_class(target: Any, class_name: str | None) -> bool:
    """Whether a sample lies in the folder of a class; one without lies at the top."""
    return class_name is not None or not (target is None or target == -1)


def _check_is_free(name: str) -> None:
    """Raises BadSampleError where a conversion keeps what is its own."""
    if name.partition("/")[0].lower() in OWN_NAMES:
        raise BadSampleError(name, "a name that a conversion needs for its own files")


def write_folder(
    path: str, records: Iterable[Record], classes: Iterable[str] | None = None, *, temporary: str, digits: int = 0
) -> None:
    """Writes each record as a file, whole or not at all; files that are there are replaced.

    All are on the disk when it returns. No link in the folder is followed.

    Args:
        path: the folder, which is there.
        records: their names are the files' paths, see :func:`file_name`.
        classes: each becomes a folder, also without samples.
        temporary: a folder on the same file system; files are written there and renamed.
        digits: see :func:`file_name`.

    Raises:
        BadSampleError: a hostile name, or a link in its way.
        OSError: a full disk, and the like.
    """
    folders = _Folders(path)
    staged = os.open(temporary, _FOLDER)
    try:
        for name in classes or ():
            check_class(name)
            _check_is_free(name)
            folders.handle(name, name)
        for number, record in enumerate(records):
            name = file_name(record.name, record.target, record.class_name, digits)
            above, _, last = name.rpartition("/")
            handle = folders.handle(above, name)
            beside = f"{number}.part"
            _write(staged, beside, record.data)
            try:
                os.rename(beside, last, src_dir_fd=staged, dst_dir_fd=handle)
            except IsADirectoryError as error:
                raise BadSampleError(record.name, f"{name} is a folder already") from error
        _sync(staged)
    finally:
        os.close(staged)
        folders.close()


def _write(folder: int, name: str, data: Any) -> None:
    file = os.open(name, _NEW_FILE, 0o666, dir_fd=folder)
    try:
        view = memoryview(data).cast("B")
        while view:
            view = view[os.write(file, view) :]
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(file)


def _sync(folder: int) -> None:
    """What was written to its file system is on the disk: one call for thousands of files."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(folder) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class _Folders:
    """Handles of the folders below one, opened step by step without following links, and made where they are not there."""

    def __init__(self, path: str) -> None:
        self._top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: dict[str, int] = {}

    def handle(self, relative: str, name: str) -> int:
        """Of this folder, for the sample of this name."""
        parts = [part for part in relative.split("/") if part not in ("", ".")]
        if not parts:
            return self._top
        key = "/".join(parts)
        if key in self._open:
            return self._open[key]
        if len(self._open) >= _MOST_OPEN:
            os.close(self._open.pop(next(iter(self._open))))
        handle = self._step(parts, name)
        self._open[key] = handle
        return handle

    def _step(self, parts: list[str], name: str) -> int:
        at = os.dup(self._top)
        for part in parts:
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=at)
                below = os.open(part, _FOLDER, dir_fd=at)
            except NotADirectoryError as error:
                raise BadSampleError(name, f"{part!r} in its way is a file or a symbolic link, no folder") from error
            finally:
                os.close(at)
            at = below
        return at

    def close(self) -> None:
        for handle in [self._top, *self._open.values()]:
            os.close(handle)
        self._open.clear()


def check_file_names(names: Iterable[str]) -> None:
    """Raises ConversionError where two samples would be one file."""
    seen: set[str] = set()
    for name in names:
        plain = "/".join(part for part in name.split("/") if part not in ("", "."))
        if plain in seen:
            raise ConversionError(f"two samples are named {name!r}: a folder cannot hold both")
        seen.add(plain)
