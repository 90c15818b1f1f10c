"""What a conversion reads from: the samples of a source in their order, with sizes, names, targets and classes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from torchvision.datasets.folder import IMG_EXTENSIONS

from fastload.conversion.errors import RefusedError
from fastload.datasets import SampleTable
from fastload.engine import SampleSource
from fastload.shards import SampleIndex, UnfinishedConversionError, refuse_unfinished

# How the kinds of image files that are met without an ending begin.
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"P5\n", b"P6\n")


class Sample(NamedTuple):
    """One sample of a source.

    Attributes:
        name: with "/" and its ending.
        source: a path, or where its bytes are.
        size: in bytes.
        target: int, text, what JSON can say, or None.
        class_name: of the target, or None.
    """

    name: str
    source: str | SampleSource
    size: int
    target: Any
    class_name: str | None


class SampleList(Protocol):
    """The samples of a source.

    Attributes:
        kind: ``folder``, or the format.
        classes: their names, by target; None where the source names none.
        sizes: int64 [n], of the samples' bytes.
        identity: text that is another one where a sample was added, changed or taken away.
        left_out: files that are no samples.
        excluded: how many samples were left out because they were named.
    """

    kind: str
    classes: list[str] | None
    sizes: npt.NDArray[np.int64]
    identity: str
    left_out: list[str]
    excluded: int

    def __len__(self) -> int: ...

    def sample(self, row: int) -> Sample: ...


class FolderSamples:
    """The files of a folder of class folders in ImageFolder's order, or those of a plain folder, sorted.

    Samples are the files that ImageFolder takes, and files without an ending that begin as an image does.

    Raises:
        RefusedError: there is none.
    """

    kind = "folder"

    def __init__(self, root: str, exclude: Iterable[str] = ()) -> None:
        self.root = os.path.abspath(root)
        try:
            refuse_unfinished([self.root])
        except UnfinishedConversionError as error:
            raise RefusedError(str(error)) from error
        found = sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir() and not _is_ours(entry.name))
        self.classes: list[str] | None = found or None
        self.left_out: list[str] = []
        self._unwanted = frozenset(exclude)
        self.excluded = 0
        self._sizes: list[int] = []
        self._hash = hashlib.sha256()
        self._table = SampleTable(self._walk())
        self.sizes = np.array(self._sizes, np.int64)
        self.identity = self._hash.hexdigest()
        del self._sizes, self._hash
        if not len(self._table):
            raise RefusedError(f"{root}: no image files, in class folders or beside each other")

    def __len__(self) -> int:
        return len(self._table)

    def sample(self, row: int) -> Sample:
        path, target = self._table[row]
        name = path[len(self.root) :].lstrip("/")
        size = int(self.sizes[row])
        if self.classes is None:
            return Sample(name, path, size, None, None)
        return Sample(name, path, size, target, self.classes[target])

    def _walk(self) -> Iterator[tuple[str, int]]:
        self._hash.update(repr(self.classes).encode("utf-8", "surrogateescape"))
        if self.classes is None:
            yield from self._files(self.root, -1)
            return
        for target, name in enumerate(self.classes):
            yield from self._files(os.path.join(self.root, name), target)
        with os.scandir(self.root) as entries:
            self.left_out += sorted(entry.name for entry in entries if not entry.is_dir() and _is_image(entry.path))

    def _files(self, top: str, target: int) -> Iterator[tuple[str, int]]:
        for folder, _, names in sorted(os.walk(top, followlinks=True)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                relative = path[len(self.root) :].lstrip("/")
                if relative in self._unwanted:
                    self.excluded += 1
                    continue
                if not _is_image(path):
                    self.left_out.append(relative)
                    continue
                size, version = _size_and_version(path)
                self._sizes.append(size)
                self._hash.update(f"{relative}\0{size}\0{version}\0".encode("utf-8", "surrogateescape"))
                yield path, target


class IndexedSampleList:
    """The samples of an index.

    Args:
        index: where they are.
        kind: the format.
        exclude: names of samples that are left out.
    """

    def __init__(self, index: SampleIndex, kind: str, exclude: Iterable[str] = ()) -> None:
        self.kind = kind
        self.left_out: list[str] = []
        classes = index.facts.get("classes")
        self.classes = [str(name) for name in classes] if classes else None
        self._index = index
        unwanted = frozenset(exclude)
        rows = [row for row in range(len(index)) if not unwanted or index.name(row) not in unwanted]
        self._rows = np.array(rows, np.int64) if unwanted else np.arange(len(index))
        self.excluded = len(index) - len(self._rows)
        self.sizes = index.columns.length[self._rows]
        text = repr([kind, [(shard.size, shard.version) for shard in index.shards], index.settings, len(self._rows)])
        self.identity = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def __len__(self) -> int:
        return len(self._rows)

    def sample(self, row: int) -> Sample:
        at = int(self._rows[row])
        target = None if self._index.target_kind == "none" else self._index.target(at)
        classes = self.classes or []
        name = classes[target] if type(target) is int and 0 <= target < len(classes) else None
        return Sample(self._index.name(at), self._index.source(at), int(self.sizes[row]), target, name)


def _is_ours(name: str) -> bool:
    return name.startswith(".fastload")


def _is_image(path: str) -> bool:
    if path.lower().endswith(IMG_EXTENSIONS):
        return True
    name = os.path.basename(path)
    if "." in name:
        return False
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return file.read(8).startswith(_BEGINNINGS)
    except OSError:
        return False


def _size_and_version(path: str) -> tuple[int, int]:
    """Zero for what is no file: it is a bad sample when its turn comes."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else (0, 0)
