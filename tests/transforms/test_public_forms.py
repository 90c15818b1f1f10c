"""Classes and functions in the forms that public projects have: native, and equal to torch's loader, generators and all."""

from __future__ import annotations

import random

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from drawn_batches import assert_as_stock, seed
from PIL import ImageFilter
from torchvision.datasets import ImageFolder

import fastload
from fastload.images.figures import figures
from fastload.transforms.split_transforms import read
from images import write_folder

SIDE = 32


class BlurOfDinov2(v1.RandomApply):
    """A constructor, and nothing else."""

    def __init__(self, *, p=0.5, radius_min=0.1, radius_max=2.0):
        super().__init__([v1.GaussianBlur(kernel_size=9, sigma=(radius_min, radius_max))], p=1 - p)


class MaybeToTensor(v1.ToTensor):
    def __call__(self, pic):
        if isinstance(pic, torch.Tensor):
            return pic
        return super().__call__(pic)


class OwnJitter(v2.ColorJitter):
    """Of the newer module."""


class OwnCompose(v1.Compose):
    def __init__(self, side):
        super().__init__([v1.RandomResizedCrop(side), v1.RandomHorizontalFlip()])


class BlurOfBarlowTwins:
    def __init__(self, p):
        self.p = p

    def __call__(self, img):
        if random.random() < self.p:
            sigma = random.random() * 1.9 + 0.1
            return img.filter(ImageFilter.GaussianBlur(sigma))
        return img


class BlurOfVicreg:
    def __init__(self, low=0.1, high=2.0):
        self.low, self.high = low, high

    def __call__(self, img):
        if np.random.rand() < 0.6:
            sigma = self.low + (self.high - self.low) * np.random.rand()
            return img.filter(ImageFilter.GaussianBlur(sigma))
        return img


def rgb_if_it_is_not(image):
    return image.convert("RGB") if image.mode != "RGB" else image


class Rescales:
    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def __call__(self, tensor):
        tensor = tensor.to(torch.float32)
        return tensor.sub(self.mean) / self.std


NATIVE = {
    "diffusion": lambda: [v1.ToTensor(), v1.Lambda(lambda t: (t * 2) - 1)],
    "of bytes": lambda: [v1.PILToTensor(), lambda x: x.float() / 255.0, v1.RandomErasing(), Rescales(0.5, 0.25)],
    "of the newer module": lambda: [v2.ToImage(), v2.ToDtype(torch.float64, scale=True), v2.Lambda(lambda t: 1 - t)],
    "DINOv2": lambda: [BlurOfDinov2(p=0.4), MaybeToTensor()],
    "subclasses": lambda: [OwnCompose(20), OwnJitter(0.3, 0.2), v1.ToTensor()],
    "Barlow Twins": lambda: [BlurOfBarlowTwins(0.7), v1.ToTensor()],
    "VICReg": lambda: [BlurOfVicreg(), v2.RandomInvert(0.5), v1.ToTensor()],
    "SimMIM": lambda: [v1.Lambda(rgb_if_it_is_not), v1.ToTensor()],
    "gray": lambda: [v1.Grayscale(), v1.Lambda(rgb_if_it_is_not), v1.ToTensor()],
}


number = 2.0


class Doubles(v1.ColorJitter):
    def forward(self, img):
        return super().forward(super().forward(img))


class TwoBlurs(BlurOfBarlowTwins):
    """One draw for two radii."""

    def __call__(self, img):
        sigma = random.random() * 1.9 + 0.1
        return img.filter(ImageFilter.GaussianBlur(sigma)).filter(ImageFilter.GaussianBlur(sigma))


class OtherRounding(BlurOfBarlowTwins):
    """0.7 + 0.1 - 0.7 is not 0.1."""

    def __call__(self, img):
        return img.filter(ImageFilter.GaussianBlur(random.random() * 0.1 + 0.7))


IN_PYTHON = {
    "overrides": lambda: Doubles(0.3),
    "one draw for two": lambda: TwoBlurs(1),
    "rounds otherwise": lambda: OtherRounding(1),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=4, largest=60)


def chain(steps):
    return v1.Compose([v1.RandomResizedCrop(SIDE), *steps])


@pytest.mark.parametrize("name", NATIVE)
def test_native(root, name):
    transform = chain(NATIVE[name]())
    assert not read(transform).tail, read(transform).tail_reason
    assert "threads of this process" in fastload.DataLoader(ImageFolder(str(root), transform)).explain()
    for number in range(3):
        assert_as_stock(root, transform, number)


def test_of_tensors_only_what_is_computed_for_each_value(root):
    for other in (
        lambda t: t - t.mean(),
        lambda t: t + torch.rand(1),
        lambda t: t[[2, 1, 0]],
        lambda t: (t * 255).int(),
        lambda t: t - t.mean() if t.dtype is torch.float32 else t,
        lambda t: t.bfloat16().sub(0.7, alpha=0.3),
        lambda t: t.half().add(0.1, alpha=0.3),
        lambda t: t.to("cpu"),
        lambda t: t.to(0) if t is None else t,
    ):
        transform = chain([v1.ToTensor(), other])
        assert len(read(transform).tail) == 1
        assert_as_stock(root, transform, 6)


def test_a_number_of_the_program_that_changes(root):
    reading = read(chain([v1.ToTensor(), lambda t: t * number]))
    assert not reading.tail and reading.watch.holds()
    globals()["number"] = 3.0
    try:
        assert not reading.watch.holds()
    finally:
        globals()["number"] = 2.0


@pytest.mark.parametrize("name", IN_PYTHON)
def test_what_may_be_something_else_runs_in_python(root, name):
    transform = chain([v1.RandomVerticalFlip(), IN_PYTHON[name](), v1.ToTensor()])
    assert len(read(transform).tail) == 2
    assert_as_stock(root, transform, 5)


def test_on_lazy_images(root):
    path = ImageFolder(str(root)).samples[0][0]
    transform = chain([BlurOfDinov2(p=0.5), rgb_if_it_is_not, BlurOfBarlowTwins(0.7), MaybeToTensor()])
    fast = fastload.native(transform)
    before = figures()["tensors"]
    for number in range(5):
        seed(number)
        ours, our_state = fast(fastload.open(path).convert("RGB")), random.getstate()
        seed(number)
        assert torch.equal(ours, transform(PIL.Image.open(path).convert("RGB")))
        assert our_state == random.getstate()
    assert figures()["tensors"] == before + 4  # the first is by the way


def test_a_subclass_that_learns_to_do_something_else(root):
    reading = read(chain([OwnJitter(0.3), v1.ToTensor()]))
    assert reading.watch.holds()
    OwnJitter.forward = lambda self, *inputs: inputs[0]
    try:
        assert not reading.watch.holds()
        assert len(read(chain([OwnJitter(0.3), v1.ToTensor()])).tail) == 2
    finally:
        del OwnJitter.forward
    assert reading.watch.holds()


def test_a_base_class_that_learns_to_convert_otherwise(root):
    reading = read(chain([MaybeToTensor()]))
    was = MaybeToTensor.__call__
    try:
        MaybeToTensor.__call__ = lambda self, pic: torch.zeros(3, SIDE, SIDE)
        assert not reading.watch.holds()
    finally:
        MaybeToTensor.__call__ = was
    assert reading.watch.holds()


def test_stats_name_what_erases(root):
    dataset = ImageFolder(str(root), chain([v1.ToTensor(), v1.RandomErasing(1.0, value="random")]))
    loader = fastload.DataLoader(dataset, batch_size=4)
    list(loader)
    assert loader.stats()["stages"]["RandomErasing"] > 0
