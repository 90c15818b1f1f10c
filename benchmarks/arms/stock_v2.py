"""torch's DataLoader at its best: torchvision's decoder and transforms v2 on tensors, normalised a batch at a time."""

from __future__ import annotations

import torch
import torch.utils.data
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_image

from benchmarks.arms import Options, tensors


def load(path: str) -> torch.Tensor:
    return decode_image(path, ImageReadMode.RGB)


class Arm:
    """Nearly the pixels of ``stock_pil``: its resize is up to one level off."""

    CLAIMS_EQUALITY = False
    LOAD = staticmethod(load)

    def __init__(self, options: Options) -> None:
        self.loader = torch.utils.data.DataLoader(
            ImageFolder(options.data, tensors.CROPS[options.workload], loader=self.LOAD),
            options.batch_size,
            shuffle=options.workload == "train",
            num_workers=options.workers,
        )

    def epoch(self):
        for images, targets in self.loader:
            yield tensors.finish(images), targets
