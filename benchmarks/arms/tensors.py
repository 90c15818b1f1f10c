"""The fastest that torchvision has, for the arms that leave pixels to it: its decoder, transforms v2 on uint8 tensors.

uint8 through the workers' queues is a quarter of the bytes, and one normalisation a batch beat one a sample.
"""

from __future__ import annotations

import torch
import torchvision.transforms.v2 as T
from torchvision.io import ImageReadMode, decode_image

from benchmarks.arms import MEAN, RESIZED, SIDE, STD

CROPS = {
    "train": T.Compose([T.RandomResizedCrop(SIDE, antialias=True), T.RandomHorizontalFlip()]),
    "eval": T.Compose([T.Resize(RESIZED, antialias=True), T.CenterCrop(SIDE)]),
}
finish = T.Compose([T.ToDtype(torch.float32, scale=True), T.Normalize(MEAN, STD, inplace=True)])


def decode(encoded: bytes) -> torch.Tensor:
    """uint8 [3, height, width] of a JPEG in memory."""
    return decode_image(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), ImageReadMode.RGB)
