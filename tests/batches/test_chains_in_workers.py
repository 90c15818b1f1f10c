"""Chains whose samples do not lie as a batch does, in workers: with the channels last in memory, of one channel, as arrays."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from placed_samples import COUNT, SIDE, Photos, form, needs_blocks
from torch.utils.data import DataLoader as StockLoader

import fastload
from fastload import DataLoader
from images import picture

pytestmark = needs_blocks


def jpeg(seed: int, mode: str) -> bytes:
    file = io.BytesIO()
    picture(seed, 220 + seed, 200).convert(mode).save(file, "JPEG")
    return file.getvalue()


FILES = {mode: [jpeg(seed, mode) for seed in range(COUNT)] for mode in ("RGB", "L")}
CROP = [v1.RandomResizedCrop(SIDE), v1.RandomHorizontalFlip()]
CROP2 = [v2.RandomResizedCrop(SIDE), v2.RandomHorizontalFlip()]


def as_array(image):
    return np.array(image)


def of_array(image):
    return torch.from_numpy(np.array(np.asarray(image)))


def turned(image):
    return torch.from_numpy(np.array(np.asarray(image))).permute(2, 0, 1)


CHAINS = {
    "ToImage": [*CROP2, v2.ToImage()],
    "ToImage and ToPureTensor": [*CROP2, v2.ToImage(), v2.ToPureTensor()],
    "PILToTensor of v2": [*CROP2, v2.PILToTensor()],
    "PILToTensor": [*CROP, v1.PILToTensor()],
    "ToImage and ToDtype": [*CROP2, v2.ToImage(), v2.ToDtype(torch.float32, scale=True)],
    "ToImage, ToDtype and Normalize": [
        *CROP2,
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5], [0.2]),
    ],
    "an array": [*CROP, as_array],
    "a tensor of an array": [*CROP, of_array],
    "and turned": [*CROP, turned],
    "ToTensor": [*CROP, v1.ToTensor()],
    "Grayscale": [*CROP, v1.Grayscale(), v1.ToTensor()],
    "Grayscale of v2": [*CROP2, v2.Grayscale(), v2.ToImage()],
    "Grayscale of three": [*CROP, v1.Grayscale(3), v1.PILToTensor()],
}
OPENED = {
    "RGB": lambda image: image,
    "L": lambda image: image,
    "L as RGB": lambda image: image.convert("RGB"),
    "RGB as L": lambda image: image.convert("L"),
}


def photos(open_image, transform, opened):
    def make(index):
        image = open_image(io.BytesIO(FILES["L" if opened.startswith("L") else "RGB"][index % COUNT]))
        return transform(OPENED[opened](image)), torch.rand(3), index

    return Photos("", make)


@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize("name", CHAINS)
def test_batches_are_torchs(name, opened):
    if name == "and turned" and opened in ("L", "RGB as L"):
        pytest.skip("an image of one channel has no third side")
    plain = v1.Compose(CHAINS[name]) if name[-2:] != "v2" else v2.Compose(CHAINS[name])
    options = {"batch_size": 4, "num_workers": 1, "multiprocessing_context": "fork", "shuffle": True}
    batches = []
    for Loader, open_image, transform in (
        (DataLoader, fastload.open, fastload.native(plain)),
        (StockLoader, PIL.Image.open, plain),
    ):
        torch.manual_seed(8)
        batches.append([form(batch) for batch in Loader(photos(open_image, transform, opened), **options)])
    assert batches[0] == batches[1]
    assert len(batches[0]) == 5


@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize("name", CHAINS)
def test_samples_are_torchs(name, opened):
    """Before they are collated, where strides can differ: as they are for a collate_fn of the user's."""
    if name == "and turned" and opened in ("L", "RGB as L"):
        pytest.skip("an image of one channel has no third side")
    plain = v1.Compose(CHAINS[name])
    samples = []
    for open_image, transform in ((fastload.open, fastload.native(plain)), (PIL.Image.open, plain)):
        torch.manual_seed(8)
        made = [photos(open_image, transform, opened)[index][:2] for index in range(4)]
        samples.append(
            [(type(x), x.dtype, x.shape, strides(x), np.asarray(x).tobytes(), drawn.tolist()) for x, drawn in made]
        )
    assert samples[0] == samples[1]


def strides(sample):
    return sample.stride() if isinstance(sample, torch.Tensor) else sample.strides
