"""The RAM cache of a loader: samples are read, or decoded, once for all processes of a user that load the same data set."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Protocol

import PIL
import PIL.Image
import PIL.ImageFile

from fastload import _core
from fastload.engine.cache_room import room_for_cache
from fastload.engine.file_dataset import Find
from fastload.engine.sample_sources import ByteRange, Encoded, SampleSource, engine_form_of, file_of, name_of
from fastload.engine.shared_caches import join_or_make

KINDS = ("encoded", "decoded")
# Of a data set so many samples tell it from others, and so many tell how large they are.
_TELLING = 64
_WEIGHED = 16


class _Named(Protocol):
    cache_names: list[str | None]


class SampleCache:
    """Pickled, as for a worker process, it is the same memory again.

    Args:
        kind: "encoded": the bytes of files. "decoded": the pixels of whole images.
        name: what those have in common that share it.
        cache_bytes: as the loader was given it.
        samples: about how many there will be.

    Raises:
        ValueError: there is not so much memory.
        OSError: the system has no such memory.
    """

    def __init__(self, kind: str, name: str, cache_bytes: int | None, samples: int) -> None:
        self.kind = kind
        self.given = cache_bytes
        self._made_of = kind, name, cache_bytes, samples
        decoded = kind == "decoded"

        def make() -> _core.Cache:
            return _core.Cache.create(name, decoded=decoded, bytes=room_for_cache(cache_bytes), samples=samples)

        self.native = join_or_make(name, decoded=decoded, make=make)

    @classmethod
    def of(cls, kind: str, cache_bytes: int | None, find: Find, length: int) -> SampleCache:
        """That of a data set with ``length`` samples. Others of the same samples, by a look at some of them, share it."""
        told = [PIL.__version__, kind, cache_bytes, length, *(_told(find, index) for index in spread(length, _TELLING))]
        digest = hashlib.blake2b(repr(told).encode(errors="surrogatepass"), digest_size=12).hexdigest()
        return cls(kind, f"fastload-{kind}-{digest}", cache_bytes, length)

    def __reduce__(self) -> Any:
        return SampleCache, self._made_of

    @property
    def variant(self) -> int:
        """What pixels depend on beside the bytes: whether Pillow repairs files that are cut, as it is set now."""
        return int(self.kind == "decoded" and bool(PIL.ImageFile.LOAD_TRUNCATED_IMAGES))

    def asked_for(self, samples: _Named) -> dict[str, Any]:
        """What ``Engine.submit`` is told for a batch to use it."""
        names = samples.cache_names if any(samples.cache_names) else None
        return {"cache": self.native, "cache_names": names, "cache_variant": self.variant}

    def has_named(self, name: str | None) -> bool:
        """Whether the sample of such a ``cache_name`` need not be fetched: what is there stays. A microsecond."""
        return bool(name) and self.native.contains(b"", name, variant=self.variant)

    def contains(self, source: Any) -> bool:
        """The same of a path or SampleSource; of what lies in a file after a look at its times."""
        name = cache_name_of(source)
        if name or (isinstance(source, SampleSource) and not isinstance(source, ByteRange)):
            return self.has_named(name)
        return self.native.contains(engine_form_of(source), variant=self.variant)

    def figures(self) -> dict[str, Any]:
        """For ``stats()``: of all processes together."""
        native = self.native
        return {"bytes": native.used, "capacity": native.capacity, "samples": native.samples, "full": native.is_full}


def cache_name_of(source: Any) -> str | None:
    """What a cache knows a sample's bytes by that lie in no file here; None: by the file, or not at all."""
    return source.cache_name if isinstance(source, SampleSource) else None


def spread(length: int, count: int) -> list[int]:
    """So many indices from all over a data set, or all."""
    return sorted({length * i // count for i in range(count)} | {length - 1}) if length > 0 else []


def describe_cache(kind: str, cache_bytes: int | None, find: Find, length: int, cache: SampleCache | None) -> str:
    """A line for ``explain()``: what is kept, in how much memory, and how much of the data set fits."""
    room = cache.native.capacity if cache is not None else None
    if room is None:
        try:
            room = room_for_cache(cache_bytes)
        except ValueError as error:
            return f"  cache: {error}"
    what = "the bytes of files" if kind == "encoded" else "the pixels of whole images"
    if _is_in_memory(find):
        return "  cache: nothing is kept of samples that lie in memory already"
    line = f"  cache: {what}, {room / 1e9:.3g} GB of memory at most, shared by this user's processes here"
    sizes = [size for index in spread(length, _WEIGHED) if (size := _weighed(kind, find, index))]
    if not sizes:
        return line
    wanted = sum(sizes) / len(sizes) * length
    fits = f"{100 * room / wanted:.0f} % fit" if wanted > room else "all fit"
    return f"{line}; {length:,} samples would take some {wanted / 1e9:.3g} GB (by {len(sizes)} of them): {fits}"


def _is_in_memory(find: Find) -> bool:
    """Whether the first sample does."""
    try:
        files, within = find(0)
        return isinstance(files.sample(within)[0], Encoded)
    except Exception:  # which is told where it is read
        return False


def _told(find: Find, index: int) -> str | None:
    try:
        files, within = find(index)
        source = files.sample(within)[0]
    except Exception:
        return None
    name = (source.lasting_name if isinstance(source, SampleSource) else None) or name_of(source)
    return name if name is None or isinstance(source, SampleSource) else os.path.abspath(name)


def _weighed(kind: str, find: Find, index: int) -> int:
    """Bytes that a sample would take; 0: unknown. Nothing is fetched from afar for it."""
    try:
        files, within = find(index)
        source = files.sample(within)[0]
        if isinstance(source, SampleSource) and not isinstance(source, ByteRange):
            return 0
        if kind == "encoded":
            return source.length if isinstance(source, ByteRange) else os.stat(source).st_size
        with PIL.Image.open(file_of(source)) as image:
            return int(image.width * image.height * (1 if image.mode in ("L", "1") else 3))
    except Exception:
        return 0
