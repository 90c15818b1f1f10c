"""A list of (path, target) pairs that costs tens of bytes a sample instead of hundreds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from fastload import _core
from fastload.engine import name_of

_LIST: list[tuple[str, int]] = []


class SampleTable(Sequence[tuple[str, int]]):
    """Read-only stand-in for the list ``samples`` of torchvision's folders.

    Paths live in flat native arrays: about 45 bytes a sample for ImageNet's names, shared by every thread and every loader; pickled
    they take as much. Slices give plain lists. Bytes and ``os.PathLike`` become text; what names no file stays as it is.
    """

    def __init__(self, samples: Iterable[tuple[Any, int]]) -> None:
        self._table = _core.PathTable()
        self._nameless: dict[int, Any] = {}
        for path, target in samples:
            name = path if type(path) is str and path.isascii() else name_of(path)
            if name is None:
                self._nameless[len(self._table)] = path
            self._table.append("" if name is None else name, target)
        self._table.shrink()

    @property
    def memory_bytes(self) -> int:
        """Bytes that the table holds."""
        return self._table.memory_bytes

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> tuple[str, int]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, int]]: ...

    def __getitem__(self, index: int | slice) -> tuple[str, int] | list[tuple[str, int]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        try:
            i = index.__index__()
            if i < 0:
                i += len(self)
            return self._path(i), self._table.target(i)
        except (AttributeError, TypeError):
            _ = _LIST[index]  # raises what a list raises of what is no index
            raise

    def samples_at(self, indices: list[Any]) -> tuple[list[Any], list[int]]:
        """Paths and targets of many, counted from 0; raises where one is not there."""
        paths, targets = self._table.at(indices)
        return [self._path(i) for i in indices] if self._nameless else paths, targets

    def _path(self, i: int) -> Any:
        path = self._table.path(i)
        return path if path or not self._nameless else self._nameless.get(i, path)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        shared: dict[int, int] = {}  # one int object a class, not one a sample
        for i in range(len(self)):
            target = self._table.target(i)
            yield self._path(i), shared.setdefault(target, target)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return NotImplemented if not isinstance(other, Sequence) else False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} samples)"
