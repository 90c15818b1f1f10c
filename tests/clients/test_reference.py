"""The parts of torchvision's reference classification training: augmentation, mixing, schedule, evaluation."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torch import nn
from torch.utils.data import RandomSampler, SequentialSampler, default_collate
from torchvision.datasets import ImageFolder
from torchvision.transforms._presets import ImageClassification

import fastload
from training import CLASSES, IMAGES, MEAN, SIZE, STD, Network, assert_native, assert_same_losses

BATCH, EPOCHS = 8, 2
STEPS = EPOCHS * (CLASSES * IMAGES // BATCH)


def augmented(to_tensor):
    return v1.Compose(
        [
            v1.RandomResizedCrop(SIZE, interpolation=v1.InterpolationMode.BILINEAR),
            v1.RandomHorizontalFlip(0.5),
            v1.TrivialAugmentWide(interpolation=v1.InterpolationMode.BILINEAR),
            *to_tensor,
            v1.Normalize(MEAN, STD),
            v1.RandomErasing(0.5),
        ]
    )


RECIPES = {
    "crop-and-flip": v1.Compose(
        [
            v1.RandomResizedCrop(SIZE),
            v1.RandomHorizontalFlip(),
            v1.PILToTensor(),
            v1.ConvertImageDtype(torch.float),
            v1.Normalize(MEAN, STD),
        ]
    ),
    "v2": v2.Compose(
        [
            v2.RandomResizedCrop(SIZE, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.TrivialAugmentWide(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float, scale=True),
            v2.Normalize(MEAN, STD),
            v2.RandomErasing(0.5),
            v2.ToPureTensor(),
        ]
    ),
    "to-tensor": augmented([v1.ToTensor()]),
    "pil-to-tensor": augmented([v1.PILToTensor(), v1.ConvertImageDtype(torch.float)]),
}


def train(loader_class, root, validation_root, transform, mixing, num_workers):
    """Losses of the steps, accuracies of the epochs, and both loaders."""
    torch.manual_seed(11)
    mix = v2.RandomChoice([v2.MixUp(num_classes=CLASSES), v2.CutMix(num_classes=CLASSES)])
    collate = {"collate_fn": lambda samples: mix(*default_collate(samples))} if mixing else {}
    dataset = ImageFolder(root, transform)
    loader = loader_class(
        dataset,
        batch_size=BATCH,
        sampler=RandomSampler(dataset),
        num_workers=num_workers,
        drop_last=True,
        **collate,
    )
    validation = ImageFolder(validation_root, ImageClassification(crop_size=SIZE, resize_size=SIZE + 4))
    validation_loader = loader_class(
        validation, batch_size=5, sampler=SequentialSampler(validation), num_workers=num_workers
    )

    network = Network()
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=1),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS - 1),
        ],
        milestones=[1],
    )
    losses, validation_losses = [], []
    for _ in range(EPOCHS):
        network.train()
        for images, targets in loader:
            loss = criterion(network(images), targets)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        network.eval()
        with torch.inference_mode():
            validation_losses += [criterion(network(images), targets).item() for images, targets in validation_loader]
    return losses, validation_losses, loader, validation_loader


@pytest.mark.filterwarnings(
    "ignore:The epoch parameter in `scheduler.step:UserWarning"
)  # torch's SequentialLR of itself
@pytest.mark.parametrize(
    ("name", "mixing", "num_workers"),
    [
        ("crop-and-flip", False, 0),
        ("crop-and-flip", False, 2),
        ("crop-and-flip", True, 2),
        ("to-tensor", False, 2),
        ("pil-to-tensor", True, 0),
        ("pil-to-tensor", True, 2),
        ("v2", False, 0),
        ("v2", True, 2),
    ],
)
def test_losses_equal_stocks(root, validation_root, natively, name, mixing, num_workers):
    common = (root, validation_root, RECIPES[name], mixing, num_workers)
    stock = train(torch.utils.data.DataLoader, *common)
    with natively():
        ours = train(fastload.DataLoader, *common)
    assert_same_losses(ours[0], stock[0], STEPS)
    assert_same_losses(ours[1], stock[1], EPOCHS * 3)
    assert_native(ours[2], "native", STEPS // EPOCHS * BATCH)
    assert_native(ours[3], images=CLASSES * 4)
