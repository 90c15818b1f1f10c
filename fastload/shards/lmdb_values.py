"""An LMDB file -> its keys, and where in the file each value lies; read from there without liblmdb, from any thread or process."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from fastload.reports import FastloadWarning, needs
from fastload.shards.index_file import Column
from fastload.shards.sample_index import Shard

_MAGIC = 0xBEEFC0DE
_WRITER = 64  # in the lock file: the thread that writes, in the first word of a mutex
_THREAD = 0x3FFFFFFF
_OWNER_DIED = 0x40000000


def lmdb_shard(path: str) -> Shard:
    """The data file as it is now, its newest transaction included. ValueError: it is no LMDB file; OSError."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(144 + 24)
        if not looks_like_lmdb(head):
            raise ValueError(f"{path} is no LMDB data file of this machine's kind (64 bits, {sys.byteorder}-endian)")
        page = struct.unpack_from("=I", head, _start(head) + 24)[0]
        file.seek(page)
        other = file.read(len(head))
    ids = [struct.unpack_from("=Q", meta, _start(head) + 128)[0] for meta in (head, other) if len(meta) == len(head)]
    found = Shard.of_file(path)
    return Shard(found.path, size, f"{found.version}-{max(ids)}", found.inode)


def looks_like_lmdb(head: bytes) -> bool:
    """Whether a file that begins so is one."""
    return len(head) >= 144 + 24 and _start(head) != 0


def _start(head: bytes) -> int:
    """Where the first page's contents begin; 0: it is no LMDB file."""
    return next((at for at in (16, 24) if struct.unpack_from("=I", head, at)[0] == _MAGIC), 0)


class LmdbValues(Mapping[bytes, memoryview]):
    """Keys and values of a database, in the order of its keys; values are read from the file when they are asked for.

    Attributes:
        path: of the data file.
        offset, length: int64 [n], of each value in it.
    """

    def __init__(self, path: str, starts: Column, keys: Column, offset: Column, length: Column) -> None:
        self.path = path
        self.offset = offset
        self.length = length
        text = keys.tobytes()
        self.keys_in_order = [
            text[begin:end] for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        ]
        self._rows = {key: row for row, key in enumerate(self.keys_in_order)}

    def __len__(self) -> int:
        return len(self.keys_in_order)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.keys_in_order)

    def __getitem__(self, key: bytes) -> memoryview:
        return memoryview(self.read(self.row(key)))

    def row(self, key: bytes) -> int:
        """Raises KeyError."""
        return self._rows[key]

    def read(self, row: int, size: int | None = None) -> bytes:
        """The value, or its beginning. Raises OSError."""
        length = int(self.length[row]) if size is None else min(size, int(self.length[row]))
        with open(self.path, "rb", buffering=0) as file:
            data = os.pread(file.fileno(), length, int(self.offset[row]))
        if len(data) != length:
            raise OSError(f"{self.path} is shorter than it was when it was indexed")
        return data


def lmdb_values(path: str, database: str | None = None) -> LmdbValues:
    """Walks a database with liblmdb, in a process of its own, and looks whether the values lie where that says.

    Args:
        path: of the data file.
        database: the name of one within it; None: the main one.

    Raises:
        ValueError: a damaged file, or one that is written to meanwhile.
        OSError: a file that cannot be read.
        ImportError: without the package ``lmdb``.
    """
    needs("lmdb", "lmdb", "fastload.LMDB")
    before = lmdb_shard(path)
    _warn_of_writer(path)
    with tempfile.TemporaryDirectory(prefix="fastload-lmdb-") as folder:
        _run_walk(os.path.abspath(path), database or "", folder)
        columns = {
            name: np.load(Path(folder, f"{name}.npy")) for name in ("starts", "keys", "offset", "length", "sums")
        }
    sums = columns.pop("sums").tolist()
    values = LmdbValues(path, **columns)
    if len(values) and int((values.offset + values.length).max()) > before.size:
        raise ValueError(f"{path}: a value ends behind the file: it is cut, or damaged")
    lies = all(zlib.crc32(values.read(row)) == crc for row, crc in sums)
    if lmdb_shard(path) != before:
        raise ValueError(f"{path} was written to while it was indexed; open it when its writer is done")
    if not lies:
        raise ValueError(f"{path}: values do not lie in the file where liblmdb reads them")
    return values


def _run_walk(path: str, database: str, folder: str) -> None:
    code = Path(__file__).with_name("lmdb_walk.py").read_text("utf-8")
    known = [place for place in sys.path if place and os.path.isdir(place)]
    done = subprocess.run(
        [sys.executable, "-c", code, path, database],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(known)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ValueError(f"{path} is damaged: liblmdb crashed on it ({name}), in a process of its own")
    try:
        said = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"{path} could not be indexed: {done.stderr.decode(errors='replace')[-2000:]}") from None
    if said:
        raise ValueError(f"{path}: {said['error']} (lmdb: {said['kind']})")


def _warn_of_writer(path: str) -> None:
    """Where a write transaction is under way: pages that it frees are used again, and what was indexed is there no more."""
    folder, name = os.path.split(path)
    lock = os.path.join(folder, "lock.mdb") if name == "data.mdb" else path + "-lock"
    try:
        with open(lock, "rb") as file:
            (magic,) = struct.unpack("=I", file.read(4))
            file.seek(_WRITER)
            (word,) = struct.unpack("=I", file.read(4))
    except (OSError, struct.error):
        return
    if magic == _MAGIC and word & _THREAD and not word & _OWNER_DIED:
        warnings.warn(
            f"{path} is being written to (by thread {word & _THREAD}): what is read from it now may be something else soon. "
            "Read a copy, or wait for the writer",
            FastloadWarning,
            stacklevel=4,
        )
