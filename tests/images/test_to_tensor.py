"""torchvision's ``to_tensor`` of lazy images, that functions have cropped and turned: the very tensor, in one pass."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.functional as F
import torchvision.transforms.v2.functional as F2
from torchvision.transforms.functional import to_tensor as imported_before

import fastload
from fastload.images import is_lazy, lazy_figures
from fastload.reports import Statistics
from images import jpeg_bytes, picture

JPEG = jpeg_bytes(2, 90, 70)
PLAIN = vars(F)["to_tensor"]


def gray() -> bytes:
    file = io.BytesIO()
    picture(6, 101, 77).convert("L").save(file, "JPEG")
    return file.getvalue()


CHAINS = {
    "whole": lambda i: i,
    "cropped and resized": lambda i: F.resized_crop(i, 5, 9, 40, 50, (32, 24)),
    "of functions of v2": lambda i: F2.horizontal_flip(F2.resized_crop(i, 5, 9, 40, 50, [32, 24])),
    "turned": lambda i: F.vflip(F.hflip(F.center_crop(i, 40))),
    "of Pillow": lambda i: i.crop((5, 5, 60, 50)).transpose(PIL.Image.Transpose.ROTATE_90).resize((20, 30)),
    "one pixel": lambda i: i.resize((1, 1)),
    "gray": lambda i: i.convert("L"),
    "with transparency": lambda i: i.info.update(transparency=(1, 2, 3)) or i,
    "changed": lambda i: i.putpixel((0, 0), (1, 2, 3)) or i,
    "no image": lambda i: "an image",
    "an array": np.array,
    "a flat array": lambda i: np.array(i)[0, 0],
    "another mode": lambda i: i.convert("CMYK"),
}


@pytest.fixture(autouse=True)
def uninstalled():
    yield
    fastload.uninstall()
    assert vars(F)["to_tensor"] is PLAIN


def outcome(call, chain, data):
    try:
        tensor = call(chain(PIL.Image.open(io.BytesIO(data)).convert("RGB")))
    except Exception as error:
        return type(error), str(error)
    return type(tensor), tensor.dtype, tensor.shape, tensor.stride(), tensor.tolist()


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("data", [JPEG, gray()], ids=["colour", "gray"])
def test_tensors(name, data):
    for element in (torch.float32, torch.float64):
        before = torch.get_default_dtype()
        torch.set_default_dtype(element)
        try:
            expected = outcome(PLAIN, CHAINS[name], data)
            fastload.install()
            for call in (F.to_tensor, v1.ToTensor(), imported_before):
                for _ in range(3):
                    assert outcome(call, CHAINS[name], data) == expected
            fastload.uninstall()
        finally:
            torch.set_default_dtype(before)


def test_the_image_stays_lazy():
    fastload.install()
    image = F.resized_crop(PIL.Image.open(io.BytesIO(JPEG)).convert("RGB"), 5, 9, 40, 50, (32, 24))
    begun = Statistics()
    one, other = F.to_tensor(image), F.to_tensor(pic=image)
    assert is_lazy(image) and lazy_figures(begun)["lazy"]["tensors"] == 2
    one.zero_()
    assert torch.equal(other, PLAIN(image)) and other.abs().sum() > 0


def test_under_a_mode():
    fastload.install()
    image = PIL.Image.open(io.BytesIO(JPEG)).convert("RGB")
    with torch.device("meta"):
        made = outcome(F.to_tensor, lambda i: i, JPEG)
        assert made == outcome(PLAIN, lambda i: i, JPEG)
    assert torch.equal(F.to_tensor(image), PLAIN(image))
