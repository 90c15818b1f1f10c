"""Transforms of torchvision and timm that the engine does not do, and why: for ``explain()`` and docs/compatibility.md."""

from __future__ import annotations

import torchvision.transforms.v2 as v2

_BATCHES = "it mixes a batch, not an image"
_BOXES = "it is for boxes and points"
_PIECES = "it makes several images of one"
_MIXES = "it mixes several images"
_OF_TIMM = "timm's own, which the engine does not follow"
# By name, in both modules of torchvision; or in one of them, or in timm.data.
REASONS = {
    "Transform": "it does nothing itself",
    "Lambda": "it is a function that is not known",
    "ToPILImage": "it makes an image of a tensor",
    "LinearTransformation": "it multiplies the whole tensor with a matrix",
    "FiveCrop": _PIECES,
    "TenCrop": _PIECES,
    "ElasticTransform": "it warps the image by a field of random numbers",
    "v2.AugMix": "whether torch fuses multiplications with additions there depends on its build",
    "RandomIoUCrop": _BOXES,
    "SanitizeBoundingBoxes": _BOXES,
    "SanitizeKeyPoints": _BOXES,
    "CutMix": _BATCHES,
    "MixUp": _BATCHES,
    "JPEG": "it writes a JPEG and reads it again",
    "GaussianNoise": "it draws as many random numbers as the image has values",
    "UniformTemporalSubsample": "it is for videos",
    "timm.RandomPad": _OF_TIMM,
    "timm.TrimBorder": _OF_TIMM,
    "timm.AugMixAugment": _MIXES,
}


def why_not(kind: type) -> str:
    """Why transforms of this type are not native."""
    name = kind.__name__
    if kind.__module__.startswith("timm.data."):
        return REASONS.get(f"timm.{name}", _UNKNOWN)
    if kind.__module__.startswith("fastload."):
        return "it works on lazy images, which a data set opens after fastload.install() or under `fastload run`"
    if kind.__module__.startswith("torchvision."):
        module = "v2" if kind.__module__.startswith(v2.__name__) else "v1"
        return REASONS.get(f"{module}.{name}") or REASONS.get(name) or _UNKNOWN
    return _UNKNOWN


_UNKNOWN = "not one of the transforms that the engine knows"
