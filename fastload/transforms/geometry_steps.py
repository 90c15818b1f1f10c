"""torchvision's transforms that turn, warp and resize by chance -> the engine's form of each.

Each function takes a transform and how many channels its images have, and gives its step, or raises NotNative.
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
from torchvision.transforms.functional import _get_inverse_affine_matrix as _inverse

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms import argument_forms

_PILLOWS = {
    _core.Filter.nearest: PIL.Image.Resampling.NEAREST,
    _core.Filter.bilinear: PIL.Image.Resampling.BILINEAR,
    _core.Filter.bicubic: PIL.Image.Resampling.BICUBIC,
}
# Farther away than from here to any pixel, and the numbers of a map keep enough digits.
_FARTHEST = 2.0**24


def random_rotation(t: Any, channels: int) -> _core.Transform:
    made = _warp(_core.Kind.random_rotation, t, channels)
    if type(t.expand) not in (bool, int):
        raise NotNative(f"expand={t.expand!r}")
    made.expand = bool(t.expand)
    made.set_range(0, *_of_floats(t.degrees, "degrees"))
    _set_center(made, t)
    _require_python()
    return made


def random_affine(t: Any, channels: int) -> _core.Transform:
    made = _warp(_core.Kind.random_affine, t, channels)
    made.set_range(0, *_of_floats(t.degrees, "degrees"))
    if t.translate is not None:
        made.set_shares(_numbers(t.translate, "translate", least=0, most=1))
    if t.scale is not None:
        made.set_range(1, *_of_floats(t.scale, "scale", least=1e-6))
    if t.shear is not None:
        if len(t.shear) not in (2, 4):
            raise NotNative(f"shear={t.shear!r}")
        for which in range(len(t.shear) // 2):
            made.set_range(2 + which, *_of_floats(t.shear[2 * which : 2 * which + 2], "shear"))
    _set_center(made, t)
    _require_python()
    return made


def random_perspective(t: Any, channels: int) -> _core.Transform:
    made = _warp(_core.Kind.random_perspective, t, channels)
    made.p = argument_forms.probability(t.p)
    [made.distortion] = _numbers([t.distortion_scale], "distortion_scale", least=0, most=1)
    return made


def random_zoom_out(t: Any, channels: int) -> _core.Transform:
    made = _core.Transform(_core.Kind.random_zoom_out)
    made.p = argument_forms.probability(t.p)
    made.set_scale(_of_floats(t.side_range, "side_range", least=1))
    made.set_fill(argument_forms.fill_of(t, is_v2=True, channels=channels))
    return made


def scale_jitter(t: Any, channels: int) -> _core.Transform:
    made = _resize(_core.Kind.scale_jitter, t)
    made.sizes = _numbers(t.target_size, "target_size", least=1)
    made.set_scale(_of_floats(t.scale_range, "scale_range", least=0))
    return made


def random_shortest_size(t: Any, channels: int) -> _core.Transform:
    made = _resize(_core.Kind.random_shortest_size, t)
    if not isinstance(t.min_size, list) or not t.min_size:
        raise NotNative(f"min_size={t.min_size!r}")
    made.sizes = _numbers(t.min_size, "min_size", least=1, count=len(t.min_size))
    if t.max_size is not None and not argument_forms.is_side(t.max_size):
        raise NotNative(f"max_size={t.max_size!r}")
    made.max_size = int(t.max_size or 0)
    return made


def random_resize(t: Any, channels: int) -> _core.Transform:
    made = _resize(_core.Kind.random_resize, t)
    if not (argument_forms.is_side(t.min_size) and argument_forms.is_side(t.max_size) and t.min_size < t.max_size):
        raise NotNative(f"min_size={t.min_size!r}, max_size={t.max_size!r}")
    made.width, made.max_size = int(t.min_size), int(t.max_size)
    return made


def _warp(kind: _core.Kind, t: Any, channels: int) -> _core.Transform:
    is_v2 = isinstance(t, v2.Transform)
    made = _core.Transform(kind)
    made.v2 = is_v2
    argument_forms.require_float32()
    made.filter = argument_forms.resize_filter(t.interpolation, is_v2=is_v2)
    if made.filter not in _PILLOWS:
        raise NotNative(f"interpolation={t.interpolation!r}")
    made.set_fill(argument_forms.fill_of(t, is_v2=is_v2, channels=channels))
    if not _pillow_computes_as_the_engine(made.filter):
        raise NotNative("this build of Pillow computes it with other roundings")
    return made


def _resize(kind: _core.Kind, t: Any) -> _core.Transform:
    made = _core.Transform(kind)
    argument_forms.require_float32()
    made.filter = argument_forms.resize_filter(t.interpolation, is_v2=True)
    return made


def _set_center(made: _core.Transform, t: Any) -> None:
    if t.center is None:
        return
    if not isinstance(t.center, (list, tuple)):
        raise NotNative(f"center={t.center!r}")
    made.set_center(_numbers(t.center, "center", least=-_FARTHEST))


def _numbers(value: Any, name: str, *, least: float, most: float = _FARTHEST, count: int | None = None) -> list[float]:
    """``count`` numbers between two limits, or as many as there are of up to two."""
    expected = count or min(len(value), 2)
    if len(value) != expected or not all(type(number) in (int, float) and least <= number <= most for number in value):
        raise NotNative(f"{name}={value!r}")
    return [float(number) for number in value]


def _of_floats(value: Any, name: str, least: float = -_FARTHEST) -> tuple[float, float]:
    """Two numbers in order between which a float32 is drawn."""
    low, high = argument_forms.ascending(value, name)
    if not least <= low <= high <= _FARTHEST:
        raise NotNative(f"{name}={value!r}")
    return low, high


@functools.cache
def _pillow_computes_as_the_engine(filter: _core.Filter) -> bool:
    """On values that one rounding more or less would change: a compiler may fuse the arithmetic of another build."""
    edges = np.array([[[255, 0, 255], [0, 255, 1]], [[128, 255, 0], [255, 3, 9]]], dtype=np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    maps: list[tuple[np.ndarray, list[float]]] = []
    for step in range(0, 256, 5):
        maps.append((edges, [1, 0, step / 255, 0, 1, step / 128]))
    for angle in range(12):
        maps.append((noise, _core.affine_map([12, 12], 30.0 * angle + 3, [0, 1], 0.9, [5.0, -7.0])))
        maps.append((noise, [1.1, 0.02 * angle, -2, -0.01 * angle, 0.9, 3, 1e-3 * angle, -2e-3]))
    for array, by in maps:
        method = PIL.Image.Transform.AFFINE if len(by) == 6 else PIL.Image.Transform.PERSPECTIVE
        image = PIL.Image.fromarray(array)
        made = _core.warp(array, by, filter, *image.size, simd=_core.simd_variants()[-1])
        if not np.array_equal(made, np.asarray(image.transform(image.size, method, by, _PILLOWS[filter]))):
            return False
    return True


@functools.cache
def _python_computes_as_the_engine() -> bool:
    """The sines, cosines and tangents of many angles."""
    for step in range(500):
        angle = step * 0.73 - 180
        turn = -math.radians(angle % 360.0)
        expected = [round(math.cos(turn), 15), round(math.sin(turn), 15)]
        if _core.rotation(2, 3, angle, center=(0, 0))[2][:2] != expected:
            return False
        sheared = [step * 0.2, step * 0.1 - 20]
        if _core.affine_map((3, 4), angle, (0, 0), 1.0, sheared) != _inverse((3, 4), angle, (0, 0), 1.0, sheared):
            return False
    return True


def require_warps(filter: _core.Filter) -> None:
    """Raises NotNative where Pillow or Python do not compute warps by angles and maps with the engine's roundings."""
    if not _pillow_computes_as_the_engine(filter):
        raise NotNative("this build of Pillow computes it with other roundings")
    _require_python()


def _require_python() -> None:
    if not _python_computes_as_the_engine():
        raise NotNative("Python's sines are not those of the C library")


def _both(name: str, form: Callable[[Any, int], _core.Transform]) -> dict[type, Callable[[Any, int], _core.Transform]]:
    return {getattr(v1, name): form, getattr(v2, name): form}


# By type: (transform, channels) -> the engine's step.
GEOMETRY_STEPS: dict[type[Any], Callable[[Any, int], _core.Transform]] = {
    **_both("RandomRotation", random_rotation),
    **_both("RandomAffine", random_affine),
    **_both("RandomPerspective", random_perspective),
    v2.RandomZoomOut: random_zoom_out,
    v2.ScaleJitter: scale_jitter,
    v2.RandomShortestSize: random_shortest_size,
    v2.RandomResize: random_resize,
}
# Of those the ones that leave an image's size as it is.
KEEPS_SIZE = (_core.Kind.random_affine, _core.Kind.random_perspective)
