"""The samples of a tar that is read from beginning to end: a file, compressed or not, a command's output, standard input."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from fastload import _core
from fastload.remote import is_remote, open_remote, redacted
from fastload.reports import printable
from fastload.shards.shard_paths import PIPE, STANDARD_INPUT, is_url
from fastload.shards.tar_index import EMPTY, JSONS, NUMBERS, TarError, TarFields, is_meta

_INTEGER = re.compile(rb"\s*[+-]?[0-9]{1,4000}\s*")
_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error)


@dataclass
class StreamSample:
    """One sample in memory.

    Attributes:
        name: of the image's member.
        shard: it came from.
        data: the encoded image.
    """

    name: str
    shard: str
    data: bytes
    target: Any = None


@dataclass
class LeftOut:
    """Samples without image or target, and links; the key of the first of each; and shards that may be cut."""

    without_image: int = 0
    without_target: int = 0
    links: int = 0
    unclosed: dict[str, None] = field(default_factory=dict)  # shards
    first: dict[str, str] = field(default_factory=dict)

    def count(self, what: str, key: str) -> None:
        setattr(self, what, getattr(self, what) + 1)
        self.first.setdefault(f"first_{what}", key)

    def facts(self) -> dict[str, Any]:
        counted = ("without_image", "without_target", "links")
        return {**{name: getattr(self, name) for name in counted}, **self.first}


def stream_tar(path: str, fields: TarFields, left_out: LeftOut) -> Iterator[StreamSample]:
    """The samples of one shard in their order, by the rules of the index. Raises TarError, and OSError."""
    shown = redacted(path)
    with _opened(path) as file:
        key: bytes | None = None
        members: dict[str, tuple[str, bytes]] = {}
        for name, data, is_another_tar in _members(shown, file, fields, left_out):
            split = _core.split_tar_name(name.encode("utf-8", "surrogateescape"))
            if is_meta(name) or split is None:
                continue
            if split[0] != key or is_another_tar:
                yield from _sample(shown, key, members, fields, left_out)
                key, members = split[0], {}
            ending = split[1].decode("utf-8", "surrogateescape").lower()
            if ending in members:
                raise TarError(f"{shown}: member {name!r} is the second {ending!r} of its sample")
            members[ending] = name, data
        yield from _sample(shown, key, members, fields, left_out)


class _StrictTarInfo(tarfile.TarInfo):
    """tarfile takes what is no header for the end."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _StrictTarInfo:
        try:
            return super().fromtarfile(tar)
        except tarfile.HeaderError as error:
            if type(error).__name__ in ("EOFHeaderError", "EmptyHeaderError"):
                raise
            raise TarError(f"no tar header at byte {tar.offset}: {error}") from error


def _members(path: str, file: BinaryIO, fields: TarFields, left_out: LeftOut) -> Iterator[tuple[str, bytes, bool]]:
    """Files, and whether another tar began before each; of those that nobody asks for no data."""
    wanted = {*fields.images, *(ending for ending, _ in fields.targets)}
    at = next_header = 0
    is_another = False
    try:
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=_StrictTarInfo, ignore_zeros=True) as tar:
            for member in tar:
                at = member.offset
                is_another = is_another or at != next_header
                next_header = tar.offset
                if not member.isreg():
                    if (member.islnk() or member.issym()) and _is_of_sample(member.name):
                        left_out.count("links", printable(member.name))
                    continue
                if member.issparse():
                    raise TarError(f"a sparse file at byte {at}, {member.name!r}")
                ending = member.name.rpartition("/")[2].partition(".")[2].lower()
                content = tar.extractfile(member) if ending in wanted else None
                data = b"" if content is None else content.read()
                if content is not None and len(data) != member.size:
                    raise TarError(
                        f"member {member.name!r} at byte {at} is {member.size} bytes long, {len(data)} are there"
                    )
                tar.members = []  # type: ignore[attr-defined]  # which tarfile keeps all of
                yield member.name, data, is_another
                is_another = False
            if tar.offset == next_header:
                left_out.unclosed[path] = None
    except TarError as error:
        raise TarError(f"{path}: {error}") from error
    except _DAMAGE as error:
        if str(error) == "empty file":
            raise TarError(EMPTY.format(path)) from error
        raise TarError(f"{path} is cut or damaged behind byte {at}: {error}") from error


def _is_of_sample(name: str) -> bool:
    return not is_meta(name) and _core.split_tar_name(name.encode("utf-8", "surrogateescape")) is not None


def _sample(
    path: str, key: bytes | None, members: dict[str, tuple[str, bytes]], fields: TarFields, left_out: LeftOut
) -> Iterator[StreamSample]:
    if key is None:
        return
    image = next((members[ending] for ending in fields.images if ending in members), None)
    target = next(((ending, of) for ending, of in fields.targets if ending in members), None)
    if image is None or (target is None and fields.targets):
        left_out.count("without_image" if image is None else "without_target", key.decode("utf-8", "replace"))
        return
    sample = StreamSample(image[0], path, image[1])
    if target is not None:
        name, data = members[target[0]]
        sample.target = _value(path, name, data, *target)
    yield sample


def _value(path: str, name: str, data: bytes, ending: str, key: str) -> Any:
    try:
        if ending in NUMBERS:
            return _integer(data)
        if ending not in JSONS:
            return data.decode("utf-8", "surrogateescape")
        value = json.loads(data)
        return value[key] if key else value
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TarError(f"{path}: member {name!r} gives no target: {error!r}") from error


def _integer(data: bytes) -> int:
    """As the index has it: decimal digits of ASCII, in 64 bits. Raises ValueError."""
    if _INTEGER.fullmatch(data) and -(2**63) <= (number := int(data)) < 2**63:
        return number
    raise ValueError(f"no integer: {data[:40]!r}")


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """Raises OSError where a command fails, also at its end."""
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    if is_remote(path):
        with open_remote(path) as far:
            yield far
        return
    if is_url(path):
        raise ValueError(f"{redacted(path)}: give a command that reads it, as 'pipe:curl -fsS {redacted(path)}'")
    if not path.startswith(PIPE):
        with open(path, "rb") as file:
            yield file
        return
    command = path.removeprefix(PIPE)
    with subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield process.stdout  # type: ignore[misc]
            while process.stdout.read(1 << 20):  # what stands behind the tar's end
                pass
        except BaseException:
            process.kill()
            raise
        if status := process.wait():
            raise OSError(f"{redacted(path)}: the command failed with status {status}")
