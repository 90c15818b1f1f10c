"""Why a conversion ends before it is done."""

from __future__ import annotations


class ConversionError(Exception):
    """It cannot go on. What was written stays, and the same call goes on from there."""


class RefusedError(ConversionError, ValueError):
    """It was not begun: the source, the destination or an option does not do. Nothing was changed."""


class BadSampleError(ConversionError):
    """A sample that cannot be converted.

    Attributes:
        name: as the source has it.
        reason: one line.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(name, reason)

    def __str__(self) -> str:
        return f"{self.name!r}: {self.reason}"


class Stopped(ConversionError):
    """Another part failed, or the user ended it."""
