"""timm's RandomErasing of single samples -> the engine's form of it."""

from __future__ import annotations

from typing import Any

import torch
from torchvision import tv_tensors

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms.erasing_steps import Erased
from fastload.transforms.normal_noise import costs_what_the_engine_skips
from fastload.transforms.pixel_values import Pixelwise

_MOST_RECTANGLES = 1000
_FARTHEST = 40.0  # of a logarithm: larger ratios are no rectangles


def timm_erasing(t: Any, pixelwise: Pixelwise, erased: list[Erased], *, is_gray: bool) -> _core.Transform:
    """Of a tensor of such values; what it erases with is added to those that come before it."""
    if pixelwise.kind not in (torch.Tensor, tv_tensors.Image):
        raise NotNative("it erases in tensors, and this is an array")
    if str(t.device) != "cpu":
        raise NotNative(f"device={t.device!r}")
    made = _core.Transform(_core.Kind.timm_erasing)
    made.draws_python = True
    made.p = _number(t.probability, "probability", -1e6, 1e6)
    made.set_scale((_number(t.min_area, "min_area", 0, 1e6), _number(t.max_area, "max_area", 0, 1e6)))
    if type(t.log_aspect_ratio) is not tuple or len(t.log_aspect_ratio) != 2:
        raise NotNative(f"log_aspect_ratio={t.log_aspect_ratio!r}")
    low, high = (_number(end, "log_aspect_ratio", -_FARTHEST, _FARTHEST) for end in t.log_aspect_ratio)
    made.set_log_ratio_in_double((low, high))
    counts = t.min_count, t.max_count
    if not all(type(count) is int and 0 <= count <= _MOST_RECTANGLES for count in counts) or counts[0] > counts[1]:
        raise NotNative(f"min_count={t.min_count!r}, max_count={t.max_count!r}")
    made.set_rectangles(*counts)
    made.count = len(erased)
    made.is_gray = is_gray
    table = pixelwise.table
    made.is_noise, made.is_plain = bool(t.per_pixel or t.rand_color), not t.per_pixel
    if made.is_noise and table.dtype != torch.float32:
        raise NotNative(f"noise of {table.dtype}")
    if made.is_noise and not costs_what_the_engine_skips():
        raise NotNative("this torch draws normal deviates in another way")
    erased.append(None if made.is_noise else torch.zeros(table.shape[0], dtype=table.dtype, device="cpu"))
    return made


def _number(value: Any, name: str, least: float, most: float) -> float:
    if type(value) not in (int, float) or not least <= value <= most:
        raise NotNative(f"{name}={value!r}")
    return float(value)
