"""What the other tests of clients rest on: nobody but the engine decodes an image there."""

from __future__ import annotations

import pytest
import torch
from torchvision.datasets import ImageFolder

import fastload
from training import EVALUATE


@pytest.mark.parametrize("num_workers", [0, 1])
def test_torchs_loader_is_caught(root, natively, num_workers):
    dataset = ImageFolder(root, EVALUATE)
    with natively():
        assert len(list(fastload.DataLoader(dataset, 36, num_workers=num_workers))) == 1
        with pytest.raises(AssertionError, match="Pillow decoded a file"):
            list(torch.utils.data.DataLoader(dataset, 36, num_workers=num_workers))
    assert len(list(torch.utils.data.DataLoader(dataset, 36, num_workers=num_workers))) == 1
