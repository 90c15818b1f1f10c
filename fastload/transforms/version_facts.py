"""Facts about the installed torch and Pillow on which bits of pixels and draws depend."""

from __future__ import annotations

import functools
from fractions import Fraction

import numpy as np
import PIL
import torch

from fastload import _core


def vertical_first() -> _core.VerticalFirst:
    """When the installed Pillow resizes vertically first."""
    major, minor = PIL.__version__.split(".")[:2]
    return _core.vertical_first_of(int(major), int(minor))


@functools.cache
def uniform_is_fused() -> bool:
    """Whether this build of torch computes ``uniform_(a, b)`` as one fused multiply-add.

    It does where it was compiled for AVX2 and up, and the last bit of 20 to 50 % of the draws depends on it. Decided by
    drawing: exact rational arithmetic tells both forms apart.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    words = _core.Mt19937(0)
    low, high = np.float32(0.08), np.float32(1.0)
    width = high - low
    agree = {"fused": 0, "separate": 0}
    for _ in range(64):
        drawn = torch.empty(1, dtype=torch.float32, device="cpu").uniform_(0.08, 1.0, generator=generator).numpy()[0]
        x = np.float32((words.next() & 0xFFFFFF) * 2.0**-24)
        exact = Fraction(float(x)) * Fraction(float(width)) + Fraction(float(low))
        agree["fused"] += bool(drawn == _round_to_float32(exact))
        agree["separate"] += bool(drawn == np.float32(x * width) + low)
    return agree["fused"] >= agree["separate"]


def _round_to_float32(value: Fraction) -> np.float32:
    guess = np.float32(float(value))
    candidates = (np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf)))
    return min(candidates, key=lambda c: abs(Fraction(float(c)) - value))
