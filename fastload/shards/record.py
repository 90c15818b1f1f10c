"""One sample on its way from a source into another: what every writer of a format takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Record:
    """A sample with all that must come through a conversion unchanged.

    Attributes:
        name: of the file as a class folder has it, with "/" and its ending: ``n01440764/n01440764_10026.JPEG``.
        data: the encoded image, whatever has a buffer. Writers take it before they take the next record: its memory may be that
            one's then.
        target: int, text, what JSON can say, or None where there is none.
        class_name: of the target; None where the source names none.
    """

    name: str
    data: Any
    target: Any = None
    class_name: str | None = None
