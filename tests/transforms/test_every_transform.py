"""Each public transform of the installed torchvision is native, or stands with its reason in explain() and in the documentation."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload.transforms.not_native import REASONS
from fastload.transforms.split_transforms import read

DOCS = Path(__file__).parents[2] / "docs" / "compatibility.md"
# What a transform needs to be made, where its defaults are not enough.
ARGUMENTS = {
    **dict.fromkeys(("Resize", "CenterCrop", "RandomCrop", "RandomResizedCrop", "FiveCrop", "TenCrop"), (8,)),
    **dict.fromkeys(("Pad", "RandomPosterize", "RandomAdjustSharpness"), (2,)),
    **dict.fromkeys(("RandomRotation", "RandomAffine"), (10,)),
    "ConvertImageDtype": (torch.float32,),
    "SetClampingMode": ("soft",),
    "ToDtype": (torch.float32,),
    "Normalize": ([0.5] * 3, [0.2] * 3),
    "ColorJitter": (0.4, 0.4, 0.4, 0.1),
    "RandomSolarize": (128,),
    "GaussianBlur": (3,),
    "LinearTransformation": (torch.eye(12), torch.zeros(12)),
    "Lambda": (print,),
    "JPEG": (75,),
    "ScaleJitter": ((8, 8),),
    "RandomResize": (8, 9),
    "RandomShortestSize": (8,),
    "ConvertBoundingBoxFormat": ("XYXY",),
    "UniformTemporalSubsample": (1,),
    **dict.fromkeys(("CutMix", "MixUp"), ()),
}
NO_TRANSFORMS = ("InterpolationMode", "AutoAugmentPolicy")


def made(module, name: str):
    kind = getattr(module, name)
    if name in ("RandomApply", "RandomChoice", "RandomOrder", "Compose"):
        return kind([module.RandomHorizontalFlip(), module.RandomVerticalFlip()])
    options = {"num_classes": 3} if "num_classes" in inspect.signature(kind).parameters else {}
    return kind(*ARGUMENTS.get(name, ()), **options)


def public(module) -> list[str]:
    kinds = {name: kind for name, kind in vars(module).items() if isinstance(kind, type) and not name.startswith("_")}
    return sorted(kinds.keys() - {*NO_TRANSFORMS})


def why_left(module, name: str) -> str:
    """Why it is not native, of an image, of a tensor and of an image of known size; empty if it is."""
    transform = made(module, name)
    readings = [
        read(module.Compose([*first, transform])) for first in ([], [module.ToTensor()], [module.CenterCrop(8)])
    ]
    return "" if any(not reading.tail for reading in readings) else readings[0].tail_reason


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
def test_each_is_native_or_has_its_reason(module):
    short = "v2" if module is v2 else "v1"
    left = {name: why for name in public(module) if (why := why_left(module, name))}
    for name, why in left.items():
        reason = REASONS.get(f"{short}.{name}") or REASONS.get(name)
        assert reason and why == f"{name}: {reason}", (name, why)
    for key in REASONS:
        prefix, _, name = key.rpartition(".")
        if prefix in ("", short) and hasattr(module, name):
            assert name in left, f"{key} is native: its line can go"


def test_the_documentation_says_so():
    text = DOCS.read_text(encoding="utf-8").partition("## Transforms that are not native")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", text, flags=re.MULTILINE)
    assert dict(rows) == REASONS, "\n".join(f"| `{key}` | {reason} |" for key, reason in REASONS.items())
