"""Records -> one LMDB file: a value a record, and one that says what they are."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from fastload.reports import needs
from fastload.shards.index_file import index_bytes, text_column
from fastload.shards.lmdb_layouts import OWN_KEY, kind_of_targets, target_columns
from fastload.shards.record import Record
from fastload.shards.varint import varint

# Of one transaction, which stays in memory until it is written.
_BATCH_BYTES = 32 << 20
_BATCH_RECORDS = 1000
_FIRST_MAP = 64 << 20
_MOST_RECORDS = 10**8  # keys of eight digits
_LONGEST_KEY = 511


def write_lmdb(
    path: str | os.PathLike[str],
    records: Iterable[Record],
    classes: Sequence[str] | None = None,
    *,
    caffe: bool = False,
) -> None:
    """One file, written beside its place and renamed; the same records give the same bytes. No lock file is left.

    ``lmdb.open(path, subdir=False)`` opens it; programs that open folders want it as ``data.mdb`` in a folder of its own. Keys are
    ``00000000``, ``00000001``, …, values the encoded images. One more, ``__fastload__``, has names, targets and classes, in the
    layout of docs/index-file.md.

    Args:
        path: of the file.
        records: in this order; their bytes are passed through.
        classes: names of 0, 1, …
        caffe: values are Caffe's Datum, with int targets, and keys end in the record's name; there is no other value.

    Raises:
        ImportError: without the package ``lmdb``.
        TypeError, ValueError: a target or a name that the layout cannot hold.
        OSError: a full disk and the like.
    """
    lmdb = needs("lmdb", "lmdb", "fastload.write_lmdb")
    names: list[str] = []
    targets: list[Any] = []

    def items() -> Iterator[tuple[bytes, bytes]]:
        for number, record in enumerate(records):
            if number >= _MOST_RECORDS:
                raise ValueError(f"an LMDB file holds {_MOST_RECORDS} records")
            if caffe:
                yield _caffe_key(number, record), _datum(record)
                continue
            names.append(record.name)
            targets.append(record.target)
            yield b"%08d" % number, bytes(record.data)

    def about() -> Iterator[tuple[bytes, bytes]]:
        if not caffe:
            yield OWN_KEY, _about(names, targets, classes)

    folder, name = os.path.split(os.path.abspath(path))
    beside = os.path.join(folder, f".{name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        env = lmdb.open(beside, subdir=False, lock=False, map_size=_FIRST_MAP, sync=False, metasync=False, mode=0o666)
        try:
            for batch in _batches(chain(items(), about())):
                _write(env, batch, lmdb.MapFullError)
            env.sync(True)
        finally:
            env.close()
        os.replace(beside, path)
    except lmdb.Error as error:
        _remove(beside)
        raise OSError(f"{os.fspath(path)} could not be written: {error}") from error
    except BaseException:
        _remove(beside)
        raise


def _batches(items: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    batch, size = [], 0
    for key, value in items:
        batch.append((key, value))
        size += len(value)
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_RECORDS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write(env: Any, batch: list[tuple[bytes, bytes]], map_is_full: type[Exception]) -> None:
    """One transaction; the map grows until it fits."""
    while True:
        try:
            with env.begin(write=True) as transaction:
                for key, value in batch:
                    transaction.put(key, value, append=True)
            return
        except map_is_full:
            env.set_mapsize(2 * env.info()["map_size"])


def _about(names: list[str], targets: list[Any], classes: Sequence[str] | None) -> bytes:
    kind = kind_of_targets(targets)
    starts, text = text_column(names)
    header = {"kind": "lmdb", "target": kind, "classes": list(classes or [])}
    columns = {"name_starts": starts, "names": text, **target_columns(kind, targets)}
    return b"".join(index_bytes(header, columns))


def _caffe_key(number: int, record: Record) -> bytes:
    key = b"%08d_%s" % (number, record.name.encode("utf-8", "surrogateescape"))
    if len(key) > _LONGEST_KEY:
        raise ValueError(f"{record.name}: a key of LMDB has at most {_LONGEST_KEY} bytes")
    return key


def _datum(record: Record) -> bytes:
    if not isinstance(record.target, int) or not -(1 << 31) <= record.target < 1 << 31:
        raise TypeError(f"{record.name}: the label of a Datum is an int of 32 bits, not {record.target!r:.60}")
    data = bytes(record.data)
    label = varint(record.target & (1 << 64) - 1)
    return b"".join([b"\x22", varint(len(data)), data, b"\x28", label, b"\x38\x01"])


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
