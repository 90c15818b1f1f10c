"""The bytes of a shard for a scan: what it is now, and where to read. The one place that knows files from other stores."""

from __future__ import annotations

import os
from collections.abc import Callable

from fastload.shards.sample_index import Shard
from fastload.shards.shard_paths import PIPE, STANDARD_INPUT, is_url

# A path, or read(offset, length) -> bytes, fewer than asked for only at the end.
ScanSource = str | Callable[[int, int], bytes]


def shard_of(path: str) -> Shard:
    """What there is now. Raises OSError, and ValueError where it cannot be told."""
    if path.startswith(PIPE) or (path == STANDARD_INPUT and not os.path.exists(path)):
        raise ValueError(f"{path} has no samples that can be had in any order: read it with WebDataset.stream")
    if is_url(path):
        raise ValueError(f"{path}: shards are files here, not URLs")
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise ValueError(f"{path} is no file: read it with WebDataset.stream")
    return Shard.of_file(path)


def scan_source(shard: Shard) -> ScanSource:
    """What a native scan reads."""
    return shard.path
