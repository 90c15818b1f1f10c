"""torchvision's RandomErasing -> the engine's form of it, and the values that it writes; and what else is done to finished tensors.

It runs on the finished tensor. transforms.v2 takes PIL images too, which its documentation says it does not; that is not native.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision import tv_tensors

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms import argument_forms, torch_modes
from fastload.transforms.normal_noise import costs_what_the_engine_skips
from fastload.transforms.pixel_values import Pixelwise, Transform

ERASINGS = (v1.RandomErasing, v2.RandomErasing)
# [channels], in the tensor's dtype; None: normal deviates.
Erased = torch.Tensor | None
_SIDE = 16  # of a probe; its channels are filled as the transforms would fill a rectangle


def random_erasing(t: Any, pixelwise: Pixelwise, erased: list[Erased], *, is_gray: bool) -> _core.Transform:
    """Of a tensor of such values; what it erases with is added to those that come before it."""
    made = _core.Transform(_core.Kind.random_erasing)
    made.v2 = type(t) is v2.RandomErasing
    made.p = argument_forms.probability(t.p)
    scale, ratio = argument_forms.ascending(t.scale, "scale"), argument_forms.ascending(t.ratio, "ratio")
    if ratio[0] < 1e-38 or scale[0] < 0:
        raise NotNative(f"scale={t.scale!r}, ratio={t.ratio!r}")
    made.set_scale(scale)
    made.set_log_ratio(*argument_forms.log_of(ratio, t, is_v2=made.v2))
    made.count = len(erased)
    made.is_gray = is_gray
    values = _values_of(t, is_v2=made.v2)
    channels, dtype = pixelwise.table.shape[0], pixelwise.table.dtype
    if values is None:
        if not dtype.is_floating_point:
            raise NotNative(f"noise of {dtype} is what the processor makes of numbers that it cannot hold")
        if not costs_what_the_engine_skips():
            raise NotNative("this torch draws normal deviates in another way")
        made.is_noise = True
        erased.append(None)
        return made
    if len(values) not in (1, channels):
        raise NotNative(f"value={t.value!r}")
    if not dtype.is_floating_point and not all(0 <= value < 256 for value in values):
        raise NotNative(f"value={t.value!r} of {dtype}")
    filled = torch.zeros(channels, 1, 1, dtype=dtype, device="cpu")
    filled[...] = torch.tensor(values, dtype=torch.float32, device="cpu")[:, None, None]
    erased.append(filled.flatten())
    return made


def _values_of(t: Any, *, is_v2: bool) -> list[float] | None:
    """One for all channels or one for each; None: noise."""
    value = t.value
    if value is None if is_v2 else isinstance(value, str):
        return None
    if isinstance(value, (int, float)) and not is_v2:
        return [float(value)]
    if not isinstance(value, (list, tuple)) or not all(isinstance(number, (int, float)) for number in value):
        raise NotNative(f"value={value!r}")
    return [float(number) for number in value]


def erased_after(transform: Transform, before: Pixelwise, erased: Sequence[Erased]) -> list[Erased]:
    """What a point-wise transform makes of values that were erased with."""
    made: list[Erased] = []
    for values in erased:
        if values is None:
            raise NotNative("it changes noise of RandomErasing")
        if torch_modes.flushes_subnormals():
            raise NotNative("its values may depend on torch.set_flush_denormal")
        plain = values[:, None, None].expand(-1, _SIDE, _SIDE).contiguous()
        after = transform(tv_tensors.Image(plain) if before.kind is tv_tensors.Image else plain)
        first = after.as_subclass(torch.Tensor)[:, :1, :1]
        if not torch.equal(first.expand(-1, _SIDE, _SIDE), after.as_subclass(torch.Tensor)):
            raise NotNative("its values depend on more than the one before")
        made.append(first.flatten().clone())
    return made
