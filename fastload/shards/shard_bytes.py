"""The bytes of a shard for a scan: what it is now, and where to read. The one place that knows files from other stores."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from fastload.remote import RemoteFile, is_remote, redacted, windows
from fastload.shards.index_place import cache_folder
from fastload.shards.sample_index import Shard
from fastload.shards.shard_paths import PIPE, STANDARD_INPUT, is_url

# A path, or read(offset, length) -> bytes, fewer than asked for only at the end.
ScanSource = str | Callable[[int, int], bytes]
_ASKED_AT_ONCE = 32


def shard_of(path: str) -> Shard:
    """What there is now. Raises OSError, and ValueError where it cannot be told."""
    if path.startswith(PIPE) or (path == STANDARD_INPUT and not os.path.exists(path)):
        raise ValueError(f"{path} has no samples that can be had in any order: read it with WebDataset.stream")
    if is_url(path) and not is_remote(path):
        raise ValueError(f"{redacted(path)}: no URL that fastload reads")
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise ValueError(f"{path} is no file: read it with WebDataset.stream")
    return Shard.of(path)


def shards_of(paths: Sequence[str]) -> list[Shard]:
    """The same of each, those that are far away at the same time."""
    if not any(map(is_remote, paths)):
        return [shard_of(path) for path in paths]
    with ThreadPoolExecutor(min(len(paths), _ASKED_AT_ONCE)) as threads:
        return list(threads.map(shard_of, paths))


@contextlib.contextmanager
def near(shard: Shard) -> Iterator[str]:
    """The path of a file with a shard's bytes, for a library that wants one: of what is far away a copy in the user's cache folder,
    which goes afterwards. Raises OSError, also where there is too little room."""
    if not is_remote(shard.path):
        yield shard.path
        return
    folder = cache_folder() / "copies"
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < shard.size:
        raise OSError(
            errno.ENOSPC,
            f"to index {shard.shown} takes a copy of its {shard.size / 1e9:.2f} GB, and {folder} has {free / 1e9:.2f} GB free: set "
            "XDG_CACHE_HOME to a folder with more room",
        )
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part") as file:
        for window in windows(shard.path, shard.size, shard.version):
            file.write(window)
        file.flush()
        yield file.name


def scan_source(shard: Shard) -> ScanSource:
    """What a native scan reads, from front to back."""
    return RemoteFile(shard.path, shard.size, shard.version).read if is_remote(shard.path) else shard.path
