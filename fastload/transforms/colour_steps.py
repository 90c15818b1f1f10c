"""torchvision's transforms that change colours -> the engine's form of each.

Each function takes a transform and gives its step, or raises NotNative. Which numbers are compared in float32 and which in double
is torchvision's: transforms compares ``torch.rand(1).item()`` with a probability, transforms.v2 ``torch.rand(1)``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision.transforms import _functional_pil as pillow

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms import argument_forms

_ADJUSTED = ("brightness", "contrast", "saturation", "hue")


def color_jitter(t: Any, *, is_gray: bool) -> _core.Transform:
    made = _core.Transform(_core.Kind.color_jitter)
    argument_forms.require_float32()
    for which, name in enumerate(_ADJUSTED):
        if (between := getattr(t, name)) is not None:
            made.set_range(which, *_range_of(between, name))
    return made


def photometric_distort(t: Any, *, is_gray: bool) -> _core.Transform:
    made = _core.Transform(_core.Kind.photometric_distort)
    made.p = argument_forms.probability(t.p)
    made.is_gray = is_gray
    for which, name in enumerate(_ADJUSTED):
        made.set_range(which, *_range_of(getattr(t, name), name))
    return made


def permute_channels(t: Any, *, is_gray: bool) -> _core.Transform:
    made = _core.Transform(_core.Kind.permute_channels)
    made.is_gray = is_gray
    return made


def random_recolour(t: Any, *, is_gray: bool) -> _core.Transform:
    """One change with a probability."""
    made = _core.Transform(_core.Kind.random_recolour)
    made.recolour = _RECOLOURS[type(t)](t)
    is_v2 = isinstance(t, v2.Transform)
    made.p = argument_forms.probability(t.p) if is_v2 else argument_forms.probability_in_double(t.p)
    return made


def _range_of(between: Any, name: str) -> tuple[float, float]:
    low, high = argument_forms.ascending(between, name)
    if name == "hue" and not -0.5 <= low <= high <= 0.5:
        raise NotNative(f"hue={between!r}")
    require_pillow(name)
    return low, high


def _sharpness(t: Any) -> _core.Recolour:
    factor = t.sharpness_factor
    if type(factor) not in (int, float) or not abs(factor) < 1e38:
        raise NotNative(f"sharpness_factor={factor!r}")
    require_pillow("sharpness")
    return _core.Recolour(_core.Change.sharpness, factor=factor)


def _posterize(t: Any) -> _core.Recolour:
    if type(t.bits) is not int or not 1 <= t.bits <= 8:
        raise NotNative(f"bits={t.bits!r}")
    return _core.Recolour(_core.Change.posterize, level=256 - 2 ** (8 - t.bits))


def _solarize(t: Any) -> _core.Recolour:
    if type(t.threshold) not in (int, float) or math.isnan(t.threshold):
        raise NotNative(f"threshold={t.threshold!r}")
    return _core.Recolour(_core.Change.solarize, level=math.ceil(min(max(t.threshold, 0), 256)))


@functools.cache
def _pillow_computes_as_the_engine(name: str) -> bool:
    """Of what Pillow computes in floats, on many colours: a compiler may fuse or reorder such arithmetic."""
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    image = PIL.Image.fromarray(colours)
    adjust = getattr(pillow, f"adjust_{name}")
    change = getattr(_core.Change, name)
    for factor in (-0.5, -0.1, 0.03, 0.3, 0.5) if name == "hue" else (0.1, 0.7, 0.95, 1.3, 1.7):
        level = int(factor * 255) & 255
        made = _core.recolour(
            colours, _core.Recolour(change, factor=factor, level=level), simd=_core.simd_variants()[-1]
        )
        if not np.array_equal(made, np.asarray(adjust(image, factor))):
            return False
    return True


def require_pillow(name: str) -> None:
    """Raises NotNative where the installed Pillow does not compute this with the engine's roundings."""
    if not _pillow_computes_as_the_engine(name):
        raise NotNative(f"this build of Pillow computes {name} with other roundings")


def _plain(change: _core.Change, level: int = 0) -> Callable[[Any], _core.Recolour]:
    return lambda t: _core.Recolour(change, level=level)


def _both(name: str, form: Callable[[Any], _core.Recolour]) -> dict[type, Callable[[Any], _core.Recolour]]:
    return {getattr(v1, name): form, getattr(v2, name): form}


_RECOLOURS = {
    **_both("RandomInvert", _plain(_core.Change.solarize)),
    **_both("RandomPosterize", _posterize),
    **_both("RandomSolarize", _solarize),
    **_both("RandomAutocontrast", _plain(_core.Change.autocontrast)),
    **_both("RandomEqualize", _plain(_core.Change.equalize)),
    **_both("RandomAdjustSharpness", _sharpness),
}

ColourStep = Callable[..., _core.Transform]
# By type: (transform, is_gray=…) -> the engine's step. None of these changes an image's size or its number of channels.
COLOUR_STEPS: dict[type[Any], ColourStep] = {
    **dict.fromkeys(_RECOLOURS, random_recolour),
    v1.ColorJitter: color_jitter,
    v2.ColorJitter: color_jitter,
    v2.RandomPhotometricDistort: photometric_distort,
    v2.RandomChannelPermutation: permute_channels,
}
