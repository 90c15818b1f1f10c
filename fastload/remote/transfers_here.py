"""The reads of this process: one client, made when it is first needed, anew in a forked process; and what the environment wants."""

from __future__ import annotations

import atexit
import functools
import os
import threading
from collections.abc import Iterable
from typing import Any

from fastload.remote.addresses import Bucket
from fastload.remote.cache_on_disk import FOLDER, disk_cache
from fastload.remote.store import Store
from fastload.remote.transfer_threads import Transfers


def _other_store(bucket: Bucket) -> Store:
    from fastload.remote.obstore_stores import ObjectStore

    return ObjectStore(bucket)


_here: list[Transfers] = []
_of_parents: list[Transfers] = []  # kept: their locks may be held by threads that do not exist here
_making = threading.Lock()


def _most_at_once() -> int:
    return int(os.environ.get("FASTLOAD_REMOTE_REQUESTS", "256"))


def _seconds() -> float:
    return float(os.environ.get("FASTLOAD_REMOTE_SECONDS", "60"))


def describe_remote() -> str:
    """How this process reads from afar, in one line."""
    cache, kept = disk_cache(), f"kept nowhere ({FOLDER} would name a folder)"
    if cache is not None:
        kept = f"kept in {cache.folder} up to {cache.most_bytes / 2**30:.3g} GiB"
    return (
        f"samples are asked for when their batch is, up to {_most_at_once()} requests at once, each again when it is late or "
        f"has failed, for {_seconds():g} s; {kept}"
    )


def remote_lines(files: Iterable[Any]) -> list[str]:
    """The same for ``explain()`` of a loader of these, with what is to be said of each; nothing where none lies afar."""
    far = [one.samples for one in files if one.is_far]
    notes = {note for samples in far for note in getattr(samples, "notes", list)()}
    return [f"  remote: {'; '.join([describe_remote(), *sorted(notes)])}"] if far else []


def transfers() -> Transfers:
    """This process's."""
    if not _here:
        _at_forks()
        with _making:
            if not _here:
                _here.append(Transfers(_other_store, most_at_once=_most_at_once(), seconds=_seconds()))
    return _here[0]


def transfers_so_far() -> Transfers | None:
    """This process's, where something was read."""
    return _here[0] if _here else None


@functools.cache
def _at_forks() -> None:
    os.register_at_fork(after_in_child=_in_a_forked_child)


def _in_a_forked_child() -> None:
    global _making
    _making = threading.Lock()
    for parents in _here:
        atexit.unregister(parents.end)
    _of_parents.extend(_here)
    _here.clear()
