"""Entry points of all samples of a data set, made at once: what ``fastload index`` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastload import _core
from fastload.engine import ByteRange, FileDataset, SampleSource, engine_form_of, share_of_cores
from fastload.entries.entry_files import EntryFolder
from fastload.entries.entry_roots import roots_of

_AT_ONCE = 512


@dataclass
class MadeEntries:
    """What came of it.

    Attributes:
        made, known, none, failed: samples whose entry points were made, were there, cannot be, and could not be read or kept.
        bytes: of the files that were read.
        places: where the entry points are.
    """

    made: int = 0
    known: int = 0
    none: int = 0
    failed: int = 0
    bytes: int = 0
    places: tuple[str, ...] = ()


def make_entries(
    files: FileDataset,
    every: int,
    *,
    threads: int | None = None,
    copy_to: str | os.PathLike[str] | None = None,
    progress: Callable[[int], None] = lambda samples: None,
) -> MadeEntries:
    """Makes the entry points before every ``every``-th MCU (0: one a row) of all samples that have none yet.

    Stopped at any time, it goes on from there when it is called again. Samples that lie in no files here have none.

    Args:
        threads: that read; None: this process's share of the cores.
        copy_to: a file that all entry points are written to as well.
        progress: told how many samples were looked at since the last time.

    Raises OSError where the user's cache folder cannot be written.
    """
    roots = roots_of([files])
    counts = MadeEntries()
    if not roots:
        counts.none = len(files.samples)
        return counts
    folder = EntryFolder(roots[0].cache, roots[0].folder)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.collect()
    log = folder.log()
    store = _core.EntryStore(
        [(roots[0].prefix, [parts for parts, _ in folder.files()], log)], every=every, verifies=False
    )
    try:
        for sources in _in_parts(files):
            made, known, none, failed, size = store.make(sources, threads or share_of_cores())
            counts.made, counts.known, counts.none = counts.made + made, counts.known + known, counts.none + none
            counts.failed, counts.bytes = counts.failed + failed, counts.bytes + size
            progress(len(sources))
    finally:
        del store, log
        folder.collect(into_one=True)
    counts.places = (os.fspath(folder.path),)
    if copy_to is not None:
        folder.copy_to(copy_to)
        counts.places = (*counts.places, os.fspath(copy_to))
    return counts


def _in_parts(files: FileDataset) -> Iterator[list[Any]]:
    samples = files.samples
    for begin in range(0, len(samples), _AT_ONCE):
        sources = [samples[row][0] for row in range(begin, min(begin + _AT_ONCE, len(samples)))]
        yield [b"" if _is_elsewhere(source) else engine_form_of(source) for source in sources]


def _is_elsewhere(source: Any) -> bool:
    """Whether it lies in no file here."""
    return isinstance(source, SampleSource) and not isinstance(source, ByteRange)
