"""What can go wrong with a sample, and the ledger that remembers it."""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import PIL
import PIL.Image


class NotNative(Exception):
    """Why something is left to torch or to Python; the message is shown to the user."""


class FastloadError(Exception):
    """A sample that could not be made.

    Attributes:
        index: position in the data set, as the sampler gave it; -1 where that was no integer.
        path: the file, or None for a sample in memory.
        reason: one line.

    Where the plain loader would have raised some exception type, the error raised is of that type too, so
    ``except OSError`` or ``except PIL.UnidentifiedImageError`` go on working.
    """

    index: int
    path: str | None
    reason: str

    def __str__(self) -> str:  # not OSError's form, which would hide the sample
        return str(self.args[0]) if self.args else ""


class ReadError(FastloadError):
    """The bytes could not be read: no such file, permission denied, empty, a failing disk."""


class DecodeError(FastloadError):
    """The bytes are no image, or a damaged or forbiddingly large one."""


class TransformError(FastloadError):
    """A transform refused the image."""


class FastloadWarning(UserWarning):
    """The category of all warnings of this package."""


class NotNativeError(ValueError):
    """Native threads do not make a loader's batches.

    Attributes:
        reasons: one line each, with what to change.
    """

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = list(reasons)
        super().__init__(self.reasons)

    def __str__(self) -> str:
        return f"native threads do not make the batches of this loader: {'; '.join(self.reasons)}"


class SampleError(NamedTuple):
    """One line of the ledger ``loader.errors``."""

    index: int  # type: ignore[assignment]  # which a tuple has as a method
    path: str | None
    reason: str


class TooManyErrors(FastloadError):
    """More samples failed than ``max_errors`` allows; index, path and reason are those of the newest."""

    @classmethod
    def after(cls, newest: SampleError | None, what: str) -> TooManyErrors:
        """``what``: how many failed, and how many may."""
        newest = newest or SampleError(-1, None, "")
        where = f" ({newest.path})" if newest.path is not None else ""
        error = cls(f"{what}; the newest is sample {newest.index}{where}: {newest.reason}")
        error.index, error.path, error.reason = newest
        return error


_READ_CODES = frozenset({"not_found", "unreadable", "empty"})


def kind_of(code: str) -> type[FastloadError]:
    """The error class for the engine's code of a failure."""
    if code == "transform":
        return TransformError
    return ReadError if code in _READ_CODES else DecodeError


# The types that opening and decoding an image raise. An error that crosses from a worker process must be of a class that can be
# imported by name, so the classes that are both are made here once and for all.
_FOREIGN: tuple[type[Exception], ...] = (
    OSError,
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    PIL.UnidentifiedImageError,
    PIL.Image.DecompressionBombError,
    RuntimeError,
    ValueError,
    TypeError,
    IndexError,
    SyntaxError,
    MemoryError,
)


def _join(kind: type[FastloadError], foreign: type[Exception]) -> type[FastloadError]:
    name = f"{kind.__name__}_{foreign.__name__}"
    return type(
        name, (kind, foreign), {"__module__": __name__, "__doc__": f"A {kind.__name__} that is a {foreign.__name__}."}
    )


_JOINED: dict[tuple[type, type], type[FastloadError]] = {
    (kind, foreign): _join(kind, foreign) for kind in (ReadError, DecodeError, TransformError) for foreign in _FOREIGN
}
globals().update({joined.__name__: joined for joined in _JOINED.values()})


def sample_error(kind: type[FastloadError], index: Any, path: str | None, cause: Exception | str) -> FastloadError:
    """The exception to raise for one sample; also an instance of the cause's type if that is one which Pillow raises. ``index``:
    whatever the sampler gave."""
    reason = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
    try:
        number = operator.index(index)
        where = f"sample {number}"
    except TypeError:
        number, where = -1, f"sample {reprlib.repr(index)}"
    where += f" ({path})" if path is not None else ""
    joined = (_JOINED[kind, base] for base in type(cause).__mro__ if (kind, base) in _JOINED)
    error = next(joined, kind)(f"{where}: {reason}")
    error.index, error.path, error.reason = number, path, reason
    if isinstance(cause, Exception):
        error.__cause__ = cause
    if isinstance(cause, OSError) and isinstance(error, OSError):
        error.errno, error.strerror, error.filename = cause.errno, cause.strerror, cause.filename
    return error
