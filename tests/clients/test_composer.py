"""What MosaicML's Composer asks of a loader, without Composer: a fresh loader, and transforms that algorithms change."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms as v1
from torch.nn.functional import cross_entropy
from torchvision.datasets import ImageFolder
from torchvision.datasets.vision import VisionDataset

import fastload
from training import CLASSES, IMAGES, TRAIN, Network, assert_native, assert_same_losses, optimizer_of

BATCH, EPOCHS = 8, 2
STEPS = -(-CLASSES * IMAGES // BATCH)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_algorithm_changes_the_transform_of_a_fresh_loader(root, natively, num_workers):
    def run(loader_class, folder_class):
        torch.manual_seed(9)
        loader = loader_class(folder_class(root, TRAIN), BATCH, shuffle=True, num_workers=num_workers)
        assert loader._iterator is None  # Composer refuses a loader that is in use
        assert isinstance(loader.dataset, VisionDataset) and len(loader.dataset) == CLASSES * IMAGES
        resize, *rest = loader.dataset.transform.transforms
        network = Network()
        optimizer = optimizer_of(network)
        losses = []
        for epoch in range(EPOCHS):
            loader.dataset.transform = v1.Compose(
                [resize, v1.RandomVerticalFlip(), v1.RandomGrayscale(epoch / 2), *rest]
            )
            for images, targets in loader:
                loss = cross_entropy(network(images), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        assert loader._iterator is None
        return losses, loader

    stock, _ = run(torch.utils.data.DataLoader, ImageFolder)
    with natively():
        ours, loader = run(fastload.DataLoader, fastload.ImageFolder)
    assert_same_losses(ours, stock, EPOCHS * STEPS)
    assert_native(loader, images=CLASSES * IMAGES)
