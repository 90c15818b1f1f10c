"""Each transform of the installed timm is native, or stands with its reason in explain() and in the documentation."""

from __future__ import annotations

import timm.data.auto_augment as auto_augment
import timm.data.random_erasing as random_erasing
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
    "RandAugment": (auto_augment.rand_augment_ops(),),
    "AutoAugment": (auto_augment.auto_augment_policy(),),
    "AugMixAugment": (auto_augment.augmix_ops(),),
    "RandomErasing": (0.5, 0.02, 0.3, 0.3, None, "pixel", 1, None, 0, "cpu"),
}


def test_each_is_native_or_has_its_reason():
    kinds = {
        name: kind
        for module in (of_timm, auto_augment, random_erasing)
        for name, kind in vars(module).items()
        if isinstance(kind, type)
        and kind.__module__ == module.__name__
        and name != "AugmentOp"  # a part of the policies
    }
    left = {}
    for name, kind in kinds.items():
        between = [v1.ToTensor()] if name == "RandomErasing" else []
        reading = read(v1.Compose([v1.Resize((16, 16)), *between, kind(*ARGUMENTS.get(name, ()))]))
        if reading.tail:
            left[name] = reading.tail_reason
    assert left == {name: f"{name}: {REASONS.get(f'timm.{name}')}" for name in left}
    listed = {key.removeprefix("timm.") for key in REASONS if key.startswith("timm.")}
    assert listed & kinds.keys() == left.keys(), "native now: their lines can go"
