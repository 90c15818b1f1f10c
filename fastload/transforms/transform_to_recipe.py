"""One torchvision transform after the other -> the engine's recipe and the table of values.

To make another transform native: a method that gives the engine's form of it (csrc/recipe draws and plans it), and its line in
``_GEOMETRY``; for one that turns, warps or resizes by chance in ``GEOMETRY_STEPS``, for one of colours in ``COLOUR_STEPS``,
for one that is a function of each value of a tensor in ``_POINT_WISE``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision import tv_tensors

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms import argument_forms, blur_steps
from fastload.transforms.code_world import Look, NotCertain
from fastload.transforms.colour_steps import COLOUR_STEPS, ColourStep
from fastload.transforms.container_steps import random_apply, random_choice, random_order
from fastload.transforms.erasing_steps import ERASINGS, Erased, erased_after, random_erasing
from fastload.transforms.geometry_steps import GEOMETRY_STEPS, KEEPS_SIZE
from fastload.transforms.handed_on import Trail
from fastload.transforms.known_classes import as_of_library, keep_originals, why_altered
from fastload.transforms.mixing_steps import aug_mix
from fastload.transforms.not_native import why_not
from fastload.transforms.pixel_values import GRAY_BYTES, RGB_BYTES, Pixelwise, Transform, table_of
from fastload.transforms.policy_steps import POLICIES, policy, rests_on
from fastload.transforms.program_steps import Blur, Drawn, program_of
from fastload.transforms.static_attributes import named
from fastload.transforms.tensor_functions import point_wise_looks
from fastload.transforms.timm_steps import step_of_timm
from fastload.transforms.timm_transforms import conversion_of_timm
from fastload.transforms.version_facts import uniform_is_fused, vertical_first


class RecipeBuilder:
    """The native part of a chain of transforms so far; :meth:`take` adds one transform or says why not."""

    def __init__(self, trail: Trail) -> None:
        self.trail = trail
        self.geometry: list[_core.Transform] = []
        self.size: tuple[int, int] | None = None
        self.draws_between = False  # uses torch's uniform_(a, b)
        self.gray = False
        self.values: list[Transform] = []
        self.pixelwise = RGB_BYTES
        self.stages = ["resample"]  # of whose time stats() tells
        self.erased: list[Erased] = []  # shared with the builders of what containers hold
        self.looks: list[Look] = []  # what is known beside torchvision's own classes rests on these

    def take(self, transform: Transform) -> None:
        """Adds it.

        Raises:
            NotNative: why the engine does not do it; then nothing was added.
        """
        geometry, erased = len(self.geometry), list(self.erased)
        try:
            self._take(transform)
            if sum(map(_most_steps, self.geometry)) > _STEPS_OF_A_PLAN:
                raise NotNative(f"the engine takes up to {_STEPS_OF_A_PLAN} steps")
        except Exception:
            del self.geometry[geometry:]
            self.erased[:] = erased
            raise
        made = self.geometry[geometry:]
        if not any(one.kind in _CONTAINERS for one in made):  # what lies in these was taken before
            self._count(made, named(transform))

    def _count(self, made: list[_core.Transform], name: str) -> None:
        """The time of these counts to a stage of that name, unless they only cut, resize, mirror or pad."""
        for one in made:
            if one.kind in _PLAIN:
                continue
            if name not in self.stages:
                self.stages.append(name)
            one.stage = self.stages.index(name)

    def _take(self, transform: Transform) -> None:
        transform = as_of_library(transform)
        step_of = step_of_timm(type(transform))
        if altered := why_altered(transform):
            raise NotNative(altered)
        kind = type(transform)
        if kind in _NOTHING:
            return
        of_timm = conversion_of_timm(kind)
        if kind in _POINT_WISE or of_timm is not None:
            self.looks += of_timm or []
            self._take_point_wise(transform)
        elif step_of is not None:
            step_of(self, transform)
        elif kind in ERASINGS:
            if not self.values:
                raise NotNative("it erases in tensors, and this is an image")
            self.draws_between = True
            self._append(random_erasing(transform, self.pixelwise, self.erased, is_gray=self.gray), self.size)
        elif kind in _ON_IMAGES:
            if self.values and kind not in _ALSO_ON_TENSORS:
                raise NotNative("after the conversion to a tensor torchvision computes it differently")
            if kind in _GEOMETRY:
                _GEOMETRY[kind](self, transform)
            elif kind in POLICIES:
                self._append(policy(transform, is_gray=self.gray), self.size)
                self.looks += rests_on(transform)
            elif kind is v1.AugMix:
                self._append(aug_mix(transform, self.size, is_gray=self.gray), self.size)
            elif kind in GEOMETRY_STEPS:
                made = GEOMETRY_STEPS[kind](transform, 1 if self.gray else 3)
                self.draws_between = True
                self._append(made, self.size if made.kind in KEEPS_SIZE else None)
            else:
                self._recolour(COLOUR_STEPS[kind], transform)
        elif self.values and (looks := point_wise_looks(transform)) is not None:
            self.looks += looks
            self._take_point_wise(transform)
        else:
            self._take_program(transform)

    def _take_program(self, transform: Transform) -> None:
        try:
            program = program_of(transform, is_gray=self.gray)
        except NotCertain:
            raise NotNative(why_not(type(transform))) from None
        if self.values:
            raise NotNative("after the conversion to a tensor it is no image that it gets")
        inner = self.inner()
        for step in program.steps:
            inner.take_step(step, named(transform))
        if (condition := program.condition) is not None:
            if inner.values or inner.gray != self.gray:
                raise NotNative("it makes tensors, or another number of channels, only at times")
            apply = _core.Transform(_core.Kind.random_apply)
            apply.p, apply.p_inclusive, apply.count = program.p, program.inclusive, len(inner.geometry)
            _draw_from(apply, condition.stream)
            self.geometry.append(apply)
        self.geometry += inner.geometry
        self.gray, self.size, self.pixelwise, self.values = inner.gray, inner.size, inner.pixelwise, inner.values
        self.looks += [*inner.looks, *program.looks]

    def take_step(self, step: Any, name: str) -> None:
        """Adds what a program's code does."""
        if isinstance(step, Blur):
            made = _core.Transform(_core.Kind.pillow_blur)
            radius = step.radius
            made.set_scale((radius.low, radius.high or 0.0) if isinstance(radius, Drawn) else (radius, radius))
            if isinstance(radius, Drawn):
                _draw_from(made, radius.stream)
        elif isinstance(step, _core.Recolour):
            made = _core.Transform(_core.Kind.recolour)
            made.recolour = step
        else:
            self.take(step)
            return
        self._append(made, self.size)
        self._count([made], name)

    def _take_point_wise(self, transform: Transform) -> None:
        values = [*self.values, transform]
        made = table_of(values, gray=self.gray)
        if made is not None:
            self.erased[:] = erased_after(transform, self.pixelwise, self.erased)
            self.pixelwise, self.values = made, values

    def finished(self) -> Pixelwise:
        """What a sample is at the end."""
        return replace(self.pixelwise, erased=tuple(self.erased))

    def recipe(self) -> _core.Recipe:
        """The geometry of all that was taken, in the engine's form."""
        return _core.Recipe(
            self.geometry,
            fused_uniform=uniform_is_fused() if self.draws_between else True,
            vertical_first=vertical_first(),
            stages=self.stages,
        )

    def new(self, kind: _core.Kind, transform: Transform) -> _core.Transform:
        """A new engine transform, not yet in the chain."""
        made = _core.Transform(kind)
        made.v2 = type(transform).__module__.startswith(v2.__name__)
        return made

    def _random_resized_crop(self, t: Any) -> None:
        made = self.new(_core.Kind.random_resized_crop, t)
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
        made = self.new(_core.Kind.resize, t)
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
        made = self.new(_core.Kind.center_crop, t)
        made.height, made.width = argument_forms.height_width(t.size)
        self._append(made, (made.height, made.width))

    def _random_crop(self, t: Any) -> None:
        made = self.new(_core.Kind.random_crop, t)
        made.height, made.width = argument_forms.height_width(t.size)
        made.pad_if_needed = bool(t.pad_if_needed)
        made.padded = t.padding is not None
        sides = argument_forms.sides_of(t.padding, in_pairs=made.v2) if made.padded else [0, 0, 0, 0]
        made.set_padding(sides)
        if made.padded or made.pad_if_needed:
            self._pad_with(made, t, sides)
        self._append(made, (made.height, made.width))

    def _pad(self, t: Any) -> None:
        made = self.new(_core.Kind.pad, t)
        left, top, right, bottom = sides = argument_forms.sides_of(t.padding)
        made.set_padding(sides)
        self._pad_with(made, t, sides)
        self._append(made, self.size and (self.size[0] + top + bottom, self.size[1] + left + right))

    def _pad_with(self, made: _core.Transform, t: Any, sides: list[int]) -> None:
        made.pad_mode = argument_forms.pad_mode(t.padding_mode, sides)
        made.set_fill(argument_forms.fill_of(t, is_v2=made.v2, channels=1 if self.gray else 3))

    def _flip(self, kind: _core.Kind, t: Any) -> None:
        made = self.new(kind, t)
        if self.values and not made.v2 and self.pixelwise.kind is tv_tensors.Image:
            raise NotNative("what it flips is no tv_tensors.Image any more, and the rest is")
        made.p = argument_forms.probability(t.p)
        self._append(made, self.size)

    def _grayscale(self, t: Any) -> None:
        if t.num_output_channels not in (1, 3):
            raise NotNative(f"num_output_channels={t.num_output_channels!r}")
        self._append(self.new(_core.Kind.grayscale, t), self.size)
        if t.num_output_channels == 1:
            self.gray = True
            self.pixelwise = GRAY_BYTES
        elif self.gray:
            self.gray = False
            self.pixelwise = RGB_BYTES

    def _random_grayscale(self, t: Any) -> None:
        made = self.new(_core.Kind.random_grayscale, t)
        made.p = argument_forms.probability(t.p)
        self._append(made, self.size)

    def _rgb(self, t: Any) -> None:
        if self.gray and self.values:
            raise NotNative("after the conversion to a tensor it changes the number of channels")
        if self.gray:
            self.gray, self.pixelwise = False, RGB_BYTES

    def _recolour(self, step: ColourStep, t: Any) -> None:
        made = step(t, is_gray=self.gray)
        self.draws_between = True
        self._append(made, self.size)

    def _gaussian_blur(self, t: Any) -> None:
        made = blur_steps.gaussian_blur(t, is_gray=self.gray)
        self.draws_between = True
        self.looks += blur_steps.rests_on()
        self._append(made, self.size)

    def inner(self) -> RecipeBuilder:
        """For what is done to an image as it is here, or not."""
        inner = RecipeBuilder(self.trail)
        inner.gray, inner.size, inner.pixelwise = self.gray, self.size, self.pixelwise
        inner.stages = self.stages
        inner.values, inner.erased = self.values, self.erased
        return inner

    def _append(self, made: _core.Transform, size: tuple[int, int] | None) -> None:
        self.geometry.append(made)
        self.size = size


_CONTAINERS = {
    _core.Kind.random_apply,
    _core.Kind.random_order,
    _core.Kind.random_choice,
    _core.Kind.group,
}
_PLAIN = {
    _core.Kind.timm_crop_and_resize,
    _core.Kind.timm_resize_keep_ratio,
    _core.Kind.timm_crop_or_pad,
    _core.Kind.random_resized_crop,
    _core.Kind.resize,
    _core.Kind.center_crop,
    _core.Kind.random_crop,
    _core.Kind.random_horizontal_flip,
    _core.Kind.random_vertical_flip,
    _core.Kind.pad,
}


def _most_steps(made: _core.Transform) -> int:
    is_several = made.kind in (_core.Kind.policy, _core.Kind.timm_augment)
    return made.count if is_several else _MOST_STEPS.get(made.kind, 1)


_STEPS_OF_A_PLAN = 32  # see csrc/recipe/recipe.h
# That a transform may come to, where it is more than one.
_MOST_STEPS = {
    _core.Kind.random_resized_crop: 3,
    _core.Kind.resize: 2,
    _core.Kind.center_crop: 2,
    _core.Kind.random_crop: 6,
    _core.Kind.pad: 3,
    _core.Kind.random_rotation: 2,
    _core.Kind.scale_jitter: 2,
    _core.Kind.random_shortest_size: 2,
    _core.Kind.random_resize: 2,
    _core.Kind.timm_crop_and_resize: 3,
    _core.Kind.timm_resize_keep_ratio: 2,
    _core.Kind.timm_crop_or_pad: 2,
    _core.Kind.color_jitter: 4,
    _core.Kind.photometric_distort: 5,
    _core.Kind.random_erasing: 0,
    _core.Kind.timm_erasing: 0,
    _core.Kind.random_apply: 0,
    _core.Kind.random_order: 0,
    _core.Kind.random_choice: 0,
    _core.Kind.group: 0,
}


def _draw_from(made: _core.Transform, stream: str) -> None:
    made.draws_python = stream == "python"
    made.draws_numpy = stream == "numpy"


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
    **dict.fromkeys(_of("GaussianBlur"), RecipeBuilder._gaussian_blur),
    **dict.fromkeys(_of("RandomApply"), random_apply),
    **dict.fromkeys(_of("RandomOrder"), random_order),
    **dict.fromkeys(_of("RandomChoice"), random_choice),
}
_ON_IMAGES = {*_GEOMETRY, *GEOMETRY_STEPS, *COLOUR_STEPS, *POLICIES, v1.AugMix}
# Not those that cut, nor containers: a single sample's strides, and at times its type, are then others.
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
keep_originals([*_ON_IMAGES, *ERASINGS, *_NOTHING, *_POINT_WISE])
