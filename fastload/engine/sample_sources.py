"""What stands for a sample's bytes in a data set: anything that ``open`` takes, or a SampleSource, which is no file of its own."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, NamedTuple

import PIL.Image

from fastload import _core


class FileState(NamedTuple):
    """A file as it was when samples were found in it.

    Attributes:
        size: in bytes.
        changed_ns: the time of its last change, in nanoseconds.
        inode: 0: not known, as in a process to which it was sent, which may see the file elsewhere.
    """

    size: int
    changed_ns: int
    inode: int = 0

    @classmethod
    def of(cls, handle: int) -> FileState:
        """Of an open file. Raises OSError."""
        found = os.fstat(handle)
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)

    def check(self, handle: int, path: str) -> None:
        """Raises OSError where an open file is that no more; to be asked behind a read: its time changes before its bytes do."""
        now = FileState.of(handle)
        if now[:2] != self[:2] or self.inode not in (0, now.inode):
            raise OSError(f"{path} has changed since it was indexed: open the data set anew")

    def __reduce__(self) -> Any:
        return FileState, (self.size, self.changed_ns)


class SampleSource:
    """The encoded bytes of one sample that is no file of its own.

    Attributes:
        name: for errors and for the ledger: where it is, in one line.
        cache_name: what tells its bytes from all others, for a RAM cache: a URL with the ETag and the range, say. None: it is a
            range of a file, which is known by that; other bytes are not kept without one.
        place: of what comes from afar, (where it lies there, without secrets, and what tells this version of it from others, empty
            where that is not known), by which its entry points are found. None: it does not come from afar.
    """

    __slots__ = ("name",)
    name: str

    @property
    def cache_name(self) -> str | None:
        return None

    @property
    def lasting_name(self) -> str | None:
        """The same, however much of the sample is known by now."""
        return self.cache_name

    @property
    def place(self) -> tuple[str, str] | None:
        return None

    def engine_form(self) -> Any:
        """What the engine reads: a path, ``(path, offset, length)``, the same with a CRC-32C and a FileState behind it, bytes, or
        what ``csrc/bindings_source.h`` has beside these."""
        raise NotImplementedError

    def cached_form(self) -> Any:
        """The same where a RAM cache has the bytes, so that nothing is fetched."""
        place = self.place
        return b"" if place is None else (b"", *place)

    def read(self) -> bytes:
        """All its bytes, for who does not read as the engine does. Raises OSError."""
        raise NotImplementedError

    def ask(self) -> None:
        """Begins to fetch them, where that takes time; who has asked holds the source until it is read."""

    def forget(self) -> None:
        """They were no image: who asks again shall have them from where they lie, not from what is kept here."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __fspath__(self) -> str:
        raise TypeError(f"{self.name} is no file of its own")


class ByteRange(SampleSource):
    """A run of bytes of a file: a member of an archive, a record, a page's value.

    Args:
        name: of the sample, or what gives it: few are ever asked for.
        state: of the file, whose bytes are an error when it is another; None: whatever it is.
    """

    __slots__ = ("_name", "length", "offset", "path", "state")

    def __init__(
        self, path: str, offset: int, length: int, name: str | Callable[[], str], state: FileState | None = None
    ) -> None:
        self.path = path
        self.offset = offset
        self.length = length
        self._name = name
        self.state = state

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._name if isinstance(self._name, str) else self._name()

    def engine_form(self) -> Any:
        if self.state is None:
            return self.path, self.offset, self.length
        return self.path, self.offset, self.length, -1, self.state

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            data = file.read(self.length)
            if self.state is not None:
                self.state.check(file.fileno(), self.path)
        if len(data) != self.length:
            raise OSError(f"{self.path} is shorter than its index says: {len(data)} of {self.length} bytes are there")
        return data

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._place() == other._place()

    def __hash__(self) -> int:
        return hash(self._place())

    def _place(self) -> tuple[str, int, int]:
        return self.path, self.offset, self.length

    def __reduce__(self) -> Any:
        return ByteRange, (self.path, self.offset, self.length, self.name, self.state)


class CheckedRange(ByteRange):
    """A run of bytes whose CRC-32C is looked at each time when it is read: some 0.03 ms a megabyte."""

    __slots__ = ("crc32c",)

    def __init__(
        self,
        path: str,
        offset: int,
        length: int,
        name: str | Callable[[], str],
        crc32c: int,
        state: FileState | None = None,
    ) -> None:
        super().__init__(path, offset, length, name, state)
        self.crc32c = crc32c

    def engine_form(self) -> Any:
        if self.state is None:
            return self.path, self.offset, self.length, self.crc32c
        return self.path, self.offset, self.length, self.crc32c, self.state

    def read(self) -> bytes:
        data = super().read()
        if _core.crc32c(data) != self.crc32c:
            raise OSError(f"{self.name}: the checksum of its bytes is wrong: they changed since they were indexed")
        return data

    def __reduce__(self) -> Any:
        return CheckedRange, (self.path, self.offset, self.length, self.name, self.crc32c, self.state)


class Encoded(SampleSource):
    """Bytes in memory, of whatever has a buffer."""

    __slots__ = ("data",)

    def __init__(self, data: Any, name: str) -> None:
        self.data = data
        self.name = name

    def engine_form(self) -> Any:
        return self.data

    def read(self) -> bytes:
        return bytes(self.data)


def ask_for(sources: Iterable[Any]) -> list[SampleSource]:
    """Begins to fetch those that are far away, all at once; to be held until they are read."""
    asked = [source for source in sources if isinstance(source, SampleSource)]
    for source in asked:
        source.ask()
    return asked


def name_of(source: Any) -> str | None:
    """A sample's name: that of a SampleSource, or the file's, of text, bytes or an ``os.PathLike``; None for what is none, as None
    itself, or no path on this system."""
    if isinstance(source, SampleSource):
        return source.name
    try:
        name = source if isinstance(source, str) else os.fsdecode(source)
        if not name.isascii():
            os.fsencode(name)
    except Exception:  # whatever a PathLike raises
        return None
    return None if "\0" in name else name


def engine_form_of(source: Any) -> Any:
    """What the engine reads. No bytes where there is no name: the plain loader is asked then, which may take the path all the same,
    as a file descriptor, or says what is wrong with it."""
    if isinstance(source, SampleSource):
        return source.engine_form()
    name = name_of(source)
    return b"" if name is None else name


class _File(io.BytesIO):
    """Bytes whom Pillow's messages call the same each time, not by their address."""

    def __repr__(self) -> str:
        return f"<{len(self.getbuffer())} bytes>"


def file_of(source: Any) -> str | bytes | os.PathLike[Any] | BinaryIO:
    """What Pillow opens."""
    return _File(source.read()) if isinstance(source, SampleSource) else source


def require_file(source: Any) -> None:
    """Raises OSError for a path of what may never end when it is read: a pipe, a device."""
    if not isinstance(source, SampleSource) and os.path.exists(source) and not os.path.isfile(source):
        raise OSError("it is no file")


def load_sample(source: Any) -> PIL.Image.Image:
    """The RGB image of a sample, as torchvision's ``default_loader`` has it of a file."""
    if isinstance(source, SampleSource):
        try:
            return PIL.Image.open(_File(source.read())).convert("RGB")
        except Exception:
            source.forget()
            raise
    with open(source, "rb") as file:
        return PIL.Image.open(file).convert("RGB")


def load_with(load: Callable[[Any], Any], source: Any, encoded: bytes | None) -> Any:
    """What the plain loader gives of a source, or of its bytes where they are at hand; an error is the plain loader's."""
    if encoded is not None:
        with contextlib.suppress(Exception):
            return PIL.Image.open(io.BytesIO(encoded)).convert("RGB")
    return load(source)


def opens(source: Any) -> bool:
    """Whether ``open`` takes such a path, be there a file or not."""
    if isinstance(source, SampleSource):
        return True
    try:
        os.stat(source)
    except OSError:
        return True
    except Exception:
        return False
    return True
