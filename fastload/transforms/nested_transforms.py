"""Transforms that are made of others -> these, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision.transforms._presets import ImageClassification, ObjectDetection, SemanticSegmentation

from fastload.transforms.pixel_values import Transform
from fastload.transforms.replaced_functions import keep_originals, why_altered


def flatten(transform: Transform) -> Iterator[Transform]:
    """Its parts, down to those that have none; one that is not what it was when this was imported is a part itself."""
    if type(transform) in _CONTAINERS and not why_altered(transform):
        inner = transform if isinstance(transform, torch.nn.Sequential) else cast(v1.Compose, transform).transforms
        for step in inner:
            yield from flatten(step)
    elif type(transform) in _PRESETS and not why_altered(transform):
        yield from _PRESETS[type(transform)](transform)
    else:
        yield transform


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


_CONTAINERS = {v1.Compose, v2.Compose, torch.nn.Sequential}
keep_originals([*_CONTAINERS, *_PRESETS])
