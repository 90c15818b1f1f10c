"""torch's DataLoader over torchvision's ImageFolder, as the examples have it: PIL images, transforms v1."""

from __future__ import annotations

import torch.utils.data
import torchvision.transforms as T
from torchvision.datasets import ImageFolder

from benchmarks.arms import MEAN, RESIZED, SIDE, STD, Options

CROPS = {
    "train": [T.RandomResizedCrop(SIDE), T.RandomHorizontalFlip()],
    "eval": [T.Resize(RESIZED), T.CenterCrop(SIDE)],
}


class Arm:
    """The reference of what the batches must be."""

    CLAIMS_EQUALITY = True
    LOADER = torch.utils.data.DataLoader
    FOLDER = ImageFolder

    def __init__(self, options: Options) -> None:
        transform = T.Compose([*CROPS[options.workload], T.ToTensor(), T.Normalize(MEAN, STD)])
        self.loader = self.LOADER(
            self.FOLDER(options.data, transform),
            options.batch_size,
            shuffle=options.workload == "train",
            num_workers=options.workers,
        )

    def epoch(self):
        return iter(self.loader)
