"""Memory that is a file, mapped -> the file, and where in it: by the addresses that Linux tells of this process's mappings."""

from __future__ import annotations

import bisect
import os
import re
from collections.abc import Sequence

from fastload.shards.sample_index import Shard

_MAPPINGS = "/proc/self/maps"
_LINE = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) r\S* ([0-9a-f]+) \S+ \d+ +(/.*)")
_COMPARED = 4096  # bytes of each end of a file's buffers


def files_of(buffers: Sequence[memoryview], addresses: Sequence[int]) -> list[tuple[Shard, int] | None]:
    """Of each buffer the file that it is mapped from, as that is now, and its offset there; None where it is in memory alone, or
    its file is gone, or cannot be told."""
    mappings = _mappings()
    begins = [begin for begin, _, _, _ in mappings]
    found: list[tuple[str, int] | None] = []
    for buffer, address in zip(buffers, addresses, strict=True):
        at = bisect.bisect_right(begins, address) - 1
        _, end, offset, path = mappings[at] if at >= 0 else (0, 0, 0, "")
        is_whole = len(buffer) > 0 and address + len(buffer) <= end
        found.append((path, offset + address - begins[at]) if is_whole else None)
    of_file: dict[str, list[tuple[int, memoryview]]] = {}
    for place, buffer in zip(found, buffers, strict=True):
        if place is not None:
            of_file.setdefault(place[0], []).append((place[1], buffer))
    shards = {path: shard for path, parts in of_file.items() if (shard := _same(path, parts)) is not None}
    return [None if place is None or place[0] not in shards else (shards[place[0]], place[1]) for place in found]


def _mappings() -> list[tuple[int, int, int, str]]:
    """Begin, end, offset in the file, path; sorted."""
    try:
        with open(_MAPPINGS, "rb") as file:
            lines = [_LINE.fullmatch(line.rstrip(b"\n")) for line in file]
    except OSError:
        return []
    return sorted(
        (int(line[1], 16), int(line[2], 16), int(line[3], 16), os.fsdecode(line[4].replace(b"\\012", b"\n")))
        for line in lines
        if line is not None
    )


def _same(path: str, parts: list[tuple[int, memoryview]]) -> Shard | None:
    """The file, if its bytes are those of the buffers: at the begin of the first, and at the end of the last."""
    try:
        shard = Shard.of_file(path)
        with open(path, "rb", buffering=0) as file:
            for offset, part in (_head(*min(parts, key=_offset)), _tail(*max(parts, key=_offset))):
                if os.pread(file.fileno(), len(part), offset) != part:
                    return None
    except OSError:  # one that is gone has " (deleted)" behind its path
        return None
    return shard


def _offset(part: tuple[int, memoryview]) -> int:
    return part[0]


def _head(offset: int, part: memoryview) -> tuple[int, memoryview]:
    return offset, part[:_COMPARED]


def _tail(offset: int, part: memoryview) -> tuple[int, memoryview]:
    start = max(0, len(part) - _COMPARED)
    return offset + start, part[start:]
