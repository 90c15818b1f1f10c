"""torchvision's GaussianBlur -> the engine's form of it.

torchvision convolves in float32 and rounds. Where the last bit may decide (see csrc/image/gaussian_blur.h), the engine sums as
torch does, if that is a chain of fused multiply-adds, row by row; oneDNN's kernels for one image are. Whether it is, is tried here.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
import torchvision.transforms.v2 as v2

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms import argument_forms, torch_blur
from fastload.transforms.code_world import Look

_MOST = 127  # of a kernel's sides; see csrc/image/gaussian_blur.h
_SIZES = ((24, 19), (61, 40), (96, 131))  # that are tried, height and width
_OF_ONE_CHANNEL = 5  # from where torch gives all of its images to oneDNN


def gaussian_blur(t: Any, *, is_gray: bool) -> _core.Transform:
    made = _core.Transform(_core.Kind.gaussian_blur)
    argument_forms.require_float32()
    width, height = argument_forms.height_width(t.kernel_size)
    if not (width % 2 and height % 2 and max(width, height) <= _MOST):
        raise NotNative(f"kernel_size={t.kernel_size!r}")
    low, high = argument_forms.ascending(t.sigma, "sigma")
    if not 1e-3 <= low <= high <= 1e3:
        raise NotNative(f"sigma={t.sigma!r}")
    settings = _settings()
    if settings[2] not in ("none", "ieee") or settings[3]:
        raise NotNative("torch convolves with less than float32 now")
    made.set_range(0, low, high)
    made.blur = _core.GaussianBlur(
        (width, height),
        v2=isinstance(t, v2.Transform),
        is_gray=is_gray,
        in_order=_sums_in_order(width, height, 1 if is_gray else 3, settings),
    )
    return made


def rests_on() -> list[Look]:
    """torch's settings, on which its convolutions depend."""
    now = _settings()
    return [(lambda: _settings() == now, True)]


def _settings() -> tuple[Any, ...]:
    precision = getattr(torch._C, "_get_fp32_precision_getter", None)
    deterministic = getattr(torch._C, "_get_mkldnn_deterministic", None)
    return (
        torch._C._get_mkldnn_enabled(),
        deterministic and deterministic(),
        precision("mkldnn", "conv") if precision else "none",
        torch.is_autocast_enabled("cpu"),
    )


@functools.cache
def _sums_in_order(width: int, height: int, channels: int, settings: tuple[Any, ...]) -> bool:
    if channels == 1 and min(width, height) < _OF_ONE_CHANNEL:
        return False  # its small images are convolved in another way
    random = np.random.default_rng(0)
    kernel = torch_blur.kernel(width, height, 0.3 * max(width, height), is_v2=False)
    weights = torch.from_numpy(kernel).expand(channels, 1, height, width)
    for rows, columns in _SIZES:
        values = random.integers(0, 256, (rows + height, columns + width, channels)).astype(np.float32)
        image = torch.from_numpy(values).permute(2, 0, 1)[None]
        sums = torch.nn.functional.conv2d(image, weights, groups=channels)[0].numpy()
        for channel in range(channels):
            if not np.array_equal(sums[channel], _core.sums_in_order(values[:, :, channel], kernel)):
                return False
    return True
