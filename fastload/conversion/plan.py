"""What a conversion does, before it does it: which samples go into which part, kept in the destination until all is done.

A part is what is written whole or not at all: one file of shards, or a run of files of a folder. Which samples are in which part
depends on their sizes alone, so that any number of workers, and a call that goes on, write the same bytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastload.conversion.errors import ConversionError, RefusedError
from fastload.conversion.sample_lists import SampleList
from fastload.shards import PLAN, REPORT, UNFINISHED
from fastload.version import __version__

# What the check leaves: an index with paths and times, which is not the same whenever and wherever it is made.
_INDEX_FOLDER = ".fastload"
OWN_NAMES = frozenset({UNFINISHED, REPORT, _INDEX_FOLDER})


@dataclass(frozen=True)
class Settings:
    """What decides the bytes that are written.

    Attributes:
        to: the format.
        shard_size: bytes of samples in a part, at most, unless one sample has more.
        max_side, quality: see :class:`Shrink`.
        optimize: see :class:`Optimize`.
        on_error: "raise" or "skip".
        exclude: SHA-256 of the names that are left out, or nothing.
    """

    to: str
    shard_size: int
    max_side: int | None = None
    quality: int | None = None
    optimize: bool = False
    on_error: str = "raise"
    exclude: str = ""


def first_rows(sizes: npt.NDArray[np.int64], shard_size: int) -> list[int]:
    """The row that each part begins with."""
    ends = np.cumsum(sizes)
    starts, row = [], 0
    while row < len(sizes):
        starts.append(row)
        before = int(ends[row - 1]) if row else 0
        row = max(row + 1, int(np.searchsorted(ends, before + shard_size, "right")))
    return starts


class Plan:
    """A conversion into a destination: new, or the one that was begun there.

    Args:
        dst: the destination, a folder; made where there is none.
        samples: of the source.
        settings: of the conversion.

    Attributes:
        dst, settings: these.
        starts: the row that each part begins with.

    Raises:
        RefusedError: the destination holds something else.
    """

    def __init__(self, dst: str, samples: SampleList, settings: Settings) -> None:
        self.dst = os.path.abspath(dst)
        self.settings = settings
        self.folder = os.path.join(self.dst, UNFINISHED)
        # One database is one file.
        self.starts = [0] if settings.to == "lmdb" else first_rows(samples.sizes, settings.shard_size)
        self.rows = len(samples)
        self.facts: dict[str, Any] = {
            "fastload": __version__,
            "source": {
                "kind": samples.kind,
                "samples": len(samples),
                "bytes": int(samples.sizes.sum()),
                "identity": samples.identity,
            },
            "settings": asdict(settings),
        }

    def __len__(self) -> int:
        return len(self.starts)

    def part(self, number: int) -> range:
        """The rows of a part."""
        return range(self.starts[number], [*self.starts, self.rows][number + 1])

    def finished_report(self) -> dict[str, Any] | None:
        """The report of this very conversion, where it is done already. Raises RefusedError for another's."""
        report = _json_of(os.path.join(self.dst, REPORT))
        if report is None or os.path.lexists(os.path.join(self.folder, PLAN)):
            return None
        self._check_same(report, "was converted with")
        if os.path.lexists(self.folder):  # killed while it was removed
            remove(self.folder)
        return report

    @contextlib.contextmanager
    def begun(self) -> Iterator[None]:
        """Makes the destination, or finds what was begun there; what was half written is removed.

        Nobody else writes there meanwhile. Raises RefusedError.
        """
        os.makedirs(self.dst, exist_ok=True)
        if os.path.islink(self.folder):
            raise RefusedError(f"{self.folder} is a symbolic link")
        if not os.path.isdir(self.folder):
            foreign = sorted(set(os.listdir(self.dst)))
            if foreign:
                raise RefusedError(
                    f"{self.dst} is not empty ({foreign[0]!r} is in it): a conversion wants a folder of its own"
                )
            os.mkdir(self.folder)
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RefusedError(f"{self.dst}: another conversion is writing there") from error
            except OSError:  # a file system without locks
                pass
            self._find_begun()
            yield
        finally:
            os.close(handle)

    def _find_begun(self) -> None:
        begun = _json_of(os.path.join(self.folder, PLAN))
        if begun is not None:
            self._check_same(begun, "was begun with")
        elif len(os.listdir(self.dst)) > 1:
            raise RefusedError(f"{self.dst} has lost the plan of its conversion; remove it and begin again")
        for name in os.listdir(self.folder):
            if not name.endswith(".done") and name != PLAN:
                remove(os.path.join(self.folder, name))
        if begun is None:
            write_whole(os.path.join(self.folder, PLAN), _json(self.facts), self.folder)

    def done(self, number: int) -> dict[str, Any] | None:
        """What is known of a part that is written; None of one that is not."""
        found = _json_of(self._done_path(number))
        if found is None:
            return None
        file = found["file"]
        if file is not None and _size(os.path.join(self.dst, file)) != found["size"]:
            return None
        return found

    def finish(self, report: dict[str, Any]) -> None:
        """Leaves the report in the place of the plan."""
        write_whole(os.path.join(self.dst, REPORT), _json(report), self.folder)
        index = os.path.join(self.dst, _INDEX_FOLDER)
        if os.path.isdir(index):
            remove(index)
        remove(self.folder)

    def _done_path(self, number: int) -> str:
        return done_path(self.dst, number)

    def _check_same(self, other: dict[str, Any], verb: str) -> None:
        for what in ("fastload", "source", "settings"):
            mine, theirs = self.facts[what], other.get(what)
            if mine == theirs:
                continue
            if isinstance(mine, dict) and isinstance(theirs, dict):
                differing = [name for name in mine if mine[name] != theirs.get(name)]
                changes = ", ".join(f"{name} {theirs.get(name)!r}, not {mine[name]!r}" for name in differing)
                what = f"{'other settings' if what == 'settings' else 'another source'} ({changes})"
            else:
                what = f"{what} {theirs!r}, not {mine!r}"
            raise RefusedError(f"{self.dst} {verb} {what}: take another folder, or remove that one")


def done_path(dst: str, number: int) -> str:
    """Where it is kept that a part is written."""
    return os.path.join(dst, UNFINISHED, f"{number:06d}.done")


def write_whole(path: str, data: bytes, temporary: str) -> None:
    """A small file, whole or not at all, also after the power failed; it is written in a temporary folder. Raises OSError."""
    beside = os.path.join(temporary, f"{os.path.basename(path)}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        if os.path.lexists(beside):
            os.unlink(beside)
        raise


def remove(path: str) -> None:
    """A file, a link, or a folder with all that is in it."""
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    with os.scandir(path) as entries:
        inside = [entry.path for entry in entries]
    # The plan goes last: a folder without one is no conversion that could go on.
    for one in sorted(inside, key=lambda one: os.path.basename(one) == PLAN):
        remove(one)
    os.rmdir(path)


def record_done(dst: str, number: int, facts: dict[str, Any]) -> None:
    """Keeps it that a part is written."""
    write_whole(done_path(dst, number), _json(facts), os.path.join(dst, UNFINISHED))


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _json_of(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            found = json.load(file)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ConversionError(f"{path} is damaged: it is no object")
    return found


def _size(path: str) -> int | None:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return None
