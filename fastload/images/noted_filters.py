"""Arguments of Pillow's ``filter`` and ``point`` -> what the engine does the same as; of those that augmentations use."""

from __future__ import annotations

from typing import Any

from PIL.ImageFilter import GaussianBlur

from fastload import _core
from fastload.machine import pillow_blurs_as_the_engine

_PLAIN_BLUR = GaussianBlur.filter
_MOST_RADIUS = 100  # what lies further away is read too


def radius_of(filter: Any) -> tuple[float, float] | None:
    """Across and down, of a Gaussian blur of Pillow's; None: another filter, or an argument that Pillow may refuse."""
    if type(filter) is not GaussianBlur or GaussianBlur.filter is not _PLAIN_BLUR or [*vars(filter)] != ["radius"]:
        return None
    radius = filter.radius if type(filter.radius) is tuple else (filter.radius, filter.radius)
    if len(radius) != 2 or not all(type(one) in (int, float) and 0 <= one <= _MOST_RADIUS for one in radius):
        return None
    return radius if pillow_blurs_as_the_engine() else None


def change_of(lut: Any, bands: int) -> _core.Recolour | None:
    """The change of colour that a table of values is: values inverted from one on, or the upper bits of each; None: another."""
    if type(lut) is not list or len(lut) != 256 * bands or not all(type(value) is int for value in lut):
        return None
    values = lut[:256]
    if values * bands != lut:
        return None
    level = next((value for value in range(256) if values[value] != value), 256)
    if values[level:] == [*range(255 - level, -1, -1)]:
        return _core.Recolour(_core.Change.solarize, level=level)
    bits = values[255]
    if 0 <= bits <= 255 and values == [value & bits for value in range(256)]:
        return _core.Recolour(_core.Change.posterize, level=bits)
    return None
