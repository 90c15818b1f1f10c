"""Samples one by one (``batch_size=None``) and refused images: types, strides and errors are those of torch's loader too."""

from __future__ import annotations

import random

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision import tv_tensors
from torchvision.datasets import ImageFolder

import fastload
from fastload.transforms import read
from images import write_folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("folder"), classes=1, images=3, largest=60)
    for mode in ("RGB", "L"):
        PIL.Image.new(mode, (1, 1), 77).save(next(folder.iterdir()) / f"{mode}.jpg")
    wide = np.random.default_rng(0).integers(0, 256, (2, 400, 3), dtype=np.uint8)
    PIL.Image.fromarray(wide).save(next(folder.iterdir()) / "wide.jpg")
    return folder


def given(cls, root, transform, **options):
    """What each step of the loop gives: type, strides and values, or an error."""
    torch.manual_seed(3)
    random.seed(3)
    iterator, found = iter(cls(ImageFolder(str(root), transform), **options)), []
    for _ in range(12):
        try:
            image = next(iterator)[0]
            found.append((type(image), image.dtype, tuple(image.shape), image.stride(), image.flatten().tolist()))
        except StopIteration:
            break
        except Exception as error:
            found.append(error)
    return found, torch.get_rng_state().tolist()


@pytest.mark.parametrize(
    "steps",
    [
        [v2.ToImage(), v1.RandomHorizontalFlip(0.5)],
        [v2.ToImage(), v1.RandomVerticalFlip(0.5), v2.ToDtype({tv_tensors.Image: torch.float32, "others": None})],
        [v1.RandomInvert(), v1.ToTensor()],
        [v1.Grayscale(1), v1.ToTensor(), v1.Normalize([0.5], [0.5])],
        [v2.RandomInvert(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)],
    ],
    ids=["flipped image", "converted by type", "tensor", "gray", "image"],
)
def test_one_by_one(root, steps):
    transform = v1.Compose([v1.RandomRotation(3), *steps])
    assert read(transform).native
    assert given(fastload.DataLoader, root, transform, batch_size=None) == given(
        torch.utils.data.DataLoader, root, transform, batch_size=None
    )


@pytest.mark.parametrize("step", [v2.ScaleJitter((40, 32)), v1.RandomChoice([v1.Resize(20), v1.Resize((70, 70))])])
def test_an_error_that_depends_on_what_was_drawn(root, step):
    """Here some images are refused at some sizes, whatever the size is with other numbers."""
    transform = v1.Compose([step, v1.RandomCrop(24, pad_if_needed=isinstance(step, v2.ScaleJitter)), v1.ToTensor()])
    assert "threads of this process" in fastload.DataLoader(ImageFolder(str(root), transform), 1).explain()
    (stock, state), (ours, our_state) = (
        given(cls, root, transform, batch_size=1) for cls in (torch.utils.data.DataLoader, fastload.DataLoader)
    )
    assert our_state == state and len(ours) == len(stock)
    errors = 0
    for one, other in zip(ours, stock, strict=True):
        errors += isinstance(other, Exception)
        assert isinstance(one, type(other)) if isinstance(other, Exception) else one == other
    assert errors
