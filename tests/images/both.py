"""The same on Pillow's image and on the lazy one: what comes out is the same, errors among it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image

import fastload


def shown(value: Any) -> Any:
    """A value as it can be compared: images with all that they hold."""
    if isinstance(value, PIL.Image.Image):
        exif = dict(value.getexif()) if hasattr(value, "getexif") else None
        raw = value.tobytes("raw", "RGBX") if value.mode == "RGB" and min(value.size) > 0 else b""
        return type(value), value.mode, value.size, value.info, value.format, exif, value.readonly, value.tobytes(), raw
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.flags.writeable, value.tobytes()
    if type(value).__name__ in ("PixelAccess", "_Pixels"):  # what load() gives
        return outcome(lambda: value[0, 0])
    if isinstance(value, (tuple, list)):
        return [shown(one) for one in value]
    return value


def outcome(make: Callable[[], Any]) -> Any:
    """What a call gives, or the error, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = shown(make())
        except Exception as error:
            result = type(error), re.sub("0x[0-9a-f]+", "0x", str(error))
    return result, [str(one.message) for one in caught]


def same(data: Any, do: Callable[[PIL.Image.Image], Any]) -> Any:
    """Asserts that ``do`` of both images gives the same, and gives that. ``data``: bytes, or what makes a file."""
    openable = data if callable(data) else lambda: io.BytesIO(data)
    plain = outcome(lambda: do(PIL.Image.open(openable())))
    lazy = outcome(lambda: do(fastload.open(openable())))
    assert plain == lazy
    return lazy[0]
