"""Names of samples that a data set leaves out: given one by one, or in a file, as ``fastload verify --list`` writes it."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable

from fastload.reports import FastloadWarning

# What a data set takes as ``exclude``.
Exclude = str | os.PathLike[str] | Iterable[str] | None


def excluded_names(exclude: Exclude) -> frozenset[str]:
    """The names. Of a file: one a line, UTF-8, with or without a byte order mark; a line that begins with a quotation mark is a
    JSON string. Raises OSError, and ValueError for a line that is no such string, and for UTF-16."""
    if exclude is None:
        return frozenset()
    if not isinstance(exclude, str | os.PathLike):
        return frozenset(exclude)
    with open(exclude, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        lines = file.read().split("\n")
    if any("\0" in line for line in lines):
        raise ValueError(f"{os.fspath(exclude)} is no list of names in UTF-8: there are zeros in it")
    names = set()
    for number, line in enumerate(lines, 1):
        if not line.startswith('"'):
            names.add(line.removesuffix("\r"))
            continue
        try:
            names.add(str(json.loads(line)))
        except ValueError as error:
            raise ValueError(f"{os.fspath(exclude)}, line {number}: {error}") from error
    return frozenset(names - {""})


def warn_of_unknown(exclude: Exclude, unwanted: frozenset[str], left_out: int) -> None:
    """Of a list that leaves nothing out: its names are not those of this source."""
    if unwanted and not left_out:
        whose = os.fspath(exclude) if isinstance(exclude, str | os.PathLike) else "exclude="
        warnings.warn(
            f"{whose} leaves no sample out: none has such a name, as {min(unwanted)!r}", FastloadWarning, stacklevel=4
        )


def name_line(name: str) -> str:
    """A name as a line of such a file."""
    is_plain = name and name.isprintable() and not name.startswith('"') and name == name.strip()
    return f"{name}\n" if is_plain else f"{json.dumps(name)}\n"


def path_below(path: str, root: str | os.PathLike[str]) -> str:
    """The name of a file in a class folder, with "/"."""
    return os.path.relpath(path, root).replace(os.sep, "/")
