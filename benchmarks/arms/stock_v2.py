"""torch's DataLoader at its best: torchvision's decoder, transforms v2 on uint8 tensors, normalised a batch at a time.

uint8 through the workers' queues is a quarter of the bytes, and one normalisation a batch beat one a sample.
"""

from __future__ import annotations

import torch
import torch.utils.data
import torchvision.transforms.v2 as T
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_image

from benchmarks.arms import MEAN, RESIZED, SIDE, STD, Options

CROPS = {
    "train": [T.RandomResizedCrop(SIDE, antialias=True), T.RandomHorizontalFlip()],
    "eval": [T.Resize(RESIZED, antialias=True), T.CenterCrop(SIDE)],
}


def load(path: str) -> torch.Tensor:
    return decode_image(path, ImageReadMode.RGB)


class Arm:
    """Nearly the pixels of ``stock_pil``: its resize is up to one level off."""

    CLAIMS_EQUALITY = False

    def __init__(self, options: Options) -> None:
        self.loader = torch.utils.data.DataLoader(
            ImageFolder(options.data, T.Compose(CROPS[options.workload]), loader=load),
            options.batch_size,
            shuffle=options.workload == "train",
            num_workers=options.workers,
        )
        self.finish = T.Compose([T.ToDtype(torch.float32, scale=True), T.Normalize(MEAN, STD, inplace=True)])

    def epoch(self):
        for images, targets in self.loader:
            yield self.finish(images), targets
