"""Borders that are wider than the image, reflected: as the NumPy pads that torchvision calls, whichever it is."""

from __future__ import annotations

import PIL.Image
import pytest
import torch
import torchvision.transforms as v1
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

import fastload
from fastload.transforms.argument_forms import numpy_errs

SIZE = WIDTH, HEIGHT = 3, 4
# Left, top, right, bottom; NumPy 1 errs in the first.
UNEVEN, EVEN = (1, 2, 8, 19), (9, 17, 9, 17)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("small")
    (root / "class").mkdir()
    for number in range(4):
        pixels = torch.arange(3 * WIDTH * HEIGHT, dtype=torch.uint8) * 5 + number
        image = PIL.Image.frombytes("RGB", SIZE, pixels.numpy().tobytes())
        image.save(root / "class" / f"{number}.jpg", quality=95)
    return root


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
@pytest.mark.parametrize("sides", [UNEVEN, EVEN], ids=["uneven", "even"])
@pytest.mark.parametrize("kind", ["Pad", "RandomCrop", "v2.Pad", "v2.RandomCrop"])
def test_batches_are_torchs(folder, kind, sides, mode):
    module = v2 if kind.startswith("v2.") else v1
    left, top, right, bottom = sides
    whole = (top + HEIGHT + bottom, left + WIDTH + right)
    if kind.endswith("Pad"):
        steps = [module.Pad(sides, padding_mode=mode), module.CenterCrop(whole)]
    else:
        steps = [module.RandomCrop(whole, padding=sides, padding_mode=mode)]
    dataset = ImageFolder(folder, v1.Compose([*steps, v1.PILToTensor()]))
    torch.manual_seed(3)
    expected = [images for images, _ in torch.utils.data.DataLoader(dataset, batch_size=2)]
    torch.manual_seed(3)
    loader = fastload.DataLoader(dataset, batch_size=2)
    for images, (found, _) in zip(expected, loader, strict=True):
        assert torch.equal(images, found)
    is_native = "native:" in loader.explain()
    assert is_native or (sides == UNEVEN and numpy_errs(mode, 1, 8))
