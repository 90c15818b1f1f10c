"""Which shards somebody means: a path, a list, a folder, patterns with stars and braces, ``::`` between them, a wids list."""

from __future__ import annotations

import fnmatch
import glob
import itertools
import json
import os
import re
from collections.abc import Iterator
from typing import Any

from fastload.remote import is_remote, redacted, transfers
from fastload.shards.whole_sets import refuse_unfinished_afar, warn_of_missing

_INTEGERS = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.-?(\d+))?", re.ASCII)
_LETTERS = re.compile(r"([A-Za-z])\.\.([A-Za-z])(?:\.\.-?(\d+))?")
_BETWEEN = re.compile(r"::(?![0-9A-Fa-f:.%]*\])")  # not within an address of IPv6, http://[::1]:8000/x.tar
_OPEN_BRACKET = re.compile(r"://[^/?]*\[[^\]/?]*([/?]|$)")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# A pattern of more is a mistake, and would fill the memory.
_MOST_SHARDS = 10_000_000
_DEEPEST_LIST = 8  # of lists in lists
WIDS_KIND = "wids-shard-index-v1"
# What is read from its beginning to its end alone: the output of a command, and standard input.
PIPE = "pipe:"
STANDARD_INPUT = "-"


def shard_list(shards: Any, endings: tuple[str, ...] = (".tar",)) -> list[str]:
    """Paths and URLs, in the order given; those of a folder or of a pattern with stars sorted by name.

    Args:
        shards: a path, or an iterable of them. A string may be a URL, or a pattern, as ``train-{000000..001281}.tar``,
            ``{a,b}/*.tar`` or several with ``::`` between them, where no file has that name. A folder means the files in it with
            one of the endings; a ``.json`` is wids' list of shards.
        endings: of a folder's files.

    Raises FileNotFoundError where there is none, ValueError for a pattern or a list that is none.
    """
    if isinstance(shards, (str, bytes, os.PathLike)):
        found = list(_expanded(shards, endings))
    else:
        found = [path for one in shards for path in _expanded(one, endings)]
    if not found:
        raise FileNotFoundError(f"no shards: {shards!r} is an empty list")
    return found


def is_url(path: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def expand_braces(pattern: str) -> Iterator[str]:
    """What bash makes of braces, as the library ``braceexpand`` has it. Raises ValueError."""
    return (re.sub(r"\\(.)", r"\1", text) for text in itertools.islice(_braces(pattern), _MOST_SHARDS))


def wids_shards(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The shards that a wids list names, each with ``url`` and what else it says; relative ones are found from the list's ``base``
    or its own folder. Raises ValueError, and OSError."""
    return list(_wids_of_file(os.fspath(path), 0))


def _wids_of_file(where: str, depth: int) -> Iterator[dict[str, Any]]:
    with open(where, "rb") as file:
        try:
            content = json.load(file)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} is no list of shards: {error}") from error
    if not isinstance(content, dict) or content.get("__kind__") != WIDS_KIND:
        raise ValueError(f'{where} is no list of shards: it does not say "__kind__": "{WIDS_KIND}"')
    yield from _wids(content, where, None, depth)


def _wids(content: Any, where: str, base: str | None, depth: int) -> Iterator[dict[str, Any]]:
    folder = base or os.path.dirname(os.path.abspath(where))
    if depth > _DEEPEST_LIST or not isinstance(content, dict) or not isinstance(content.get("base", ""), str):
        raise ValueError(f"{where} is no list of shards that wids would write")
    folder = _from(folder, content.get("base", ""))
    listed, parts = content.get("shardlist", []), content.get("datasets", [])
    if not isinstance(listed, list) or not isinstance(parts, list):
        raise ValueError(f"{where}: its shardlist or its datasets are no lists")
    for shard in listed:
        if not isinstance(shard, dict) or not isinstance(shard.get("url"), str):
            raise ValueError(f"{where}: a shard without a url")
        for name in ("nsamples", "filesize"):
            if name in shard and (type(shard[name]) is not int or shard[name] < 0):
                raise ValueError(f"{where}: {name} of {redacted(shard['url'])} is {shard[name]!r}")
        yield {**shard, "url": _from(folder, shard["url"])}
    for part in parts:
        if isinstance(part, dict) and isinstance(part.get("source_url"), str):
            yield from _wids_of_file(_from(folder, part["source_url"]), depth + 1)
        else:
            yield from _wids(part, where, folder, depth + 1)


def _from(folder: str, path: str) -> str:
    path = path.removeprefix("file:") if path.startswith("file:") and not path.startswith("file://") else path
    if is_url(path) or os.path.isabs(path) or not path:
        return path or folder
    return f"{folder.rstrip('/')}/{path}" if is_url(folder) else os.path.join(folder, path)


def _expanded(one: Any, endings: tuple[str, ...]) -> Iterator[str]:
    if isinstance(one, bytes):
        one = os.fsdecode(one)
    if isinstance(one, str) and not os.path.exists(one):
        if _OPEN_BRACKET.search(one):
            raise ValueError(f"{redacted(one)}: an address of IPv6 ends with a bracket, as in http://[::1]:8000/")
        if len(parts := _BETWEEN.split(one)) > 1:
            for part in parts:
                yield from _expanded(part, endings)
            return
        if "{" in one or "}" in one:
            for path in expand_braces(one):
                yield from _globbed(path, endings)
            return
        yield from _globbed(one, endings)
        return
    if not isinstance(one, (str, os.PathLike)):
        raise TypeError(f"shards are given as paths, not as {type(one).__name__}")
    yield from _at(os.fspath(one), endings)


def _globbed(path: str, endings: tuple[str, ...]) -> Iterator[str]:
    if path.startswith(PIPE) or is_url(path) or os.path.exists(path) or not glob.has_magic(path):
        yield from _at(path, endings)
        return
    found = sorted(glob.glob(path, recursive=True))
    if not found:
        raise FileNotFoundError(f"no shards: no file is named like {redacted(path)}")
    warn_of_missing(found, lambda missing: fnmatch.fnmatchcase(missing, path))
    yield from found


def _listed(url: str, endings: tuple[str, ...]) -> list[str]:
    """The objects that a pattern with stars means, or those right below a folder."""
    folder = url[: url.index("*")].rpartition("/")[0] + "/" if "*" in url else url
    names = [one.url for one in transfers().listing(folder)]
    if "*" in url:
        wanted = re.compile("[^/]*".join(map(re.escape, url.split("*"))))
        found = [name for name in names if wanted.fullmatch(name)]
        warn_of_missing(found, lambda missing: wanted.fullmatch(missing) is not None)
    else:
        found = [name for name in names if "/" not in name[len(folder) :] and name.endswith(endings)]
        warn_of_missing(found)
    if not found:
        raise FileNotFoundError(f"no shards: no object is named like {redacted(url)}")
    refuse_unfinished_afar(folder, names)
    return found


def _at(path: str, endings: tuple[str, ...]) -> Iterator[str]:
    if is_remote(path) and ("*" in path or path.endswith("/")):
        yield from _listed(path, endings)
    elif is_url(path) or path.startswith(PIPE):
        yield path
    elif os.path.isdir(path):
        names = sorted(name for name in os.listdir(path) if name.endswith(endings) and not name.startswith("."))
        if not names:
            raise FileNotFoundError(f"no shards: {path} has no file that ends in {' or '.join(endings)}")
        found = [os.path.join(path, name) for name in names]
        warn_of_missing(found)
        yield from found
    elif path.endswith(".json"):
        yield from (shard["url"] for shard in wids_shards(path))
    else:
        yield path


def _braces(pattern: str) -> Iterator[str]:
    parts: list[list[str]] = []
    start = depth = at = 0
    count = 1

    def add(part: list[str]) -> None:
        nonlocal count
        count *= max(len(part), 1)
        if count > _MOST_SHARDS:
            raise ValueError(f"{redacted(pattern)} means more than {_MOST_SHARDS} shards")
        parts.append(part)

    while at < len(pattern):
        if pattern[at] == "\\":
            at += 1
        elif pattern[at] == "{":
            if depth == 0:
                add([pattern[start:at]])
                start = at
            depth += 1
        elif pattern[at] == "}":
            depth -= 1
            if depth < 0:
                break
            if depth == 0:
                inside = pattern[start + 1 : at]
                choices = _choices(inside)
                add([f"{{{text}}}" for text in _braces(inside)] if choices is None else choices)
                start = at + 1
        at += 1
    if depth:
        raise ValueError(f"{redacted(pattern)}: a brace is open at the end, or closed that was not open")
    add([pattern[start:]])
    return ("".join(chosen) for chosen in itertools.product(*parts))


def _choices(inside: str) -> list[str] | None:
    """Of what stands between two braces; None if they mean nothing."""
    if numbers := _INTEGERS.fullmatch(inside):
        first, last, step = numbers.groups()
        width = max(len(first), len(last)) if any(re.match(r"-?0.", text) for text in (first, last)) else 0
        return [f"{number:0{width}d}" for number in _steps(inside, int(first), int(last), step)]
    if letters := _LETTERS.fullmatch(inside):
        first, last, step = letters.groups()
        return [_ALPHABET[i] for i in _steps(inside, _ALPHABET.index(first), _ALPHABET.index(last), step)]
    pieces, depth, start, at = [], 0, 0, 0
    while at < len(inside):
        if inside[at] == "\\":
            at += 1
        elif inside[at] in "{}":
            depth += 1 if inside[at] == "{" else -1
        elif inside[at] == "," and depth == 0:
            pieces.append(inside[start:at])
            start = at + 1
        at += 1
    return [text for piece in (*pieces, inside[start:]) for text in _braces(piece)] if pieces else None


def _steps(inside: str, first: int, last: int, step: str | None) -> range:
    by = int(step or 1) or 1
    if abs(last - first) // by > _MOST_SHARDS:
        raise ValueError(f"{{{inside}}} means more than {_MOST_SHARDS} shards")
    return range(first, last + 1, by) if first < last else range(first, last - 1, -by)
