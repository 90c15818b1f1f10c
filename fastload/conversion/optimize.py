"""JPEGs become ones that decode faster, without a pixel's change."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import PIL.Image

from fastload import _core

_MOST_PIXELS = 1 << 28


@dataclass(frozen=True)
class Optimize:
    """Writes a JPEG's coefficients anew: in one sequential scan, with the best Huffman tables for this image.

    A progressive JPEG, which a decoder walks over several times, is replaced always, a sequential one where that makes it smaller.
    Both are decoded by Pillow and the new one is taken only if all pixels, the mode, EXIF and the colour profile are equal.
    Everything else stays the bytes that it is: other formats, damaged images, those with bytes behind them.
    """

    def __call__(self, data: Any) -> Any:
        """The new bytes, or ``data`` itself."""
        if bytes(data[:2]) != b"\xff\xd8":
            return data
        found = _core.jpeg_sequential(data, _MOST_PIXELS)
        if found is None:
            return data
        new, was_sequential = found
        if was_sequential and len(new) >= len(data):
            return data
        return new if _decoded(data) == _decoded(new) else data


@dataclass(frozen=True)
class Both:
    """One change after another."""

    first: Any
    second: Any

    def __call__(self, data: Any) -> Any:
        return self.second(self.first(data))


def _decoded(data: Any) -> tuple[Any, ...] | None:
    """All that can be seen of an image; None, which equals nothing that decodes, for one that does not."""
    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            return image.mode, image.size, image.info.get("exif"), image.info.get("icc_profile"), image.tobytes()
    except Exception:  # Pillow's plugins raise whatever they like
        return None
