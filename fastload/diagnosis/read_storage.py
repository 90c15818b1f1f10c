"""Facts about a data set on its storage: how much there is, on what file system and device, how much of it is cached."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from fastload.diagnosis.machine_facts import DataSet
from fastload.diagnosis.page_cache import resident_share
from fastload.machine import unescaped

ROOT = Path("/")
_SHARDS = (".tar", ".tfrecord", ".tfrecords", ".parquet", ".mdb", ".arrow", ".beton", ".mds", ".bin")
# To know how large files are on average it is enough to ask for some of them: each answer takes a round trip on a network.
_MOST_ASKED = 2000
_MOST_MAPPED = 64


def list_files(folder: str, seconds: float) -> tuple[list[str], bool]:
    """The images and shards below a folder, or all files where there are none of these; and whether that is all of them, or
    only as many as could be listed in the time. In the order of their names.

    Raises:
        OSError: the folder cannot be listed.
    """
    until = time.monotonic() + seconds
    known: list[str] = []
    others: list[str] = []
    whole = True
    for path in _walk(folder):
        (known if path.lower().endswith((*IMG_EXTENSIONS, *_SHARDS)) else others).append(path)
        if time.monotonic() > until:
            whole = False
            break
    return sorted(known or others), whole


def _walk(folder: str) -> Iterator[str]:
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                below.append(entry.path)
            elif entry.is_file():
                yield entry.path
    for path in sorted(below):
        yield from _walk(path)


def read_data_set(folder: str, files: list[str], is_whole: bool, root: Path = ROOT) -> DataSet:
    """What there is to know of the files without reading them."""
    draw = random.Random(0)
    asked = files if len(files) <= _MOST_ASKED else draw.sample(files, _MOST_ASKED)
    mean = sum(os.stat(path).st_size for path in asked) / max(1, len(asked))
    shares = [resident_share(path) for path in draw.sample(files, min(_MOST_MAPPED, len(files)))]
    known = [share for share in shares if share is not None]
    system, device, options, number = mounted(folder, root)
    return DataSet(
        path=folder,
        files=len(files),
        size=round(mean * len(files)),
        is_whole=is_whole,
        file_system=system,
        device=device,
        layers=next((one.count(":") + 1 for one in options.split(",") if one.startswith("lowerdir=")), 0),
        rotational=_rotational(number, root),
        cached=sum(known) / len(known) if known else None,
    )


def mounted(folder: str, root: Path = ROOT) -> tuple[str, str, str, str]:
    """The file system that a folder lies on: its type, source, options and device number, as ``8:1``."""
    path = os.path.realpath(folder)
    best = ("", "", "", "", "")
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        own, _, system = line.partition(" - ")
        number, where = own.split()[2], unescaped(own.split()[4])
        inside = path == where or path.startswith(where.rstrip("/") + "/")
        if inside and len(where) >= len(best[0]):  # of two at one place the later one is seen
            kind, source, options = [*system.split(" ", 2), "", ""][:3]
            best = (where, kind, unescaped(source), options, number)
    return best[1:]


def _rotational(number: str, root: Path) -> bool | None:
    """Whether the block device turns, as the kernel has been told; None for what lies on none."""
    device = root / "sys/dev/block" / number
    for folder in (device, device.resolve().parent):  # a partition, and its disk
        try:
            return (folder / "queue/rotational").read_text().strip() == "1"
        except OSError:
            continue
    return None
