"""Files of entry points: docs/entries-file.md has the layout. Written whole, then renamed; several of them are merged."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fastload import _core
from fastload.shards import BadIndexError, SelfChecked, read_parts, remove_unfinished, write_index

KIND = "entries"
_ENDING, _LOG_ENDING = ".entries", ".log"
# More files than this become one: each is looked at for every sample.
_MOST_FILES = 8
# So many are merged at once: each is open meanwhile.
_MOST_LOGS = 256
_PATIENCE_SECONDS = 10.0
_COPY_PATIENCE_SECONDS = 600.0
_LOOK_SECONDS = 0.01
# What was not whole when its process was killed is left behind once it was not written for so long; where a file system has no
# locks, a log is, too.
_OLD_SECONDS = 3600.0

# (path, where its slots begin, how many they are, where its records begin, how many bytes they are)
FileParts = tuple[str, int, int, int, int]


def parts_of(path: str | os.PathLike[str]) -> tuple[FileParts, int]:
    """Where the parts of a file of entry points are, and how many records it has. Raises BadIndexError, and OSError."""
    header, columns = read_parts(path)
    if header.get("kind") != KIND:
        raise BadIndexError(f"{os.fspath(path)} is no file of entry points")
    try:
        (slot_type, slots_at, words), (record_type, records_at, size) = columns["slots"], columns["records"]
        count = header["count"]
    except KeyError as error:
        raise BadIndexError(f"{os.fspath(path)} is damaged: it has no {error}") from error
    if (slot_type, record_type) != ("<u8", "|u1") or words % 2 or type(count) is not int:
        raise BadIndexError(f"{os.fspath(path)} is damaged: its columns are of other types")
    return (os.fspath(path), slots_at, words // 2, records_at, size), count


def write_entries(path: str | os.PathLike[str], merge: _core.EntryMerge, root: str) -> None:
    """Writes what was merged, whole or not at all. Raises OSError."""
    merge.finish()
    slots = merge.slots
    columns: dict[str, Any] = {
        "slots": SelfChecked("<u8", len(slots), lambda: iter([slots.view("|u1").data])),
        "records": SelfChecked("|u1", merge.size, lambda: iter(merge.next, b"")),
    }
    write_index(path, {"kind": KIND, "count": merge.records, "root": root}, columns)


def copy_entries(folders: Sequence[EntryFolder], path: str | os.PathLike[str]) -> None:
    """Writes all there is in them to a file elsewhere. Raises OSError."""
    merge = _core.EntryMerge()
    for folder in folders:
        folder.add_to(merge)
    write_entries(path, merge, folders[0].root)


class EntryFolder:
    """Where the entry points of one root are kept: files, and logs of the processes that make more.

    Attributes:
        ignored: what was found there and is of no use, and why, in one line each.
    """

    def __init__(self, folder: Path, root: str) -> None:
        self.path = folder
        self.root = root
        self.ignored: list[str] = []

    def files(self) -> list[tuple[FileParts, int]]:
        """The newest first, with how many records each has."""
        found = []
        self.ignored = []
        for path in reversed(self._named(_ENDING)):
            try:
                found.append(parts_of(path))
            except FileNotFoundError:  # merged meanwhile
                continue
            except (OSError, BadIndexError) as error:
                self.ignored.append(str(error))
        return found

    def log(self) -> _core.RecordLog:
        """A new one, of this process."""
        return _core.RecordLog(os.fspath(self.path), f"{_now()}-{os.getpid()}-{secrets.token_hex(4)}{_LOG_ENDING}")

    def collect(self, *, into_one: bool = False) -> None:
        """Makes a file of the logs that nobody writes any more; of everything where there are many files, or ``into_one``. What
        cannot be done is left to the next who tries."""
        with contextlib.suppress(OSError), self._alone():
            remove_unfinished(self.path, _OLD_SECONDS)
            logs = self._left_behind()[:_MOST_LOGS]
            files = self._named(_ENDING)
            merges = len(files) > 1 if into_one else len(files) + bool(logs) > _MOST_FILES
            if logs or merges:
                self._merge(files if merges or into_one else [], logs)

    def add_to(self, merge: _core.EntryMerge) -> None:
        """All there is, unmerged logs as well. Raises OSError."""
        with self._alone(_COPY_PATIENCE_SECONDS):  # nobody merges between the two lists
            self._add(merge, self._named(_ENDING))
            for log in self._left_behind():
                merge.add(os.fspath(log))

    def _merge(self, files: list[Path], logs: list[Path]) -> None:
        merge = _core.EntryMerge()
        bad = self._add(merge, files)
        for log in logs:
            merge.add(os.fspath(log))
        name = self.path / f"{_now()}-{secrets.token_hex(4)}{_ENDING}"
        if merge.records:
            write_entries(name, merge, self.root)
        for path in [*files, *logs]:
            if path not in bad:
                path.unlink(missing_ok=True)

    def _add(self, merge: _core.EntryMerge, files: list[Path]) -> set[Path]:
        """Those that are none."""
        bad = set()
        for path in files:
            try:
                (_, _, _, at, size), _ = parts_of(path)
                merge.add(os.fspath(path), at, size)
            except BadIndexError:
                bad.add(path)
        return bad

    def _left_behind(self) -> list[Path]:
        """The logs that nobody writes any more."""
        return [path for path in self._named(_LOG_ENDING) if _is_left_behind(path)]

    def _named(self, ending: str) -> list[Path]:
        """By their names, which begin with the time."""
        try:
            return sorted(
                self.path / name for name in os.listdir(self.path) if name.endswith(ending) and name[0].isdigit()
            )
        except OSError:
            return []

    @contextlib.contextmanager
    def _alone(self, patience: float | None = None) -> Iterator[None]:
        """With a lock on the folder itself, so nothing is left behind. OSError where there is none, or another has it for long."""
        handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            until = time.monotonic() + (_PATIENCE_SECONDS if patience is None else patience)
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(_LOOK_SECONDS)
                except OSError:  # there are no locks: who merges at the same time writes the same, or finds a file gone
                    break
            yield
        finally:
            os.close(handle)


def _now() -> str:
    return f"{time.time_ns():020d}"


def _is_left_behind(path: Path) -> bool:
    """Whether nobody writes such a log any more."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # NFS locks for writing only what is open for it
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return time.time() - os.fstat(handle).st_mtime > _OLD_SECONDS
    finally:
        os.close(handle)
