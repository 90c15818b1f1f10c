"""Callables of a program that blur, solarize or convert by Pillow: native where their code says what they do, else as they are."""

from __future__ import annotations

import random

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.functional as F
import torchvision.transforms.v2 as v2
from drawn_batches import assert_as_stock, seed
from PIL import ImageFilter, ImageOps
from torchvision.datasets import ImageFolder

import fastload
from fastload.transforms.split_transforms import read
from images import write_folder

SIDE = 32


class DinoBlur:
    def __init__(self, p=0.5, radius_min=0.1, radius_max=2.0):
        self.prob = p
        self.radius_min = radius_min
        self.radius_max = radius_max

    def __call__(self, img):
        do_it = random.random() <= self.prob
        if not do_it:
            return img

        return img.filter(ImageFilter.GaussianBlur(radius=random.uniform(self.radius_min, self.radius_max)))


class Solarization:
    def __init__(self, p):
        self.p = p

    def __call__(self, img):
        if random.random() < self.p:
            return ImageOps.solarize(img)
        else:  # noqa: RET505  # as DINO has it
            return img


class MocoBlur:
    def __init__(self, sigma=(0.1, 2.0)):
        self.sigma = list(sigma)

    def __call__(self, x):
        sigma = random.uniform(self.sigma[0], self.sigma[1])
        x = x.filter(ImageFilter.GaussianBlur(radius=sigma))
        return x  # noqa: RET504


class NumpyBlur(torch.nn.Module):
    def __init__(self, prob):
        super().__init__()
        self.prob = prob

    def forward(self, sample):
        if np.random.random_sample() < self.prob:
            return self.blurred(sample)
        return sample

    def blurred(self, sample):
        radius = np.random.uniform(0.5, 3)
        return sample.filter(ImageFilter.GaussianBlur(radius))


def to_rgb(image):
    return image.convert("RGB")


def too_rarely(image):
    if random.random() > 0.9:
        return image
    return ImageOps.posterize(ImageOps.invert(image), bits=3)


NATIVE = {
    "DINO": lambda: [DinoBlur(0.6), Solarization(0.5)],
    "DINO, always and never": lambda: [DinoBlur(1.0), Solarization(0)],
    "MoCo": lambda: [v1.RandomApply([MocoBlur([0.1, 2.0])], p=0.5)],
    "lightly": lambda: [NumpyBlur(0.5), DinoBlur()],
    "CLIP": lambda: [to_rgb],
    "functions": lambda: [too_rarely, lambda image: ImageOps.equalize(image)],
    "lambdas": lambda: [v1.Lambda(lambda image: image.convert("RGB")), v2.Lambda(lambda x: ImageOps.solarize(x, 77))],
    "of a library": lambda: [ImageOps.equalize, v1.Lambda(ImageOps.invert)],
    "nothing": lambda: [lambda image: image],
    "fixed": lambda: [lambda image: image.filter(ImageFilter.GaussianBlur(1.5)), v1.RandomInvert()],
}


class Remembers(MocoBlur):
    def __call__(self, x):
        self.last = x
        return x


class Twice(MocoBlur):
    def __call__(self, x):
        random.random()
        return x.filter(ImageFilter.GaussianBlur(random.uniform(*self.sigma)))


class Rarely:
    def __call__(self, x):
        if random.random() > 0.4:
            x = ImageOps.invert(x)
        return x


def if_it_has_no_palette(image):
    return ImageOps.equalize(image) if image.palette is None else image


IN_PYTHON = {
    "remembers": Remembers,
    "draws for nothing": Twice,
    "above a number": Rarely,
    "another filter": lambda: v1.Lambda(lambda image: image.filter(ImageFilter.MedianFilter(3))),
    "in either case": lambda: lambda image: ImageOps.invert(image)
    if random.random() < 0.4
    else ImageOps.equalize(image),
    "far": lambda: DinoBlur(1.0, 0, 1000),
    "asks for what is not known": lambda: if_it_has_no_palette,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=4, largest=60)


def chain(steps):
    return v1.Compose([v1.RandomResizedCrop(SIDE), v1.RandomHorizontalFlip(), *steps, v1.ToTensor()])


@pytest.mark.parametrize("name", NATIVE)
def test_native(root, name):
    transform = chain(NATIVE[name]())
    reading = read(transform)
    assert not reading.tail, reading.tail_reason
    assert "threads of this process" in fastload.DataLoader(ImageFolder(str(root), transform)).explain()
    for number in range(3):
        assert_as_stock(root, transform, number)


@pytest.mark.parametrize("name", ["DINO", "lightly"])
def test_in_workers(root, name):
    assert_as_stock(root, chain(NATIVE[name]()), 4, num_workers=2)


@pytest.mark.parametrize("name", IN_PYTHON)
def test_what_is_not_certain_runs_in_python(root, name):
    transform = chain([IN_PYTHON[name]()])
    assert len(read(transform).tail) == 2
    assert_as_stock(root, transform, 5)


def test_functions_of_torchvision_convert():
    assert read(
        v1.Compose([v1.Resize((9, 9)), lambda image: F.to_tensor(image), v1.Normalize([0.5] * 3, [0.5] * 3)])
    ).is_tensor
    assert (
        read(
            v1.Compose([v1.Resize((9, 9)), v1.Lambda(lambda image: image.convert("L")), v1.ToTensor()])
        ).pixelwise.table.shape[0]
        == 1
    )


def test_what_it_was_read_from_is_looked_at_again(root):
    blur = DinoBlur()
    reading = read(chain([blur]))
    assert reading.watch.holds()
    blur.radius_max = 3.0
    assert not reading.watch.holds()
    reading = read(chain([blur]))
    was = DinoBlur.__call__
    try:
        DinoBlur.__call__ = lambda self, img: img
        assert not reading.watch.holds()
    finally:
        DinoBlur.__call__ = was
    assert reading.watch.holds()


def test_a_draw_that_a_program_replaced(root, monkeypatch):
    transform = chain([DinoBlur(), Solarization(0.5)])
    monkeypatch.setattr(random, "random", random.Random(6).random)
    assert read(transform).tail
    monkeypatch.setattr(random, "random", lambda: 0.45)
    assert_as_stock(root, transform, 6)


def test_stats_name_them(root):
    loader = fastload.DataLoader(ImageFolder(str(root), chain([DinoBlur(1.0), to_rgb])), batch_size=4)
    list(loader)
    assert loader.stats()["stages"]["DinoBlur"] > 0


def test_on_lazy_images(root):
    path = ImageFolder(str(root)).samples[0][0]
    transform = chain([DinoBlur(0.7), Solarization(0.5)])
    fast = fastload.native(transform)
    for number in range(5):
        seed(number)
        ours, our_state = fast(fastload.open(path).convert("RGB")), random.getstate()
        seed(number)
        assert torch.equal(ours, transform(PIL.Image.open(path).convert("RGB")))
        assert our_state == random.getstate()
