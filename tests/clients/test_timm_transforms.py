"""Each transform of the installed timm is native, or stands with its reason in explain() and in the documentation."""

from __future__ import annotations

import timm.data.transforms as of_timm
import torchvision.transforms as v1

from fastload.transforms.not_native import REASONS
from fastload.transforms.split_transforms import read

ARGUMENTS = {
    **dict.fromkeys(
        ("RandomResizedCropAndInterpolation", "CenterCropOrPad", "RandomCropOrPad", "ResizeKeepRatio"), (8,)
    ),
    "RandomPad": ((8, 8),),
    "TrimBorder": (2,),
}


def test_each_is_native_or_has_its_reason():
    kinds = {
        name: kind
        for name, kind in vars(of_timm).items()
        if isinstance(kind, type) and kind.__module__ == of_timm.__name__
    }
    left = {}
    for name, kind in kinds.items():
        reading = read(v1.Compose([v1.Resize((16, 16)), kind(*ARGUMENTS.get(name, ()))]))
        if reading.tail:
            left[name] = reading.tail_reason
    assert left == {name: f"{name}: {REASONS.get(f'timm.{name}')}" for name in left}
    listed = {key.removeprefix("timm.") for key in REASONS if key.startswith("timm.")}
    assert listed & kinds.keys() == left.keys(), "native now: their lines can go"
