"""Values of a database that only a user's function can read: called when a sample is read, in whichever thread or process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastload.engine import ByteRange, FileState, SampleSource
from fastload.shards.index_file import Column
from fastload.shards.sample_index import SampleIndex

# Of (key, value): (encoded image, target), or None for what is no sample.
Item = Callable[[bytes, memoryview], Any]
# Of all keys and values: the keys that are samples, in their order.
Keys = Callable[[Mapping[bytes, memoryview]], Iterable[bytes]]


class CalledValue(ByteRange):
    """A run of bytes that a function makes an encoded image of."""

    __slots__ = ("item", "key")

    def __init__(
        self, path: str, offset: int, length: int, name: str, key: bytes, item: Item, state: FileState | None
    ) -> None:
        super().__init__(path, offset, length, name, state)
        self.key = key
        self.item = item

    def engine_form(self) -> Any:
        return self.read()

    def read(self) -> bytes:
        return made_item(self.item(self.key, memoryview(super().read())), self.key)[0]

    def __reduce__(self) -> Any:
        return CalledValue, (self.path, self.offset, self.length, self.name, self.key, self.item, self.state)


class CalledValues(SampleIndex):
    """An index with samples that a function reads.

    Attributes:
        item: the function.
        called: bool [n], of which samples.
    """

    def __init__(self, index: SampleIndex, item: Item, called: Column) -> None:
        super().__init__(
            index.format_name, index.shards, index.columns, target_kind=index.target_kind, facts=index.facts
        )
        self.item = item
        self.called = called
        self._plain = index

    def source(self, row: int) -> SampleSource | str:
        plain = super().source(row)
        if not self.called[row] or not isinstance(plain, ByteRange):
            return plain
        key = self.name(row).encode("utf-8", "surrogateescape")
        return CalledValue(plain.path, plain.offset, plain.length, plain.name, key, self.item, plain.state)

    def __reduce__(self) -> Any:
        return CalledValues, (self._plain, self.item, self.called)


def made_item(made: Any, key: bytes) -> tuple[bytes, Any]:
    """Image and target, of what a function returned."""
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise TypeError(f"read= returned {type(made).__name__} for key {key!r}, and not (encoded image, target)")
    return encoded(made[0], key), plain_target(made[1])


def encoded(image: Any, key: bytes) -> bytes:
    """Of bytes, or of a list with one, as a collate function leaves behind."""
    if isinstance(image, list | tuple) and len(image) == 1:
        image = image[0]
    try:
        return bytes(memoryview(image))
    except TypeError:
        raise TypeError(f"read= returned {type(image).__name__} for the image of key {key!r}, and not bytes") from None


def plain_target(target: Any) -> Any:
    """NumPy's and torch's numbers, also in arrays of one, as Python's."""
    if isinstance(target, str | int | float | bool | None):
        return target
    return target.tolist()[0] if getattr(target, "shape", None) == (1,) else _listed(target)


def _listed(target: Any) -> Any:
    return target.tolist() if hasattr(target, "tolist") else target
