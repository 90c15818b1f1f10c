"""What is bad in a shard, for who wants to hear of all of it and not of the first alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """A place in a shard.

    Attributes:
        file: the shard, as it may be printed.
        offset: in it, in bytes; None where that is not known.
        reason: one line.
        row: of the index, where the sample is there all the same.
    """

    file: str
    offset: int | None
    reason: str
    row: int | None = None
