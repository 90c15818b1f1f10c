"""The indexes of shards that other loaders keep: wids' JSON, DALI's text, timm's ``_info.json``, tfrecord2idx. Never a pickle.

Written from the shards themselves. Read, they are compared with the shards: what an index says is believed of no shard.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastload import _core
from fastload.reports import printable
from fastload.shards.new_file import new_file
from fastload.shards.shard_paths import WIDS_KIND, wids_shards
from fastload.shards.tar_index import TarError, is_meta

# A sample's members: (ending, offset of the data, size, name).
Members = list[tuple[str, int, int, str]]
_PART = re.compile(r"(\S+) (\d+) (\d+)")
_FRAME = 16  # bytes around a record's data: its length, and two checksums


class ForeignIndexError(ValueError):
    """An index that is none of its kind, or not that of its shards; the message says where they differ."""


def write_foreign_index(kind: str, paths: Sequence[str]) -> list[str]:
    """Writes the index of these shards, beside them; the files. ``kind`` is one of FOREIGN_KINDS. Raises OSError, and what is wrong
    with a shard."""
    return _WRITERS[kind](paths)


def check_foreign_index(path: str, shards: Sequence[str]) -> int:
    """Compares an index, whatever its kind, with the shards that it should be of; how many samples it has. Raises
    ForeignIndexError, OSError, and what is wrong with a shard."""
    with open(path, "rb") as file:
        begins = file.read(64)
    if begins.startswith((b"v1.1 ", b"v1.2 ")):
        return _check_dali(path, _of_stem(path, shards))
    if begins.lstrip().startswith(b"{"):
        with open(path, "rb") as file:
            try:
                content = json.load(file)
            except (ValueError, RecursionError) as error:
                raise ForeignIndexError(f"{path} is no JSON: {error}") from error
        return _check_wids(path, shards) if "__kind__" in content else _check_timm(path, content, shards)
    if re.match(rb"\d+ \d+\r?\n", begins):
        return _check_records(path, _of_stem(path, shards))
    if begins.startswith(b"\x80"):
        raise ForeignIndexError(f"{path} is a pickle, as wids keeps them: it could run anything, so it is not read")
    raise ForeignIndexError(f"{path} is no index of wids, DALI, timm or tfrecord2idx")


def tar_samples(path: str) -> Iterator[tuple[str, Members]]:
    """Key and members of each sample of a tar, by webdataset's rule. Raises TarError, and OSError."""
    listed, end, position, reason = _core.list_tar(path, os.path.getsize(path))
    if end not in ("marked", "unmarked"):
        raise TarError(f"{path} is {end} at byte {position}: {printable(reason)}")
    last: str | None = None
    members: Members = []
    for encoded, offset, size, is_another_tar in listed:
        name = encoded.decode("utf-8", "surrogateescape")
        split = None if is_meta(name) else _core.split_tar_name(encoded)
        if split is None:
            continue
        key, ending = (part.decode("utf-8", "surrogateescape") for part in split)
        if last is not None and (key != last or is_another_tar):
            yield last, members
            members = []
        last = key
        members.append((ending, offset, size, name))
    if last is not None:
        yield last, members


def _of_stem(path: str, shards: Sequence[str]) -> str:
    """The shard that has the index's name, up to the first dot as DALI has it."""
    stem = os.path.basename(path).partition(".")[0]
    found = [shard for shard in shards if os.path.basename(shard).partition(".")[0] == stem]
    if len(found) != 1:
        raise ForeignIndexError(f"{path}: {len(found)} of the shards are named {stem}.…, one should be")
    return found[0]


def _write_dali(paths: Sequence[str]) -> list[str]:
    """Names are left out where one has a space: DALI reads word by word."""
    written = []
    for path in paths:
        samples = [members for _, members in tar_samples(path)]
        has_names = not any(re.search(r"\s", name) for members in samples for *_, name in members)
        if any(re.search(r"\s", ending) for members in samples for ending, *_ in members):
            raise ForeignIndexError(
                f"{path} has a member with a space in its ending, which DALI's index has no form for"
            )
        lines = [f"v1.{2 if has_names else 1} {len(samples)}"]
        for members in samples:
            lines.append(" ".join(f"{e} {o} {s} {n}" if has_names else f"{e} {o} {s}" for e, o, s, n in members))
        folder, name = os.path.split(path)
        written.append(_write(os.path.join(folder, name.partition(".")[0] + ".idx"), "\n".join(lines) + "\n"))
    return written


def _check_dali(path: str, shard: str) -> int:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        version, *lines = file.read().rstrip("\n").split("\n")
    has_names = version.startswith("v1.2")
    if version.split() != [f"v1.{2 if has_names else 1}", str(len(lines))]:
        raise ForeignIndexError(f"{path} begins with {version[:60]!r} and has {len(lines)} samples")
    number = 0
    for number, (key, members) in enumerate(tar_samples(shard), 1):  # noqa: B007
        expected = " ".join(f"{e} {o} {s} {n}" if has_names else f"{e} {o} {s}" for e, o, s, n in members)
        found = lines[number - 1] if number <= len(lines) else "nothing"
        if found.strip() != expected.strip():
            raise ForeignIndexError(f"{path}, line {number + 1}: {found[:200]!r}, but {shard} has {expected[:200]!r}")
    if number != len(lines):
        raise ForeignIndexError(f"{path} has {len(lines)} samples, {shard} has {number}")
    return number


def _write_wids(paths: Sequence[str]) -> list[str]:
    folder = _folder_of(paths)
    shards = [
        {
            "url": os.path.relpath(path, folder),
            "nsamples": sum(1 for _ in tar_samples(path)),
            "filesize": os.path.getsize(path),
        }
        for path in paths
    ]
    content = {"__kind__": WIDS_KIND, "wids_version": 1, "shardlist": shards}
    return [_write(os.path.join(folder, "shardindex.json"), json.dumps(content, indent=2) + "\n")]


def _check_wids(path: str, shards: Sequence[str]) -> int:
    listed = wids_shards(path)
    _same_shards(path, [shard["url"] for shard in listed], shards)
    for shard, real in zip(listed, shards, strict=True):
        if shard.get("filesize", os.path.getsize(real)) != os.path.getsize(real):
            raise ForeignIndexError(
                f"{path}: {real} has {shard['filesize']} bytes there, it has {os.path.getsize(real)}"
            )
        _same_count(path, real, shard.get("nsamples"))
    return sum(shard.get("nsamples", 0) for shard in listed)


def _write_timm(paths: Sequence[str]) -> list[str]:
    folder = _folder_of(paths)
    lengths = [sum(1 for _ in tar_samples(path)) for path in paths]
    split = {
        "name": "train",
        "num_samples": sum(lengths),
        "filenames": [os.path.relpath(path, folder) for path in paths],
        "shard_lengths": lengths,
    }
    return [_write(os.path.join(folder, "_info.json"), json.dumps({"splits": {"train": split}}, indent=2) + "\n")]


def _check_timm(path: str, content: Any, shards: Sequence[str]) -> int:
    """Of the split that has these shards."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        splits = {name: (list(one["filenames"]), list(one["shard_lengths"])) for name, one in content["splits"].items()}
        paths = {name: [os.path.join(folder, file) for file in files] for name, (files, _) in splits.items()}
        if any(type(length) is not int for _, lengths in splits.values() for length in lengths):
            raise TypeError("a length that is no integer")
    except (KeyError, TypeError, AttributeError) as error:
        raise ForeignIndexError(f"{path} is no _info.json of timm: {error!r}") from error
    names = {os.path.basename(shard) for shard in shards}
    for name, (files, lengths) in splits.items():
        if {os.path.basename(file) for file in files} == names and len(files) == len(lengths):
            _same_shards(path, paths[name], shards)
            for shard, length in zip(shards, lengths, strict=True):
                _same_count(path, shard, length)
            return sum(lengths)
    raise ForeignIndexError(f"{path}: none of its splits ({', '.join(splits)}) has these {len(shards)} shards")


def _records(path: str) -> Iterator[tuple[int, int]]:
    """Offset and length of each record of a TFRecord file, with its frame."""
    size, at = os.path.getsize(path), 0
    with open(path, "rb") as file:
        while at < size:
            file.seek(at)
            length = int.from_bytes(file.read(8), "little") + _FRAME
            if at + length > size:
                raise ForeignIndexError(
                    f"{path} is no TFRecord file, or is cut: the record at byte {at} ends behind it"
                )
            yield at, length
            at += length


def _write_records(paths: Sequence[str]) -> list[str]:
    return [_write(f"{path}.idx", "".join(f"{at} {length}\n" for at, length in _records(path))) for path in paths]


def _check_records(path: str, shard: str) -> int:
    with open(path, encoding="ascii", errors="replace") as file:
        lines = file.read().splitlines()
    expected = [f"{at} {length}" for at, length in _records(shard)]
    for number, (found, real) in enumerate(zip(lines, expected, strict=False), 1):
        if found.strip() != real:
            raise ForeignIndexError(f"{path}, line {number}: {found[:60]!r}, but {shard} has {real!r}")
    if len(lines) != len(expected):
        raise ForeignIndexError(f"{path} has {len(lines)} records, {shard} has {len(expected)}")
    return len(lines)


def _same_shards(path: str, listed: Sequence[str], shards: Sequence[str]) -> None:
    for one, real in zip(listed, shards, strict=False):
        if os.path.realpath(one) != os.path.realpath(real):
            raise ForeignIndexError(f"{path} has {one} where the source has {real}")
    if len(listed) != len(shards):
        raise ForeignIndexError(f"{path} has {len(listed)} shards, the source has {len(shards)}")


def _same_count(path: str, shard: str, count: Any) -> None:
    found = sum(1 for _ in tar_samples(shard))
    if count is not None and count != found:
        raise ForeignIndexError(f"{path}: {shard} has {count} samples there, it has {found}")


def _folder_of(paths: Sequence[str]) -> str:
    return os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])


def _write(path: str, text: str) -> str:
    """Whole or not at all."""
    with new_file(path) as beside, open(beside, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        file.write(text)
    return path


_WRITERS: dict[str, Callable[[Sequence[str]], list[str]]] = {
    "dali": _write_dali,
    "wids": _write_wids,
    "timm": _write_timm,
    "tfrecord2idx": _write_records,
}
FOREIGN_KINDS = tuple(_WRITERS)
