"""The file behind an item of a data set, where its attributes tell; and another one in its place."""

from __future__ import annotations

import bisect
import os
from typing import Any

_LISTS = ("samples", "imgs", "images", "paths", "files", "image_paths", "filenames")


def path_of(dataset: Any, index: Any) -> str | None:
    """None where nothing tells; no item is made for it."""
    try:
        return _path_of(dataset, index, depth=8)
    except Exception:  # somebody's class, asked for attributes that it may not have
        return None


def put_in_place(dataset: Any, index: int, path: str) -> bool:
    """An item's file is another one from now on, of a data set that nobody else has. False: it cannot be changed there."""
    found = _entry_of(dataset, index, depth=8)
    if found is None or type(found[0]) is not list:
        return False
    entries, place, _ = found
    entry = entries[place]
    if type(entry) not in (str, tuple):
        return False
    entries[place] = path if type(entry) is str else (path, *entry[1:])
    return True


def _path_of(dataset: Any, index: Any, depth: int) -> str | None:
    found = _entry_of(dataset, index, depth)
    if found is None:
        return None
    entries, place, own = found
    entry = entries[place]
    text = os.fspath(entry[0] if isinstance(entry, (tuple, list)) else entry)
    root = own.get("root") or own.get("folder") or ""
    return text if os.path.isabs(text) or os.path.exists(text) else os.path.join(os.fspath(root), text)


def _entry_of(dataset: Any, index: Any, depth: int) -> tuple[Any, int, dict[str, Any]] | None:
    """(a sequence, the place in it that has the item's path, the attributes of whoever has it)."""
    own = getattr(dataset, "__dict__", {})
    if depth == 0 or not isinstance(index, int):
        return None
    if "indices" in own and "dataset" in own:
        return _entry_of(own["dataset"], int(own["indices"][index]), depth - 1)
    if "datasets" in own and "cumulative_sizes" in own:
        which = bisect.bisect_right(own["cumulative_sizes"], index)
        before = own["cumulative_sizes"][which - 1] if which else 0
        return _entry_of(own["datasets"][which], index - before, depth - 1)
    for name in _LISTS:
        if name in own:
            entry = own[name][index]
            if isinstance(entry[0] if isinstance(entry, (tuple, list)) else entry, (str, os.PathLike)):
                return own[name], index, own
    return _entry_of(own["dataset"], index, depth - 1) if "dataset" in own else None


def files_of(dataset: Any, most: int) -> list[str]:
    """Up to ``most`` files of a data set, evenly spread; empty where nothing tells."""
    try:
        length = len(dataset)
    except Exception:
        return []
    step = max(1, length // most)
    found = (path_of(dataset, index) for index in range(0, length, step))
    return list(dict.fromkeys(path for path in found if path and os.path.isfile(path)))[:most]
