"""torchvision's containers that draw which of their transforms are done, and in what order -> the engine's form of each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

import torch

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms import argument_forms
from fastload.transforms.nested_transforms import flatten
from fastload.transforms.pixel_values import Transform

RecipeBuilder = Any  # of transform_to_recipe.py, which imports this file

_MOST_WITHIN = 255


def random_apply(builder: RecipeBuilder, t: Any) -> None:
    made = builder.new(_core.Kind.random_apply, t)
    made.p, made.p_inclusive = argument_forms.probability(t.p), not made.v2
    if not 0 <= made.p <= 1:
        raise NotNative(f"p={t.p!r}")
    inner = _within(builder, _steps_of(t))
    made.count = len(inner.geometry)
    _contain(builder, made, [inner])


def random_order(builder: RecipeBuilder, t: Any) -> None:
    made = builder.new(_core.Kind.random_order, t)
    argument_forms.require_float32()
    made.draws_python = not made.v2
    _contain_groups(builder, made, t)


def random_choice(builder: RecipeBuilder, t: Any) -> None:
    made = builder.new(_core.Kind.random_choice, t)
    argument_forms.require_float32()
    made.draws_python = not made.v2
    if t.p is not None:
        weights = list(t.p) if type(t.p) in (list, tuple) else []
        if len(weights) != len(t.transforms) or not all(
            type(one) in (int, float) and 0 <= one < 2**53 for one in weights
        ):
            raise NotNative(f"p={t.p!r}")
        cumulated = list(itertools.accumulate(weights))
        least = math.ldexp(1, -100) if made.v2 else 0  # which float32 has for certain
        if not least < cumulated[-1] < 2**53:
            raise NotNative(f"p={t.p!r}")
        made.weights = cumulated if made.draws_python else weights
    _contain_groups(builder, made, t)


def _contain_groups(builder: RecipeBuilder, made: _core.Transform, t: Any) -> None:
    """Each transform in a group of its own."""
    parts = [_within(builder, [step]) for step in _steps_of(t)]
    made.count = len(parts)
    for part in parts:
        group = builder.new(_core.Kind.group, t)
        group.count = len(part.geometry)
        part.geometry.insert(0, group)
    _contain(builder, made, parts)


def _within(builder: RecipeBuilder, steps: Iterable[Transform]) -> RecipeBuilder:
    """Some steps of a container, of an image as it is here."""
    inner = builder.inner()
    for step in steps:
        for part in flatten(step, builder.trail):
            try:
                inner.take(part)
            except NotNative as reason:
                raise NotNative(f"{type(part).__name__} in it: {reason}") from reason
    if len(inner.values) != len(builder.values) or inner.gray != builder.gray:
        raise NotNative("it makes tensors, or another number of channels, only at times")
    return inner


def _contain(builder: RecipeBuilder, container: _core.Transform, parts: list[RecipeBuilder]) -> None:
    builder.geometry.append(container)
    for part in parts:
        builder.geometry += part.geometry
        builder.looks += part.looks
        builder.draws_between |= part.draws_between
    sizes = {part.size for part in parts}
    if container.kind != _core.Kind.random_choice:  # of which none may be done
        sizes.add(builder.size)
    builder.size = sizes.pop() if len(sizes) == 1 else None


def _steps_of(container: Any) -> list[Transform]:
    """Of what torchvision's containers take: a sequence of at least one transform."""
    steps = container.transforms
    if type(steps) not in (list, tuple, torch.nn.ModuleList) or not 0 < len(steps) <= _MOST_WITHIN:
        raise NotNative(f"transforms={steps!r}")
    return list(steps)
