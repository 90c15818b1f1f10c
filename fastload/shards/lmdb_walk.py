"""Walks one LMDB file with liblmdb: its keys, and where in the file each value lies.

Run as a program of its own, by lmdb_values.py: liblmdb believes what a file says, so a damaged one may crash it, and then it is
this program that ends. Arguments: the file, the name of a database in it (empty: the main one). Writes arrays into the current
folder, and a line of JSON on standard output.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from typing import Any

import numpy as np

# So many values are read again by who asked, to see that they lie where this program says.
_SAMPLES = 64
_SMALLEST_NODE = 8  # of a page: the header of a key and its value
_ODD_ORDER = ("reverse_key", "integer_key")
# A finding that harms no reader: pages that are lost to all.
_HARMLESS = "a leak"


def verified(path: str) -> None:
    """ValueError: what lmdb's verifier, which needs no liblmdb, finds wrong with the file; lmdb before 3.0 has none."""
    try:
        from lmdb import verify
    except ImportError:
        return
    try:
        found = [problem for problem in verify.verify(path, subdir=False) if _HARMLESS not in problem]
    except verify.VerifyError as error:
        raise ValueError(str(error)) from error
    if found:
        raise ValueError(found[0])


def walk(path: str, database: str) -> dict[str, Any]:
    """Keys, offsets and lengths of all values, in the order of the keys."""
    import lmdb

    with lmdb.open(path, subdir=False, readonly=True, lock=False, create=False, max_dbs=1) as env:
        handle = env.open_db(database.encode() if database else None, create=False)
        return _walked(env, handle, os.path.getsize(path))


def _walked(env: Any, handle: Any, size: int) -> dict[str, Any]:
    with env.begin(db=handle, buffers=True) as transaction:
        flags = handle.flags()
        if flags.get("dupsort"):
            raise ValueError("several values of a key (DUPSORT)")
        ordered = not any(flags.get(name) for name in _ODD_ORDER)
        count = transaction.stat(handle)["entries"]
        if count > size // _SMALLEST_NODE:
            raise ValueError(f"it says that it has {count} values: damaged")
        every = max(1, count // _SAMPLES)
        keys: list[bytes] = []
        addresses, lengths, sums = [], [], []
        before = None
        for key_view, value in transaction.cursor():
            key = bytes(key_view)
            if len(keys) >= count or (ordered and before is not None and key <= before):
                raise ValueError(f"the keys are out of order at {key!r}: damaged")
            before = key
            view = np.frombuffer(value, np.uint8) if len(value) else None
            if len(keys) % every == 0:
                sums.append((len(keys), zlib.crc32(value)))
            keys.append(key)
            lengths.append(len(value))
            addresses.append(0 if view is None else view.__array_interface__["data"][0])
        if len(keys) != count:
            raise ValueError(f"it has {len(keys)} values, and says {count}: damaged")
        offsets = _in_file(np.array(addresses, np.int64), np.array(lengths, np.int64))
    starts = np.zeros(len(keys) + 1, np.int64)
    np.cumsum([len(key) for key in keys], out=starts[1:])
    return {
        "starts": starts,
        "keys": np.frombuffer(b"".join(keys), np.uint8),
        "offset": offsets,
        "length": np.array(lengths, np.int64),
        "sums": np.array(sums, np.int64).reshape(-1, 2),
    }


def _in_file(addresses: Any, lengths: Any) -> Any:
    """Offsets of what lies at these addresses of the one map that liblmdb reads through."""
    filled = np.flatnonzero(lengths)
    offsets = np.zeros(len(addresses), np.int64)
    if len(filled) == 0:
        return offsets
    with open("/proc/self/maps") as maps:
        for line in maps:
            start, end = (int(number, 16) for number in line.split()[0].split("-"))
            if start <= addresses[filled[0]] < end:
                offsets[filled] = addresses[filled] - start + int(line.split()[2], 16)
                if (addresses[filled] < start).any() or (addresses[filled] + lengths[filled] > end).any():
                    raise ValueError("a value ends behind the file: damaged")
                return offsets
    raise ValueError("liblmdb does not read through a map of the file")


def main() -> None:
    path, database = sys.argv[1:]
    try:
        verified(path)
        for name, column in walk(path, database).items():
            np.save(f"{name}.npy", column)
    except Exception as error:
        print(json.dumps({"error": f"{error}", "kind": type(error).__name__}))
    else:
        print(json.dumps({}))


if __name__ == "__main__":
    main()
