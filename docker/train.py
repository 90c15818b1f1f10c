"""The training of the image's example: a small network on an ImageFolder tree, on the GPU if there is one.

``--loader torch`` takes torch's own DataLoader with as many workers, for comparison: the same batches, so the same losses.
"""

from __future__ import annotations

import argparse
import time

import torch
import torch.utils.data
import torchvision.transforms as T
from torchvision.datasets import ImageFolder

import fastload

LOADERS = {"fastload": fastload.DataLoader, "torch": torch.utils.data.DataLoader}
TRANSFORM = T.Compose(
    [
        T.RandomResizedCrop(224),
        T.RandomHorizontalFlip(),
        T.ToTensor(),
        T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


def network(classes: int) -> torch.nn.Module:
    """Small enough for half a core."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 7, stride=4),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, stride=4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(32, classes),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a folder of class folders of images")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--loader", choices=LOADERS, default="fastload")
    options = parser.parse_args()

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = ImageFolder(options.data, TRANSFORM)
    on_device = {"device": device} if options.loader == "fastload" and device == "cuda" else {}
    loader = LOADERS[options.loader](
        images, options.batch_size, shuffle=True, num_workers=options.workers, drop_last=True, **on_device
    )
    model = network(len(images.classes)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for epoch in range(options.epochs):
        began, total, steps = time.perf_counter(), 0.0, 0
        for batch, targets in loader:
            loss = torch.nn.functional.cross_entropy(model(batch.to(device)), targets.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, steps = total + loss.item(), steps + 1
        seconds = time.perf_counter() - began
        print(
            f"epoch {epoch}: loss {total / steps:.6f}, {steps * options.batch_size / seconds:,.0f} images/s on {device}"
        )


if __name__ == "__main__":
    main()
