"""Whether what is opened is all of it: no conversion that is still to be finished, and every shard of a numbered set."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar

from fastload.remote import redacted
from fastload.reports import FastloadWarning, printable

# What lies in the folder of a conversion until all is done, and in it what is to be done; and what lies there from then on.
UNFINISHED = ".fastload-conversion"
PLAN = "plan.json"
REPORT = "fastload.json"
# Of a numbered set: "train-00003-of-01024.tfrecord"; on the Hugging Face hub "train-00003-of-01024-1a2b3c.parquet", with
# another end for each shard.
NUMBERED = re.compile(
    r"(?P<name>.*?)-(?P<number>\d{5,18})-of-(?P<count>\d{5,18})(?P<end>(?:-[0-9a-f]+)?(?:\.\w+)*)", re.ASCII
)
_NAMED = 5  # of those that are missing
_MOST_LOOKED_FOR = 1_000_000

_own: ContextVar[str | None] = ContextVar("own conversion", default=None)


class UnfinishedConversionError(ValueError):
    """A folder that holds a part of what was to be converted into it."""


@contextlib.contextmanager
def reading_own_conversion(folder: str) -> Iterator[None]:
    """Inside, this thread may open what it has just written there."""
    before = _own.set(os.path.realpath(folder))
    try:
        yield
    finally:
        _own.reset(before)


def refuse_unfinished(paths: Iterable[str]) -> None:
    """Raises UnfinishedConversionError where one of these files or folders here is, or lies in, one of a conversion that was not
    finished."""
    for folder in {path if os.path.isdir(path) else os.path.dirname(path) for path in paths if "://" not in path}:
        marker = os.path.join(folder, UNFINISHED)
        if not os.path.lexists(marker) or os.path.realpath(folder or ".") == _own.get():
            continue
        # Without a plan, but with a report, it was killed while it removed what it needed no more.
        if os.path.lexists(os.path.join(marker, PLAN)) or not os.path.lexists(os.path.join(folder, REPORT)):
            raise _unfinished(folder or ".", marker)


def refuse_unfinished_afar(folder: str, names: Iterable[str]) -> None:
    """The same of a folder's URL, and all URLs below it."""
    marker = folder + UNFINISHED + "/"
    if any(name.startswith(marker) for name in names):
        raise _unfinished(redacted(folder), redacted(marker))


def _unfinished(folder: str, marker: str) -> UnfinishedConversionError:
    return UnfinishedConversionError(
        f"{printable(folder)} holds a conversion that was not finished, so samples are missing there: run the same "
        f"'fastload convert SRC {printable(folder)}' again, which goes on where it was ({printable(marker)} is its plan)"
    )


def warn_of_missing(found: Iterable[str], would_match: Callable[[str], bool] = lambda path: True) -> None:
    """Warns where shards are missing of a set whose names count it, ``NAME-IIIII-of-NNNNN``.

    Args:
        found: paths or URLs.
        would_match: whether what named these would have found such a path, too.
    """
    sets: dict[tuple[str, int], tuple[set[int], re.Match[str]]] = {}
    for path in found:
        if (one := NUMBERED.fullmatch(path)) and int(one["number"]) < int(one["count"]):
            sets.setdefault((one["name"], int(one["count"])), (set(), one))[0].add(int(one["number"]))
    for (name, count), (numbers, one) in sets.items():
        if len(numbers) == count:
            continue

        def path_of(number: int, one: re.Match[str] = one) -> str:
            return f"{one['name']}-{number:0{len(one['number'])}d}-of-{one['count']}{one['end']}"

        missing = [
            path_of(number)
            for number in range(min(count, _MOST_LOOKED_FOR))
            if number not in numbers and would_match(path_of(number))
        ]
        if missing:
            shown = ", ".join(os.path.basename(redacted(path)) for path in missing[:_NAMED])
            more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
            warnings.warn(
                f"{len(numbers):,} of {count:,} files of {printable(redacted(name))}-*-of-{one['count']} are there; missing: "
                f"{printable(shown)}{more}",
                FastloadWarning,
                stacklevel=4,
            )
