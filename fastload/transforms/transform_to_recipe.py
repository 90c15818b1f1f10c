"""One torchvision transform after the other -> the engine's recipe and the table of values.

To make another transform native: a method that gives the engine's form of it (csrc/recipe draws and plans it), and its line in
``_GEOMETRY``; for one that changes values pixel by pixel, its line in ``_POINT_WISE``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms import argument_forms
from fastload.transforms.pixel_values import GRAY_BYTES, RGB_BYTES, Transform, table_of
from fastload.transforms.replaced_functions import keep_originals, why_altered
from fastload.transforms.version_facts import uniform_is_fused, vertical_first


class RecipeBuilder:
    """The native part of a chain of transforms so far; :meth:`take` adds one transform or says why not."""

    def __init__(self) -> None:
        self.geometry: list[_core.Transform] = []
        self.size: tuple[int, int] | None = None
        self.draws_between = False  # uses torch's uniform_(a, b)
        self.gray = False
        self.values: list[Transform] = []
        self.pixelwise = RGB_BYTES

    def take(self, transform: Transform) -> None:
        """Adds it.

        Raises:
            NotNative: why the engine does not do it.
        """
        if altered := why_altered(transform):
            raise NotNative(altered)
        kind = type(transform)
        if kind in _NOTHING:
            return
        if kind in _POINT_WISE:
            self._take_point_wise(transform)
        elif kind in _GEOMETRY:
            if self.values and kind not in _ALSO_ON_TENSORS:
                raise NotNative("after the conversion to a tensor torchvision computes it differently")
            _GEOMETRY[kind](self, transform)
        else:
            raise NotNative("not one of the transforms that the engine knows")

    def _take_point_wise(self, transform: Transform) -> None:
        values = [*self.values, transform]
        made = table_of(values, gray=self.gray)
        if made is not None:
            self.pixelwise, self.values = made, values

    def recipe(self) -> _core.Recipe:
        """The geometry of all that was taken, in the engine's form."""
        return _core.Recipe(
            self.geometry,
            fused_uniform=uniform_is_fused() if self.draws_between else True,
            vertical_first=vertical_first(),
        )

    def _new(self, kind: _core.Kind, transform: Transform) -> _core.Transform:
        """A new engine transform, not yet in the chain."""
        made = _core.Transform(kind)
        made.v2 = type(transform).__module__.startswith(v2.__name__)
        return made

    def _random_resized_crop(self, t: Any) -> None:
        made = self._new(_core.Kind.random_resized_crop, t)
        made.height, made.width = argument_forms.height_width(t.size)
        made.filter = argument_forms.resize_filter(t.interpolation, is_v2=made.v2)
        scale, ratio = argument_forms.ascending(t.scale, "scale"), argument_forms.ascending(t.ratio, "ratio")
        if ratio[0] < 1e-38 or scale[0] < 0:
            raise NotNative(f"scale={t.scale!r}, ratio={t.ratio!r}")
        argument_forms.require_float32()
        made.set_scale(scale)
        made.set_ratio(ratio)
        made.set_log_ratio(*argument_forms.log_of(ratio, t, is_v2=made.v2))
        self.draws_between = True
        self._append(made, (made.height, made.width))

    def _resize(self, t: Any) -> None:
        made = self._new(_core.Kind.resize, t)
        made.filter = argument_forms.resize_filter(t.interpolation, is_v2=made.v2)
        if t.max_size is not None and not argument_forms.is_side(t.max_size):
            raise NotNative(f"max_size={t.max_size!r}")
        made.max_size = int(t.max_size or 0)
        if t.size is None and made.v2 and made.max_size:  # the long side
            self._append(made, None)
            return
        size = argument_forms.short_side_or_both(t.size)
        if len(size) == 2:
            if made.max_size:
                raise NotNative("max_size with both sides given")
            made.height, made.width = size
            self._append(made, (size[0], size[1]))
            return
        if 0 < made.max_size <= size[0]:
            raise NotNative(f"max_size={t.max_size!r} is not above size={t.size!r}")
        made.width = size[0]
        self._append(made, None)

    def _center_crop(self, t: Any) -> None:
        made = self._new(_core.Kind.center_crop, t)
        made.height, made.width = argument_forms.height_width(t.size)
        self._append(made, (made.height, made.width))

    def _random_crop(self, t: Any) -> None:
        made = self._new(_core.Kind.random_crop, t)
        made.height, made.width = argument_forms.height_width(t.size)
        made.pad_if_needed = bool(t.pad_if_needed)
        made.padded = t.padding is not None
        if made.padded:
            made.set_padding(argument_forms.sides_of(t.padding, in_pairs=made.v2))
        if made.padded or made.pad_if_needed:
            self._pad_with(made, t)
        self._append(made, (made.height, made.width))

    def _pad(self, t: Any) -> None:
        made = self._new(_core.Kind.pad, t)
        left, top, right, bottom = argument_forms.sides_of(t.padding)
        made.set_padding([left, top, right, bottom])
        self._pad_with(made, t)
        self._append(made, self.size and (self.size[0] + top + bottom, self.size[1] + left + right))

    def _pad_with(self, made: _core.Transform, t: Any) -> None:
        made.pad_mode = argument_forms.pad_mode(t.padding_mode)
        made.set_fill(argument_forms.fill_of(t, is_v2=made.v2, channels=1 if self.gray else 3))

    def _flip(self, kind: _core.Kind, t: Any) -> None:
        made = self._new(kind, t)
        made.p = argument_forms.probability(t.p)
        self._append(made, self.size)

    def _grayscale(self, t: Any) -> None:
        if t.num_output_channels not in (1, 3):
            raise NotNative(f"num_output_channels={t.num_output_channels!r}")
        self._append(self._new(_core.Kind.grayscale, t), self.size)
        if t.num_output_channels == 1:
            self.gray = True
            self.pixelwise = GRAY_BYTES
        elif self.gray:
            self.gray = False
            self.pixelwise = RGB_BYTES

    def _random_grayscale(self, t: Any) -> None:
        made = self._new(_core.Kind.random_grayscale, t)
        made.p = argument_forms.probability(t.p)
        self._append(made, self.size)

    def _rgb(self, t: Any) -> None:
        if self.gray and self.values:
            raise NotNative("after the conversion to a tensor it changes the number of channels")
        if self.gray:
            self.gray = False
            self.pixelwise = RGB_BYTES

    def _append(self, made: _core.Transform, size: tuple[int, int] | None) -> None:
        self.geometry.append(made)
        self.size = size


def _of(name: str) -> tuple[type, type]:
    return getattr(v1, name), getattr(v2, name)


_GEOMETRY: dict[type, Callable[[RecipeBuilder, Any], None]] = {
    **dict.fromkeys(_of("RandomResizedCrop"), RecipeBuilder._random_resized_crop),
    **dict.fromkeys(_of("Resize"), RecipeBuilder._resize),
    **dict.fromkeys(_of("CenterCrop"), RecipeBuilder._center_crop),
    **dict.fromkeys(_of("RandomCrop"), RecipeBuilder._random_crop),
    **dict.fromkeys(
        _of("RandomHorizontalFlip"), lambda builder, t: builder._flip(_core.Kind.random_horizontal_flip, t)
    ),
    **dict.fromkeys(_of("RandomVerticalFlip"), lambda builder, t: builder._flip(_core.Kind.random_vertical_flip, t)),
    **dict.fromkeys(_of("Grayscale"), RecipeBuilder._grayscale),
    **dict.fromkeys(_of("RandomGrayscale"), RecipeBuilder._random_grayscale),
    **dict.fromkeys(_of("Pad"), RecipeBuilder._pad),
    v2.RGB: RecipeBuilder._rgb,
}
_ALSO_ON_TENSORS = {*_of("RandomHorizontalFlip"), *_of("RandomVerticalFlip"), v2.RGB}
# What leaves every image as it is. (The newer ones are missing in older versions.)
_BOXES_AND_POINTS = ("ClampBoundingBoxes", "ClampKeyPoints", "ConvertBoundingBoxFormat", "SetClampingMode")
_NOTHING = {torch.nn.Identity, v2.Identity, *(getattr(v2, name) for name in _BOXES_AND_POINTS if hasattr(v2, name))}
# Types only, never functions: each is a function of one pixel's value and its channel.
_POINT_WISE = {
    v1.ToTensor,
    v2.ToTensor,
    v2.ToImage,
    v2.ToDtype,
    v2.ToPureTensor,
    *_of("PILToTensor"),
    *_of("ConvertImageDtype"),
    *_of("Normalize"),
}
keep_originals([*_GEOMETRY, *_NOTHING, *_POINT_WISE])
