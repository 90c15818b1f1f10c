"""Arguments of torchvision's transforms, in each form that users write them -> the engine's numbers.

Each function raises NotNative for a form that torchvision would refuse, or that the engine does not compute as torchvision does.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
from torchvision.transforms.functional import pil_modes_mapping
from torchvision.transforms.v2.functional import _geometry as v2_geometry

from fastload import _core
from fastload.reports import NotNative

_FILTERS = {
    PIL.Image.Resampling.NEAREST: _core.Filter.nearest,
    PIL.Image.Resampling.BOX: _core.Filter.box,
    PIL.Image.Resampling.BILINEAR: _core.Filter.bilinear,
    PIL.Image.Resampling.HAMMING: _core.Filter.hamming,
    PIL.Image.Resampling.BICUBIC: _core.Filter.bicubic,
    PIL.Image.Resampling.LANCZOS: _core.Filter.lanczos,
}
_PAD_MODES = {
    "constant": _core.PadMode.constant,
    "edge": _core.PadMode.edge,
    "reflect": _core.PadMode.reflect,
    "symmetric": _core.PadMode.symmetric,
}
# No image that Pillow could make has a longer side, and sums of some of them stay within 32 bits.
_LONGEST = 2**24


def require_float32() -> None:
    """torch's draws are those of the engine only with this default."""
    if torch.get_default_dtype() != torch.float32:
        raise NotNative(f"torch draws differently while its default dtype is {torch.get_default_dtype()}")


def is_side(value: Any) -> bool:
    """Whether it is a length in pixels that torchvision and Pillow take as an integer."""
    return type(value) in (int, np.int64) and 0 < value <= _LONGEST


def height_width(size: Any) -> tuple[int, int]:
    """Of a transform whose constructor has made a pair of ``size``."""
    if not isinstance(size, (list, tuple)) or len(size) != 2 or not all(map(is_side, size)):
        raise NotNative(f"size={size!r}")
    return int(size[0]), int(size[1])


def short_side_or_both(size: Any) -> list[int]:
    """Of a resize: one number, the short side, or height and width."""
    sides = [size] if isinstance(size, int) else size
    if not isinstance(sides, (list, tuple)) or len(sides) not in (1, 2) or not all(map(is_side, sides)):
        raise NotNative(f"size={size!r}")
    return [int(side) for side in sides]


def ascending(value: Any, name: str) -> tuple[float, float]:
    """Two numbers, the first not above the second."""
    if len(value) != 2 or not all(isinstance(number, (int, float)) and abs(number) < 1e38 for number in value):
        raise NotNative(f"{name}={value!r}")
    if not value[0] <= value[1]:
        raise NotNative(f"{name}={value!r}")
    return float(value[0]), float(value[1])


def resize_filter(interpolation: Any, *, is_v2: bool) -> _core.Filter:
    """An enum or one of Pillow's integers; for transforms.v2 of newer torchvision also the enum's text."""
    if isinstance(interpolation, str) and not is_v2:
        raise NotNative(f"interpolation={interpolation!r}")
    try:
        return _FILTERS[pil_modes_mapping[v2_geometry._check_interpolation(interpolation)]]
    except (KeyError, ValueError) as error:
        raise NotNative(f"interpolation={interpolation!r}") from error


def probability(p: Any) -> float:
    """A number or a tensor of one, as ``torch.rand(1) < p`` compares with it: in float32."""
    require_float32()
    if isinstance(p, torch.Tensor) and p.numel() == 1 and (p.ndim == 0 or p.dtype != torch.float64):
        return _in_float32(float(p.detach()))
    if not isinstance(p, (int, float, np.number, np.bool_)) or isinstance(p, np.complexfloating):
        raise NotNative(f"p={p!r}")
    return _in_float32(float(p))


def _in_float32(number: float) -> float:
    return torch.tensor(number, dtype=torch.float32, device="cpu").item()


def probability_in_double(p: Any) -> float:
    """A number or a tensor of one, as ``torch.rand(1).item() < p`` compares with it: no draw is rounded."""
    require_float32()
    if isinstance(p, torch.Tensor):
        is_exact = p.numel() == 1 and p.dtype in (torch.float32, torch.float64, torch.int64)
    else:
        is_exact = isinstance(p, (int, float, np.float32, np.integer, np.bool_))
    if not is_exact:
        raise NotNative(f"p={p!r}")
    return float(p)


@functools.cache
def numpy_errs(mode: Any, before: int, after: int) -> bool:
    """NumPy 1, which torchvision pads with, errs where some borders of two widths are wider than the image. Do these?"""
    if mode not in ("reflect", "symmetric") or not before or not after or before == after:
        return False
    if max(before, after) > 256:  # too many sizes to ask for
        return numpy_errs(mode, 1, 8)
    twice = mode == "symmetric"  # whether the outermost pixel is there twice
    for size in range(2, max(before, after)):
        row = np.arange(size)
        period = np.concatenate([row, row[::-1] if twice else row[-2:0:-1]])
        if not np.array_equal(
            np.pad(row, (before, after), mode), np.take(period, range(-before, size + after), mode="wrap")
        ):
            return True
    return False


def pad_mode(padding_mode: Any, sides: Sequence[int] = (0, 0, 0, 0)) -> _core.PadMode:
    """One of torchvision's four names; the engine reflects as NumPy 2 does. ``sides``: left, top, right, bottom."""
    if not isinstance(padding_mode, str) or padding_mode not in _PAD_MODES:
        raise NotNative(f"padding_mode={padding_mode!r}")
    left, top, right, bottom = sides
    if numpy_errs(padding_mode, left, right) or numpy_errs(padding_mode, top, bottom):
        raise NotNative(f"NumPy {np.__version__} errs where small images get such borders")
    return _PAD_MODES[padding_mode]


def fill_of(transform: Any, *, is_v2: bool, channels: int) -> list[int]:
    """Red, green and blue (the same in each for one channel) of what a PIL image is filled with."""
    fill = transform.fill
    if is_v2:  # by type of the input; made when the transform was
        by_type = transform._fill
        fill = by_type.get(PIL.Image.Image, by_type.get("others"))
    values = fill if isinstance(fill, (list, tuple)) else [0 if fill is None else fill]
    if len(values) not in (1, channels) or not all(isinstance(value, (int, float)) for value in values):
        raise NotNative(f"fill={transform.fill!r}")
    if not all(abs(value) < 2**31 for value in values):
        raise NotNative(f"fill={transform.fill!r}")
    numbers = [min(max(int(value), 0), 255) for value in values]  # as Pillow clips them
    return numbers if len(numbers) == 3 else numbers * 3


def sides_of(padding: Any, *, in_pairs: bool = False) -> list[int]:
    """Left, top, right, bottom of one number for all, one for left and right and one for top and bottom, or four.

    ``in_pairs``: always left, right, top, bottom, as RandomCrop of transforms.v2 keeps them.
    """
    sides = [padding] if isinstance(padding, int) else padding
    if (
        not isinstance(sides, (list, tuple))
        or len(sides) not in ([4] if in_pairs else [1, 2, 4])
        or not all(type(side) is int and 0 <= side <= _LONGEST for side in sides)
    ):
        raise NotNative(f"padding={padding!r}")
    if in_pairs:
        left, right, top, bottom = sides
        return [left, top, right, bottom]
    return list(sides) * (4 // len(sides))


def log_of(ratio: Sequence[float], transform: Any, *, is_v2: bool) -> list[float]:
    """The logarithms between which the aspect ratio is drawn; transforms.v2 keeps those that it was made with."""
    logs = transform._log_ratio if is_v2 else torch.log(torch.tensor(ratio, dtype=torch.float32, device="cpu"))
    low, high = logs.tolist()
    return [low, high]
