"""Samples that lie in objects far away: asked for when the batch is made, waited for when their turn comes."""

from __future__ import annotations

from typing import Any

from fastload.engine import SampleSource
from fastload.remote.addresses import redacted, unsigned
from fastload.remote.cache_on_disk import DiskCache, disk_cache
from fastload.remote.learned_versions import LearnedVersions
from fastload.remote.reads import ALL, Learned, Read
from fastload.remote.store import Got
from fastload.remote.transfers_here import transfers
from fastload.remote.trouble import changed


class Pin:
    """Where it is kept which object a URL of a list stands for.

    Args:
        number: of the URL.
    """

    __slots__ = ("_number", "_versions", "url")

    def __init__(self, versions: LearnedVersions, number: int, url: str) -> None:
        self._versions = versions
        self._number = number
        self.url = url

    def learn(self, got: Got) -> Learned:
        size = len(got.data)
        known = self._versions.learn(self._number, got, size, self.url)
        if not known[1]:
            return Learned()
        if known != (size, got.version):
            raise changed()
        key, cache = (unsigned(self.url), known[1], 0, ALL), disk_cache()
        return Learned(repr(key), known[1], None if cache is None else (cache, cache.path_of(*key)))

    def forget(self) -> None:
        """It was no image: what comes next time may be another object."""
        self._versions.forget(self._number)

    def source(self) -> RemoteObject:
        """The object, as far as it is known by now."""
        known = self._versions.of(self._number)
        return RemoteObject(self.url, *(known or (-1, "")), pin=self)

    def __reduce__(self) -> Any:
        return Pin, (self._versions, self._number, self.url)


class RemoteObject(SampleSource):
    """An object that is a sample.

    Args:
        url: of one of ``SCHEMES``.
        size: in bytes, as a listing has it; -1: not known.
        version: as a listing has it; "" where it is not known.
        pin: where that is learned with the first answer, so that it can be kept.
    """

    __slots__ = ("_pin", "_read", "first", "length", "size", "url", "version")

    def __init__(self, url: str, size: int = -1, version: str = "", pin: Pin | None = None) -> None:
        self._pin = pin
        self.url = url
        self.size = size
        self.version = version
        self.name = redacted(url)
        self.first = 0
        self.length = ALL
        self._read: Read | None = None

    def ask(self) -> None:
        """Begins to fetch it, where it is not in the cache."""
        if not self._is_asked():
            cache = disk_cache()
            if cache is None or self._in(cache) is None:
                self._ask(cache)

    def engine_form(self) -> Any:
        found: Any = None
        if not self._is_asked():
            cache = disk_cache()
            found = None if cache is None else self._in(cache)
            if found is None:
                self._ask(cache)
        if found is None:
            assert self._read is not None
            found = self._read.arrival()
        return (found, *self.place)

    def read(self) -> bytes:
        """Waits for it."""
        cache = disk_cache()
        found = None if cache is None or self._read is not None else self._in(cache)
        if found is not None:
            try:
                with open(found[0], "rb") as file:
                    data = file.read()
                if len(data) == found[2]:
                    return data
            except OSError:  # it has gone since
                pass
        data = bytes(self._asked().wait())
        if not data:
            raise OSError(f"{self.name}: the object is empty")
        return data

    def forget(self) -> None:
        cache, learned = disk_cache(), None if self._read is None else self._read.learned.keep
        if learned is not None:
            learned[0].forget(learned[1])
        elif cache is not None:
            cache.forget(self._path(cache))
        has_come = (
            self._read is None or self._read.data is not None
        )  # else it is an error that it has changed, and stays one
        if self._pin is not None and has_come:
            self._pin.forget()
        if self._read is not None:
            self._read.transfers.forget(self._read)
            self._read = None

    def _in(self, cache: DiskCache) -> tuple[str, int, int] | None:
        if self._pin is not None and not self.version:
            return None
        path = self._path(cache)
        wanted = self.length if self.length >= 0 else self.size
        found = cache.find(path, wanted)
        return (path, 0, found) if found > 0 else None

    def _path(self, cache: DiskCache) -> str:
        return cache.path_of(unsigned(self.url), self.version, self.first, self.length)

    def _asked(self) -> Read:
        if not self._is_asked():
            self._ask(disk_cache())
        assert self._read is not None
        return self._read

    def _is_asked(self) -> bool:
        read = self._read
        return read is not None and read.error is None and read.transfers is transfers()

    def _ask(self, cache: DiskCache | None) -> None:
        learns = None if self.version else self._pin
        keep = None if cache is None or learns is not None else (cache, self._path(cache))
        self._read = transfers().read(self.url, self.first, self.length, self.size, self.version, keep, learns)

    @property
    def cache_name(self) -> str | None:
        """Of what may be another object tomorrow there is none."""
        return repr((unsigned(self.url), self.version, self.first, self.length)) if self.version else None

    @property
    def lasting_name(self) -> str | None:
        return self.cache_name if self._pin is None else unsigned(self.url)

    @property
    def place(self) -> tuple[str, str]:
        return self.name, self.version

    def _key(self) -> tuple[Any, ...]:
        return self.url, self.size, self.version, self.first, self.length, self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteObject) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> Any:
        return RemoteObject, (self.url, self.size, self.version, self._pin)


class RemoteRange(RemoteObject):
    """A run of bytes of an object: a sample of a shard.

    Args:
        size, version: of the whole object, as it was when it was indexed: bytes of another are an error.
    """

    __slots__ = ()

    def __init__(self, url: str, offset: int, length: int, name: str, size: int = -1, version: str = "") -> None:
        super().__init__(url, size, version)
        self.first = offset
        self.length = length
        self.name = name

    @property
    def place(self) -> tuple[str, str]:
        return f"{redacted(self.url)}#{self.first}+{self.length}", self.version

    def __reduce__(self) -> Any:
        return RemoteRange, (self.url, self.first, self.length, self.name, self.size, self.version)
