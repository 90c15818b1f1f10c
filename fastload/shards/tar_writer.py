"""A tar of samples as WebDataset has them, that names what it does not keep in the names of its members."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import tarfile
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

from fastload.shards.record import Record

# Without a dot, so that no other reader takes it for a sample's. csrc/shards/tar_scan.h has it, too.
ABOUT_MEMBER = "__fastload__"
# What a key may have: everything that every reader takes for part of a name. Ninety bytes leave room for the ending.
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_+=@/-]{1,90}", re.ASCII)
_ENDINGS = {"jpg": "jpg", "jpeg": "jpg", "png": "png", "webp": "webp"}


def write_tar(path: str | os.PathLike[str], records: Iterable[Record], classes: Sequence[str] | None) -> None:
    """Writes one shard. The same records give the same bytes.

    A sample is an image (``.jpg``, ``.png``, ``.webp``, or the ending that its name had), ``.cls`` where its target is an integer,
    or ``.txt`` where it is text, and ``.json`` with its name, class and target, in a USTAR file that is written beside its place
    and renamed. Keys are names where every reader takes them, with their folders; else numbers. ``classes`` is in a member that
    other readers pass over. Raises OSError, and TypeError for a target that JSON has no word for.
    """
    folder = os.path.dirname(os.path.abspath(path))
    beside = os.path.join(folder, f".{os.path.basename(os.fspath(path))}.{os.getpid()}.{secrets.token_hex(4)}.part")
    about = {"version": 1, "classes": None if classes is None else list(classes)}
    keys: set[str] = set()
    try:
        with open(beside, "xb") as file:
            _write_member(file, ABOUT_MEMBER, _json(about))
            for number, record in enumerate(records):
                key, ending = _key(record.name, number)
                if key in keys:
                    key = f"{number:09d}"
                while key in keys:
                    key += "-"
                keys.add(key)
                for name, data in _members(record, ending):
                    _write_member(file, f"{key}.{name}", data)
            file.write(bytes(2 * tarfile.BLOCKSIZE))
            file.write(bytes(-file.tell() % tarfile.RECORDSIZE))
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def _key(name: str, number: int) -> tuple[str, str]:
    """Key and ending of the image's member."""
    stem, _, ending = name.rpartition(".") if "." in os.path.basename(name) else (name, "", "")
    ending = ending.lower() if re.fullmatch(r"[A-Za-z0-9]{1,8}", ending) else ""
    ending = _ENDINGS.get(ending, ending or "jpg")
    ending = "image" if ending in ("cls", "txt", "json") else ending
    parts = stem.split("/")
    is_plain = _PLAIN_KEY.fullmatch(stem) and all(parts) and not any(part.startswith("__") for part in parts)
    return stem if is_plain else f"{number:09d}", ending


def _members(record: Record, ending: str) -> list[tuple[str, Any]]:
    """Sorted by name, as readers that sort have them."""
    note = {"filename": record.name, "class_name": record.class_name, "label": record.target}
    members = [(ending, record.data), ("json", _json(note))]
    if type(record.target) is int:
        members.append(("cls", b"%d" % record.target))
    elif isinstance(record.target, str):
        members.append(("txt", record.target.encode("utf-8", "surrogateescape")))
    return sorted(members, key=lambda member: member[0])


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _write_member(file: BinaryIO, name: str, data: Any) -> None:
    view = memoryview(data).cast("B")
    member = tarfile.TarInfo(name)  # its time, owner and group are 0
    member.size, member.mode = len(view), 0o444
    file.write(member.tobuf(tarfile.USTAR_FORMAT))
    file.write(view)
    file.write(bytes(-len(view) % tarfile.BLOCKSIZE))
