"""Transforms that are made of others -> these, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision.transforms._presets import ImageClassification, ObjectDetection, SemanticSegmentation

from fastload.transforms.handed_on import Trail, handed_on, is_of_torchvision
from fastload.transforms.known_classes import as_of_library, keep_originals, library_class, why_altered
from fastload.transforms.pixel_values import Transform

_DEEPEST = 20  # that callables hand on to one another; one might to itself


def flatten(transform: Transform, trail: Trail | None = None, depth: int = 0) -> Iterator[Transform]:
    """Its parts, down to those that have none; one that is not what it was when this was imported is a part itself.

    ``trail`` is told of callables of the program that only hand on.
    """
    kind = library_class(type(transform))
    if kind in _CONTAINERS and not why_altered(as_of_library(transform)):
        inner = transform if isinstance(transform, torch.nn.Sequential) else cast(v1.Compose, transform).transforms
        for step in inner:
            yield from flatten(step, trail, depth)
    elif kind in _PRESETS and not why_altered(as_of_library(transform)):
        yield from _PRESETS[kind](transform)
    elif kind in _LAMBDAS and depth < _DEEPEST and _hands_on(transform, trail):
        yield from flatten(cast(v1.Lambda, transform).lambd, trail, depth + 1)
    elif depth < _DEEPEST and (steps := handed_on(transform, trail)) is not None:
        for step in steps:
            yield from flatten(step, trail, depth + 1)
    else:
        yield transform


def _hands_on(transform: Any, trail: Trail | None) -> bool:
    """Whether a Lambda calls another transform, or a callable that does nothing but hand on to some."""
    if why_altered(as_of_library(transform)) or getattr(transform, "types", (object,)) != (object,):
        return False
    return is_of_torchvision(transform.lambd) or handed_on(transform.lambd, trail) is not None


# The presets that come with torchvision's weights, as the steps that they take.
_PRESETS: dict[type, Callable[[Any], list[Transform]]] = {
    ImageClassification: lambda t: [_resize_of(t), v1.CenterCrop(t.crop_size), *_to_floats(), _normalize_of(t)],
    SemanticSegmentation: lambda t: [*([_resize_of(t)] if t.resize_size else []), *_to_floats(), _normalize_of(t)],
    ObjectDetection: lambda t: _to_floats(),
}


def _resize_of(preset: Any) -> Transform:
    return v1.Resize(preset.resize_size, interpolation=preset.interpolation, antialias=preset.antialias)


def _normalize_of(preset: Any) -> Transform:
    return v1.Normalize(preset.mean, preset.std)


def _to_floats() -> list[Transform]:
    return [v1.PILToTensor(), v1.ConvertImageDtype(torch.float)]


_LAMBDAS = (v1.Lambda, v2.Lambda)
_CONTAINERS = {v1.Compose, v2.Compose, torch.nn.Sequential}
keep_originals([*_CONTAINERS, *_LAMBDAS, *_PRESETS])
