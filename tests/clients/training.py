"""What every client trains: a small residual network on a folder of JPEGs, judged by the losses of its steps."""

from __future__ import annotations

import math

import torch
import torchvision.transforms as v1
from torch import nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLASSES, IMAGES, SIZE = 3, 12, 32

TRAIN = v1.Compose([v1.RandomResizedCrop(SIZE), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize(MEAN, STD)])
EVALUATE = v1.Compose([v1.Resize(SIZE + 4), v1.CenterCrop(SIZE), v1.ToTensor(), v1.Normalize(MEAN, STD)])


class Network(nn.Module):
    """Every weight has a gradient and batch norm a memory: two runs stay equal only on equal batches in equal order."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)
        )
        self.head = nn.Linear(8, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        stem = self.stem(images)
        return self.head(torch.relu(stem + self.block(stem)).mean((2, 3)))


def optimizer_of(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)


def assert_same_losses(ours: list[float], stock: list[float], steps: int) -> None:
    """Of two runs that started alike: equal to the last bit, and worth comparing."""
    assert len(stock) == steps and all(map(math.isfinite, stock)) and len(set(stock)) == steps
    assert ours == stock


def assert_native(loader, mode: str = "native", images: int | None = None) -> None:
    """The loader's last epoch was made by the engine; ``images`` of them, where the loader itself counts."""
    stats = loader.stats()
    assert stats["mode"] == mode
    if mode == "native":
        assert stats["images"] == images if images is not None else stats["images"] > 0
        assert stats["fallbacks"] == 0
