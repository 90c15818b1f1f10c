"""torchvision's AugMix -> the engine's form of it.

It does its operations on tensors of bytes, with torch's roundings and not with Pillow's. So what an operation does at each strength
is asked of torchvision's own functions (tables of values, matrices), and the engine's operations are compared with them once, on
images of the size: how products of matrices are rounded depends on torch's build and on the processor.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torchvision.transforms as v1
from torchvision.transforms import _functional_tensor, autoaugment
from torchvision.transforms import functional as F

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms import argument_forms

_BLENDED = {"Color": "saturation", "Contrast": "contrast", "Sharpness": "sharpness"}
_TABLES = ("Brightness", "Posterize", "Solarize")
_MODES = {v1.InterpolationMode.NEAREST: True, v1.InterpolationMode.BILINEAR: False}
_MOST_CHAINS, _MOST_DEPTH = 100, 100
_MOST_PIXELS = 2**24 // 255  # the sum of whose grays is exact in float32
Effect = tuple[str, float]  # name and strength


def aug_mix(t: Any, size: tuple[int, int] | None, *, is_gray: bool) -> _core.Transform:
    """Of images of one size, height and width."""
    argument_forms.require_float32()
    if size is None:
        raise NotNative("the size of the image is not known before it is read")
    if t.fill is not None:
        raise NotNative(f"fill={t.fill!r}")
    if t.interpolation not in _MODES:
        raise NotNative(f"interpolation={t.interpolation!r}")
    if type(t.alpha) is not float or not 0 < t.alpha < 1e30:
        raise NotNative(f"alpha={t.alpha!r}")
    _require_whole(t.mixture_width, "mixture_width", 1, _MOST_CHAINS)
    _require_whole(t.chain_depth, "chain_depth", -_MOST_DEPTH, _MOST_DEPTH)
    _require_whole(t.severity, "severity", 1, t._PARAMETER_MAX)
    height, width = size
    if height * width > _MOST_PIXELS:
        raise NotNative("the mean of so many pixels depends on the order of their sum")
    is_nearest = _MODES[t.interpolation]
    is_fused = _way_of_grids(height, width, t.interpolation)
    if not _colours_agree():
        raise NotNative("this torch computes colours of tensors with other roundings")
    table = t._augmentation_space(t._PARAMETER_MAX, size)
    made = _core.Transform(_core.Kind.aug_mix)
    made.aug_mix = _core.AugMix(
        [_operation(name, strengths, is_signed, t.severity, size) for name, (strengths, is_signed) in table.items()],
        size=size,
        is_gray=is_gray,
        is_fused=is_fused,
        is_nearest=is_nearest,
        alpha=t.alpha,
        chains=t.mixture_width,
        depth=t.chain_depth,
    )
    return made


def weights(generator: _core.Mt19937, alpha: float, chains: int) -> tuple[list[float], _core.Mt19937]:
    """What AugMix draws from there first: the weight of the image and that of each chain; and the generator behind it.

    The core calls it, on any thread.
    """
    torchs = torch.Generator("cpu")
    state = torchs.get_state()
    generator.export_torch(state.numpy())
    torchs.set_state(state)
    of_both = torch._sample_dirichlet(_alphas(alpha, 2), generator=torchs)
    of_chains = torch._sample_dirichlet(_alphas(alpha, chains), generator=torchs) * of_both[:, 1].view(1, -1)
    return [*of_both[:, 0].tolist(), *of_chains[0].tolist()], _core.Mt19937.from_torch(torchs.get_state().numpy())


def _alphas(alpha: float, count: int) -> torch.Tensor:
    return torch.tensor([alpha] * count, dtype=torch.float32, device="cpu").expand(1, -1)


def _operation(
    name: str, strengths: torch.Tensor, is_signed: bool, severity: int, size: tuple[int, int]
) -> _core.MixOperation:
    drawn = [float(strength) for strength in strengths[:severity]] if strengths.ndim else [0.0]
    signed = [s * sign for s in drawn for sign in ((1.0, -1.0) if is_signed else (1.0,))]
    effects = [tensor_op(name, strength, size) for strength in signed]
    return _core.MixOperation(effects, is_signed=is_signed, magnitudes=len(drawn) if strengths.ndim else 0)


def tensor_op(name: str, strength: float, size: tuple[int, int]) -> _core.TensorOp:
    """The engine's form of an operation at one strength, of tensors of this height and width."""
    if name in _BLENDED:
        ratio = 1.0 + strength
        return getattr(_core.TensorOp, _BLENDED[name])(ratio, 1.0 - ratio)
    if name in _TABLES:
        values = torch.arange(256, dtype=torch.uint8, device="cpu").view(1, 1, 16, 16).expand(1, 3, 16, 16).contiguous()
        after = autoaugment._apply_op(values, name, strength, v1.InterpolationMode.NEAREST, None)
        return _core.TensorOp.table(after[0, 0].flatten().tolist())
    if name in ("AutoContrast", "Equalize"):
        return _core.TensorOp.autocontrast() if name == "AutoContrast" else _core.TensorOp.equalize()
    if name not in _MATRICES:
        raise NotNative(f"this torchvision has an operation {name}")
    return _core.TensorOp.warp(_MATRICES[name](strength, size))


def _matrix(
    size: tuple[int, int],
    *,
    angle: float = 0.0,
    by: Sequence[float] = (0.0, 0.0),
    shear: Sequence[float] = (0.0, 0.0),
    corner: bool = False,
) -> list[float]:
    height, width = size
    center = [1.0 * (0 - side * 0.5) for side in (width, height)] if corner else [0.0, 0.0]
    return F._get_inverse_affine_matrix(center, angle, [1.0 * part for part in by], 1.0, list(shear))


_MATRICES: dict[str, Callable[[float, tuple[int, int]], list[float]]] = {
    "ShearX": lambda s, size: _matrix(size, shear=(math.degrees(math.atan(s)), 0.0), corner=True),
    "ShearY": lambda s, size: _matrix(size, shear=(0.0, math.degrees(math.atan(s))), corner=True),
    "TranslateX": lambda s, size: _matrix(size, by=(int(s), 0)),
    "TranslateY": lambda s, size: _matrix(size, by=(0, int(s))),
    "Rotate": lambda s, size: _matrix(size, angle=-s),
}


@functools.lru_cache(maxsize=64)
def _way_of_grids(height: int, width: int, interpolation: v1.InterpolationMode) -> bool:
    """Whether torch multiplies grids of this size with fused multiply-adds."""
    is_fused = not all(_is_rounded_twice(height, width, degrees) for degrees in (11.3, -3.8, 16.7, -30.0))
    image = _noise(height, width)
    tried = [("Rotate", s) for s in (30.0, -7.3, 0.0)]
    tried += [(name, s) for name in ("ShearX", "ShearY") for s in (0.3, -0.11, 0.2)]
    tried += [("TranslateX", width / 3.0), ("TranslateY", -height / 7.0)]
    for name, strength in tried:
        operation = tensor_op(name, strength, (height, width))
        made = _core.tensor_op(image, operation, is_fused=is_fused, is_nearest=_MODES[interpolation])
        if not np.array_equal(made, _by_torchvision(image, name, strength, interpolation)):
            raise NotNative("this torch computes grids with other roundings")
    return is_fused


def _is_rounded_twice(height: int, width: int, degrees: float) -> bool:
    """Whether a grid is rounded after each product and sum. It tells where most pixels of an image would be the same either way."""
    matrix = F._get_inverse_affine_matrix([0.0, 0.0], degrees / 3, [0.0, 0.0], 1.0, [degrees, 0.0])
    theta = torch.tensor(matrix).reshape(1, 2, 3)
    grid = _functional_tensor._gen_affine_grid(theta, w=width, h=height, ow=width, oh=height)[0].numpy()
    across, down, shift = (theta[0].T / torch.tensor([0.5 * width, 0.5 * height])).numpy()
    x = np.arange(width, dtype=np.float32)[None, :, None] - np.float32(width / 2 - 0.5)
    y = np.arange(height, dtype=np.float32)[:, None, None] - np.float32(height / 2 - 0.5)
    return np.array_equal(grid, x * across + y * down + shift)


@functools.cache
def _colours_agree() -> bool:
    image = _noise(61, 83)
    return all(
        np.array_equal(
            _core.tensor_op(image, tensor_op(name, strength, (61, 83))), _by_torchvision(image, name, strength)
        )
        for name in (*_BLENDED, "AutoContrast", "Equalize")
        for strength in (-0.9, -0.37, 0.0, 0.1, 0.63, 0.9)
    )


def _by_torchvision(
    image: np.ndarray, name: str, strength: float, interpolation: v1.InterpolationMode = v1.InterpolationMode.NEAREST
) -> np.ndarray:
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous()
    return autoaugment._apply_op(tensor, name, strength, interpolation, None)[0].permute(1, 2, 0).numpy()


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(3, 250, (height, width, 3), dtype=np.uint8)


def _require_whole(value: Any, name: str, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise NotNative(f"{name}={value!r}")
