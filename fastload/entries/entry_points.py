"""The entry points of one loader's samples: which there are, where new ones go, and what is told of them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from typing import Any

from fastload import _core
from fastload.engine import ByteRange, FileDataset, Find, SampleSource, engine_form_of
from fastload.entries.entry_files import EntryFolder, FileParts, parts_of
from fastload.entries.entry_roots import EntryRoot, roots_of
from fastload.reports import Statistics, printable
from fastload.shards import BadIndexError

ENTRIES = ("auto", "verify", "off")
# Of what is made while training: 1.4 % of the size of photos.
EVERY = 16
_TRIES = 3
# So many samples are looked for; of more, so many from all over tell it.
_COUNTED = 4096


def check_entries(entries: Any) -> None:
    """Raises ValueError for an option that cannot be: also a word that is near to a known one, and a path to nowhere."""
    wanted = f"entries should be one of {ENTRIES} or a path, but got entries={entries!r}"
    if not isinstance(entries, str | os.PathLike) or not os.fspath(entries):
        raise ValueError(wanted)
    path = os.fsdecode(entries)
    if entries in ENTRIES or os.path.lexists(path):
        return
    near = difflib.get_close_matches(path.lower(), ENTRIES, 1) if isinstance(entries, str) else []
    if near:
        raise ValueError(f"{wanted}, and there is no such file: did you mean {near[0]!r}?")
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise ValueError(f"{wanted}, and there is neither such a file nor a folder for it")


class EntryPoints:
    """Pickled, or forked, as for a worker process, it reads the same records and makes its own.

    Args:
        entries: as the loader was given it.
        roots: what its samples lie below, one at least.
    """

    def __init__(self, entries: str | os.PathLike[str], roots: Sequence[EntryRoot]) -> None:
        self.entries = os.fspath(entries)
        self.roots = tuple(roots)
        self.is_file = self.entries not in ENTRIES
        self._path = os.path.abspath(self.entries) if self.is_file else ""
        self.records = 0
        self.ignored: list[str] = []
        self._store: _core.EntryStore | None = None
        self._logs: list[_core.RecordLog] = []
        self._pid = 0

    def __reduce__(self) -> Any:
        return EntryPoints, (self.entries, self.roots)

    @property
    def native(self) -> _core.EntryStore | None:
        """What the engine reads and adds to."""
        if self._pid != os.getpid():
            self._look()
        return self._store

    def begin_epoch(self) -> None:
        """What this process and others have made since comes into use."""
        if self._pid == os.getpid():
            for log in self._logs:
                log.end()
        self._store, self._logs = None, []  # what was added to them is on the disk, and nobody's now
        if not self.is_file:
            for folder in self._folders():
                folder.collect()
        self._look()

    def _folders(self) -> list[EntryFolder]:
        try:
            return [EntryFolder(root.cache, root.folder) for root in self.roots]
        except OSError as error:
            self.ignored = [str(error)]
            return []

    def _look(self) -> None:
        self._pid = os.getpid()
        for _ in range(_TRIES):
            self._store, self._logs, self.records, self.ignored = None, [], 0, []
            try:
                self._open()
                return
            except FileNotFoundError as error:  # merged by another process since it was listed
                self.ignored.append(str(error))
            except OSError as error:
                self.ignored.append(str(error))
                return

    def _open(self) -> None:
        parts: list[tuple[str, list[FileParts], _core.RecordLog | None]] = []
        if self.is_file:
            files = self._of_file()
            parts = [(root.prefix, files, None) for root in self.roots]
        else:
            folders = self._folders()
            for root, folder in zip(self.roots, folders, strict=False):
                found = folder.files()
                self.records += sum(count for _, count in found)
                self.ignored += folder.ignored
                log = folder.log()
                self._logs.append(log)
                parts.append((root.prefix, [files for files, _ in found], log))
        if parts:
            self._store = _core.EntryStore(parts, every=EVERY, verifies=self.entries == "verify")

    def _of_file(self) -> list[FileParts]:
        try:
            found, self.records = parts_of(self._path)
        except (OSError, BadIndexError) as error:
            self.ignored.append(str(error))
            return []
        return [found]

    def known_of(self, find: Find, length: int) -> int:
        """How many of so many samples have entry points: each as often as it is listed, and none that lies in a folder alone. It is
        exact of up to 4,096.

        Args:
            find: a sample's data set, and its index there.
        """
        store = self.native
        count = min(length, _COUNTED)
        if store is None or count == 0:
            return 0
        forms = [_form_of(find, length * number // count) for number in range(count)]
        return round(store.count_known(forms) * length / count)

    def made_here(self) -> int:
        """Of this process, since the epoch began: :meth:`known_of` counts samples that have them."""
        return sum(log.records for log in self._logs if self._pid == os.getpid())

    def closed_places(self) -> list[str]:
        """The folders that nothing new can be written to, as far as can be told: by their rights, or since it was tried."""
        failed = {os.path.dirname(log.path) for log in self._logs if self._pid == os.getpid() and not log.is_open}
        places = [] if self.is_file else self.places()
        return [place for place in places if place in failed or not _can_be_written(place)]

    def places(self) -> list[str]:
        """Where they are kept."""
        if self.is_file:
            return [self._path]
        return [os.fspath(folder.path) for folder in self._folders()]


def _form_of(find: Find, index: int) -> Any:
    """Of a sample: what tells its records, for which nothing is read or fetched; no bytes where it cannot be told."""
    try:
        files, within = find(index)
        source, _ = files.sample(within)
        is_afar = isinstance(source, SampleSource) and not isinstance(source, ByteRange)
        return source.cached_form() if is_afar else engine_form_of(source)
    except Exception:  # which is told where it is read
        return b""


def _can_be_written(folder: str) -> bool:
    """Whether it, or the folder that it will come in, lets this user write."""
    while not os.path.lexists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def entry_points_of(
    before: EntryPoints | None,
    entries: str | os.PathLike[str],
    datasets: Iterable[FileDataset],
    *,
    begins: bool = False,
) -> EntryPoints | None:
    """Those of a loader, which may have had some ``before`` and may begin an epoch; None: there are none to be had, or they are not
    wanted."""
    if entries == "off":
        return None
    roots = tuple(roots_of(datasets))
    if not roots:
        return None
    same = before is not None and (before.entries, before.roots) == (os.fspath(entries), roots)
    points = before if before is not None and same else EntryPoints(entries, roots)
    if begins:
        points.begin_epoch()
    return points


def entry_lines(
    entries: str | os.PathLike[str],
    datasets: Sequence[FileDataset],
    find: Find | None,
    samples: Any,
    made: EntryPoints | None,
    statistics: Statistics,
    cache: str | None,
) -> list[str]:
    """For ``explain()``, with the statistics of the epoch; ``find``: where each of the samples is."""
    if entries == "off" or not datasets or find is None:
        return []
    points = entry_points_of(made, entries, datasets)
    if points is None:
        return [] if entries == "auto" else ["  entries: none: the samples lie in no files, here or afar"]
    _ = points.native
    if made is None and points.entries == "auto" and not points.records and not points.ignored:
        return []  # as long as there are none, and none are being made
    length = len(samples)
    since = statistics.entry_figures()["made"] if points is made else 0
    by_others = max(0, since - points.made_here())  # in workers, whose logs are theirs until the next epoch
    known = min(points.known_of(find, length) + by_others, length)
    about = "about " if length > _COUNTED and 0 < known < length else ""
    line = f"  entries: {about}{known:,} of {length:,} samples have entry points"
    line += f", {min(since, length):,} of them since this epoch began" if since else ""
    places = [printable(place) for place in points.places()]
    line += f", in {', '.join(places)}" if places and known else ""
    if points.entries == "verify":
        line += "; a hash of each file's content is compared"
    lines = [line]
    if not points.is_file and known < length:
        closed = [printable(place) for place in points.closed_places()]
        if closed or not places:
            lines.append(
                f"  entries: no new ones are kept, since {', '.join(closed) or 'the cache folder'} cannot be written:"
                " set XDG_CACHE_HOME to a folder that can, or give a file of `fastload index --entries FILE` as entries="
            )
        else:
            lines[0] += (
                "; others get theirs while they are decoded, where at most an eighth of the codes is read for it alone"
                " (`fastload index` makes all at once)"
            )
    if cache == "decoded":
        lines.append("  entries: not used for images that cache='decoded' has no pixels of yet: it decodes all of them")
    return [*lines, *(f"  entries: ignored: {printable(why)}" for why in points.ignored)]
