"""torchvision's AutoAugment, RandAugment and TrivialAugmentWide -> the engine's form of each.

What an operation does at each strength comes from torchvision's own table of strengths, which is asked for it. What is done is
what ``_apply_op`` (transforms) and ``_apply_image_or_video_transform`` (transforms.v2) do to a PIL image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms import argument_forms
from fastload.transforms.code_world import Look
from fastload.transforms.colour_steps import require_pillow
from fastload.transforms.geometry_steps import require_warps

POLICIES = (
    *(v1.AutoAugment, v1.RandAugment, v1.TrivialAugmentWide),
    *(v2.AutoAugment, v2.RandAugment, v2.TrivialAugmentWide),
)
_AUTO_BINS = 10  # of AutoAugment
_WARPS = (_core.Filter.nearest, _core.Filter.bilinear, _core.Filter.bicubic)
# Height and width for which tables are asked, to see how strengths depend on them.
_SIZES = ((224, 224), (331, 1000), (61, 47))
# What a shift grows to: the number times the side of the image, divided by the other.
_SHARES = ((150.0 / 331.0, 1.0), (1.0, 3.0))
_FACTORS = {"Brightness": "brightness", "Color": "saturation", "Contrast": "contrast", "Sharpness": "sharpness"}


def policy(t: Any, *, is_gray: bool) -> _core.Transform:
    """The engine's transform of such a policy."""
    argument_forms.require_float32()
    is_v2 = isinstance(t, v2.Transform)
    kind = type(t)
    is_auto, is_trivial = (
        kind in (v1.AutoAugment, v2.AutoAugment),
        kind in (v1.TrivialAugmentWide, v2.TrivialAugmentWide),
    )
    bins = _AUTO_BINS if is_auto else _count(t.num_magnitude_bins, "num_magnitude_bins", least=1)
    table = _Table(t, bins)
    count = 1
    if is_auto:
        policies = t._policies if is_v2 else t.policies
        choices = [[table.operation(name, i, p=p) for name, p, i in policy] for policy in policies]
    elif is_trivial:
        choices = [[table.operation(name, None, is_drawn=True)] for name in table.names]
    else:
        choices = [[table.operation(name, t.magnitude)] for name in table.names]
        count = max(0, _count(t.num_ops, "num_ops", least=-math.inf))
    made = _core.Transform(_core.Kind.policy)
    made.v2 = is_v2
    made.count = count * max(map(len, choices))
    made.policy = _core.Policy(
        choices,
        v2=is_v2,
        is_auto=is_auto,
        count=count,
        filter=_filter(t, is_v2=is_v2),
        fill=argument_forms.fill_of(t, is_v2=is_v2, channels=1 if is_gray else 3),
    )
    return made


def rests_on(t: Any) -> list[Look]:
    """What is read of the class beside its code: the table of transforms.v2, which could be changed in place."""
    table = getattr(type(t), "_AUGMENTATION_SPACE", {})
    seen = [*table.items()]
    return [(lambda: [*table.items()] == seen, True)]


class _Table:
    """torchvision's operations, their strengths, and which of them have a sign."""

    def __init__(self, t: Any, bins: int) -> None:
        self.bins = bins
        self.is_v2 = isinstance(t, v2.Transform)
        self._by_size = [self._of_size(t, height, width) for height, width in _SIZES]
        self.names = [*self._by_size[0]]

    def _of_size(self, t: Any, height: int, width: int) -> dict[str, tuple[torch.Tensor | None, bool]]:
        if self.is_v2:
            table = t._AUGMENTATION_SPACE
            return {name: (strengths(self.bins, height, width), sign) for name, (strengths, sign) in table.items()}
        size = () if type(t) is v1.TrivialAugmentWide else ((height, width),)
        table = t._augmentation_space(self.bins, *size)
        return {name: (strengths if strengths.ndim else None, sign) for name, (strengths, sign) in table.items()}

    def operation(self, name: str, magnitude: int | None, *, p: float = 1.0, is_drawn: bool = False) -> _core.Operation:
        """At one of its strengths, by number; ``is_drawn``: at all of them, of which one is drawn, where there are any."""
        strengths, is_signed = self._by_size[0][name]
        at: Sequence[int] = (0,)
        if strengths is None:
            is_drawn = False
        elif is_drawn:
            at = range(len(strengths))
        elif magnitude is None:
            raise NotNative(f"no strength of {name}")
        else:
            at = (range(len(strengths))[magnitude],)
        effects = [effect for i in at for effect in self._effects(name, i, is_signed=is_signed)]
        return _core.Operation(
            effects, is_signed=is_signed, magnitudes=len(at) if is_drawn else 0, p=argument_forms.probability(p)
        )

    def _effects(self, name: str, i: int, *, is_signed: bool) -> list[_core.Effect]:
        strengths = [found for table in self._by_size if (found := table[name][0]) is not None]
        if not strengths:
            return [_effect(name, 0.0, is_v2=self.is_v2)] * (2 if is_signed else 1)
        signs = (False, True) if is_signed else (False,)
        if all(torch.equal(strengths[0], other) for other in strengths[1:]):
            strength = float(strengths[0][i])
            return [_effect(name, -strength if is_negative else strength, is_v2=self.is_v2) for is_negative in signs]
        if name not in ("TranslateX", "TranslateY"):
            raise NotNative(f"{name} depends on the size of the image")
        is_vertical = name == "TranslateY"
        times, divisor = self._share(strengths, is_vertical=is_vertical)
        return [
            _core.Effect.spread(
                is_vertical=is_vertical, is_negative=is_negative, times=times, divisor=divisor, bins=self.bins, bin=i
            )
            for is_negative in signs
        ]

    def _share(self, strengths: Sequence[torch.Tensor], *, is_vertical: bool) -> tuple[float, float]:
        sides = [height if is_vertical else width for height, width in _SIZES]
        for times, divisor in _SHARES:
            ends = (times * side / divisor for side in sides)
            if all(map(torch.equal, strengths, (torch.linspace(0.0, end, self.bins, device="cpu") for end in ends))):
                return times, divisor
        raise NotNative("this torchvision shifts by another share of the image")


def _effect(name: str, strength: float, *, is_v2: bool) -> _core.Effect:
    if name == "Identity":
        return _core.Effect.nothing()
    if name in _GEOMETRY:
        return _GEOMETRY[name](strength)
    return _core.Effect.recolour(_recolour(name, strength, is_v2=is_v2))


def _recolour(name: str, strength: float, *, is_v2: bool) -> _core.Recolour:
    if name in _FACTORS:
        require_pillow(_FACTORS[name])
        return _core.Recolour(getattr(_core.Change, _FACTORS[name]), factor=1.0 + strength)
    if name == "Posterize":
        if not 0 <= int(strength) <= 8:
            raise NotNative(f"it posterizes to {int(strength)} bits")
        return _core.Recolour(_core.Change.posterize, level=256 - 2 ** (8 - int(strength)))
    if name == "Solarize":
        threshold = 255.0 * strength if is_v2 else strength
        return _core.Recolour(_core.Change.solarize, level=math.ceil(min(max(threshold, 0), 256)))
    if name not in _PLAIN:
        raise NotNative(f"this torchvision has an operation {name}")
    return _core.Recolour(_PLAIN[name])


_GEOMETRY: dict[str, Callable[[float], _core.Effect]] = {
    "ShearX": lambda strength: _core.Effect.shear(math.degrees(math.atan(strength)), 0.0),
    "ShearY": lambda strength: _core.Effect.shear(0.0, math.degrees(math.atan(strength))),
    "TranslateX": lambda strength: _core.Effect.translate(int(strength), 0),
    "TranslateY": lambda strength: _core.Effect.translate(0, int(strength)),
    "Rotate": _core.Effect.rotate,
}
_PLAIN = {
    "AutoContrast": _core.Change.autocontrast,
    "Equalize": _core.Change.equalize,
    "Invert": _core.Change.solarize,
}


def _filter(t: Any, *, is_v2: bool) -> _core.Filter:
    made = argument_forms.resize_filter(t.interpolation, is_v2=is_v2)
    if made not in _WARPS:
        raise NotNative(f"interpolation={t.interpolation!r}")
    require_warps(made)
    return made


def _count(value: Any, name: str, *, least: float) -> int:
    if type(value) is not int or not least <= value < 1000:
        raise NotNative(f"{name}={value!r}")
    return value
