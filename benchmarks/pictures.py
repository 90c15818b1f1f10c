"""What an arm's pictures are: those of the evaluation, compared with Pillow's on photos that each have a class of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import torchvision.transforms as T

from benchmarks.arms import MEAN, RESIZED, SIDE, STD, Arm

# In levels: what a normalised float32 loses of a byte.
ROUNDING = 1e-3


def compare(arm: Arm, root: Path) -> dict[str, Any]:
    """How far the arm's pictures of ``root`` are from Pillow's, in levels of 255: on average, and at most."""
    expected = {
        number: _expected(next(folder.iterdir()), getattr(arm, "SQUEEZES", False))
        for number, folder in enumerate(sorted(path for path in root.iterdir() if path.is_dir()))
    }
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    means, largest = {}, 0.0
    for images, targets in arm.epoch():
        for image, target in zip(images, targets.tolist(), strict=True):
            off = (image.double() * std + mean - expected[target]).abs()
            off[off < ROUNDING] = 0
            means[target] = off.mean().item()
            largest = max(largest, off.max().item())
    if means.keys() != expected.keys():
        return {"unavailable": f"gives {len(means)} of {len(expected)} pictures"}
    return {"off": sum(means.values()) / len(means), "worst picture": max(means.values()), "most": largest}


def _expected(photo: Path, squeezes: bool) -> torch.Tensor:
    resize = T.Resize((SIDE, SIDE)) if squeezes else T.Compose([T.Resize(RESIZED), T.CenterCrop(SIDE)])
    with PIL.Image.open(photo) as image:
        return torch.from_numpy(np.array(resize(image.convert("RGB")))).permute(2, 0, 1).double()
