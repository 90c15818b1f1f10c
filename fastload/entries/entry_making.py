"""Entry points of all samples of a data set, made at once: what ``fastload index`` does."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastload import _core
from fastload.engine import ByteRange, FileDataset, SampleSource, ask_for, engine_form_of, share_of_cores
from fastload.entries.entry_files import EntryFolder, copy_entries
from fastload.entries.entry_points import EVERY
from fastload.entries.entry_roots import EntryRoot, roots_of

_AT_ONCE = 512
_AFAR_AT_ONCE = 128  # and as many are on their way
_TRIES = 3


@dataclass
class MadeEntries:
    """What came of it.

    Attributes:
        made, known, none, failed: samples whose entry points were made, were there, cannot be, and could not be read or kept.
        bytes: of the files that were read.
        k: entry points were made before every k-th MCU; 0: one a row.
        as_before: because most that were there were made so.
        replaced: of those made, which took the place of entry points of another k.
        places: where the entry points are.
    """

    made: int = 0
    known: int = 0
    none: int = 0
    failed: int = 0
    bytes: int = 0
    k: int = EVERY
    as_before: bool = False
    replaced: int = 0
    places: tuple[str, ...] = ()


def make_entries(
    files: FileDataset,
    every: int | None,
    *,
    threads: int | None = None,
    copy_to: str | os.PathLike[str] | None = None,
    progress: Callable[[int], None] = lambda samples: None,
) -> MadeEntries:
    """Makes the entry points before every ``every``-th MCU (0: one a row) of all samples that have none yet, or have them
    otherwise. None: what is there stays, and others get theirs as most of those have them, every 16th where there are none.

    Stopped at any time, it goes on from there when it is called again. Samples that lie in memory have none.

    Args:
        threads: that read; None: this process's share of the cores.
        copy_to: a file that all entry points are written to as well.
        progress: told how many samples were looked at since the last time.

    Raises OSError where the user's cache folder cannot be written.
    """
    roots = roots_of([files])
    counts = MadeEntries(k=EVERY if every is None else every)
    if not roots:
        counts.none = len(files.samples)
        return counts
    folders = [EntryFolder(root.cache, root.folder) for root in roots]
    for folder in folders:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.collect()
    if every is None:
        there = _most_frequent(_store_of(roots, folders, EVERY).spacings)
        counts.k, counts.as_before = (EVERY, False) if there is None else (there, True)
    store = _store_of(roots, folders, counts.k, keeps=every is None)
    try:
        for sources, others in _in_parts(files, store):
            made, known, none, failed, size, replaced = store.make(
                [engine_form_of(source) for source in sources], threads or share_of_cores()
            )
            counts.made, counts.known, counts.none = counts.made + made, counts.known + known, counts.none + none
            counts.failed, counts.bytes = counts.failed + failed, counts.bytes + size
            counts.replaced += replaced
            counts.known, counts.none = counts.known + others["known"], counts.none + others["none"]
            progress(len(sources) + sum(others.values()))
    finally:
        del store
        for folder in folders:
            folder.collect(into_one=True)
    counts.places = tuple(os.fspath(folder.path) for folder in folders)
    if copy_to is not None:
        copy_entries(folders, copy_to)
        counts.places = (*counts.places, os.fspath(copy_to))
    return counts


def _most_frequent(spacings: Sequence[tuple[int, int]]) -> int | None:
    """The K of most records that were found, each told by its own K, which is its row's MCUs at most, and these; None: they do not
    tell it."""
    votes = Counter(every for every, row in spacings if every < row)
    widest = max(votes, default=EVERY)
    # A row of more MCUs than any K is long, and no entry point within it.
    votes[0] = sum(every == row > widest for every, row in spacings)
    return max(votes, key=lambda every: votes[every]) if votes.total() else None


def _store_of(
    roots: Sequence[EntryRoot], folders: Sequence[EntryFolder], every: int, *, keeps: bool = False
) -> _core.EntryStore:
    tries = _TRIES
    while True:
        parts = [
            (root.prefix, [parts for parts, _ in folder.files()], folder.log())
            for root, folder in zip(roots, folders, strict=True)
        ]
        try:
            return _core.EntryStore(parts, every=every, verifies=False, keeps=keeps)
        except FileNotFoundError:  # merged by another process since it was listed
            tries -= 1
            if not tries:
                raise


def _in_parts(files: FileDataset, store: _core.EntryStore) -> Iterator[tuple[list[Any], Counter[str]]]:
    """Those to be read, and how many of the others there are; what lies afar is on its way."""
    samples = files.samples
    step = _AFAR_AT_ONCE if files.is_far else _AT_ONCE
    before: tuple[list[Any], Counter[str]] | None = None
    for begin in range(0, len(samples), step):
        wanted, others = [], Counter[str]()
        for row in range(begin, min(begin + step, len(samples))):
            source = samples[row][0]
            if kind := _why_not(source, store):
                others[kind] += 1
            else:
                wanted.append(source)
        ask_for(wanted)
        if before is not None:
            yield before
        before = wanted, others
    if before is not None:
        yield before


def _why_not(source: Any, store: _core.EntryStore) -> str:
    """Why a sample need not be read: "none" can be had of it, or they are "known"; else empty."""
    if not isinstance(source, SampleSource) or isinstance(source, ByteRange):
        return ""
    if source.place is None:
        return "none"
    return "known" if store.knows(source.cached_form()) else ""
