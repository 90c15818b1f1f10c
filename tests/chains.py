"""Chains of transforms beside torchvision's own: a folder of awkward images, and the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.utils.data
from torchvision.datasets import ImageFolder

import fastload
from images import jpeg_bytes, picture

SIZES = [(1, 1), (2, 3), (3, 50), (37, 23), (64, 64), (90, 61)]  # width and height


def write_images(root: Path, sizes=SIZES) -> None:
    """Gray, CMYK, tiny and 4:2:0 images; a PNG with alpha, for Pillow."""
    folder = root / "class"
    folder.mkdir(parents=True)
    for number, (width, height) in enumerate(sizes):
        (folder / f"{number}-420.jpg").write_bytes(jpeg_bytes(number, width, height, form=2))
        (folder / f"{number}-444.jpg").write_bytes(jpeg_bytes(number, width, height, form=0))
        for mode in ("L", "CMYK"):
            picture(number, width, height).convert(mode).save(folder / f"{number}-{mode}.jpg")
    picture(9, 40, 30).convert("RGBA").save(folder / "alpha.png")
    PIL.Image.fromarray(np.full((9, 9, 3), 77, dtype=np.uint8)).save(folder / "flat.jpg")


def batches(cls: Any, dataset: ImageFolder, seed: int, **options: Any) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The values of an epoch, and torch's generator afterwards."""
    torch.manual_seed(seed)
    loader = cls(dataset, batch_size=5, shuffle=True, **options)
    return [values for values, _ in loader], torch.get_rng_state()


def assert_as_stock(root: Path, transform: Any, seed: int, **options: Any) -> None:
    dataset = ImageFolder(str(root), transform)
    ours, our_state = batches(fastload.DataLoader, dataset, seed, **options)
    stock, state = batches(torch.utils.data.DataLoader, dataset, seed, **options)
    assert len(ours) == len(stock) > 0
    for mine, theirs in zip(ours, stock, strict=True):
        assert mine.dtype == theirs.dtype and torch.equal(mine, theirs), transform
    assert torch.equal(our_state, state), transform
