"""timm's RandomErasing of single samples in native threads: equal batches, and the generators as torch's loader leaves them."""

from __future__ import annotations

import math
import random

import pytest
import timm.data.random_erasing as random_erasing
import timm.data.transforms as timm_transforms
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from hypothesis import given, settings
from hypothesis import strategies as st
from test_timm_recipes import assert_as_stock, is_native, loaders
from timm.data import create_transform
from timm.data.random_erasing import RandomErasing
from torchvision.datasets import ImageFolder

import fastload
from cases import cases
from fastload.transforms import read
from images import write_folder

SIDE = 32
MODES = ["const", "rand", "pixel"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = write_folder(tmp_path_factory.mktemp("images"), classes=2, images=6)
    image = v1.functional.to_pil_image(torch.randint(0, 256, (1, 41, 53), dtype=torch.uint8))
    image.save(f"{root}/{next(root.iterdir()).name}/gray.jpg")
    return root


def chain(erasing, *, size=(SIDE, 40), gray=False, after=(), conversion=None):
    first = [v1.Resize(size), *([v1.Grayscale()] if gray else [])]
    return v1.Compose([*first, conversion or timm_transforms.MaybeToTensor(), erasing, *after])


@pytest.mark.parametrize("count", [(1, None), (0, 3), (2, 2)], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_modes(folder, mode, count):
    least, most = count
    for gray in (False, True):
        erasing = RandomErasing(0.7, mode=mode, min_count=least, max_count=most, device="cpu")
        dataset = ImageFolder(folder, chain(erasing, gray=gray))
        assert is_native(dataset)
        assert_as_stock(loaders(dataset), epochs=3)


@pytest.mark.parametrize("num_workers", [0, 1, 2])
@pytest.mark.parametrize("mode", MODES)
def test_the_whole_recipe(folder, mode, num_workers):
    """As create_loader has it without its prefetcher."""
    transform = create_transform(
        SIDE, is_training=True, auto_augment="rand-m8-mstd0.5-inc1", re_prob=0.5, re_mode=mode, re_count=2
    )
    dataset = ImageFolder(folder, transform)
    assert is_native(dataset, num_workers=num_workers)
    assert_as_stock(loaders(dataset, num_workers=num_workers))


def test_of_other_dtypes(folder):
    """Zeros in any; noise, which torch draws otherwise there, in float32 alone."""
    for conversion in (
        v1.PILToTensor(),
        timm_transforms.ToTensor(torch.float16),
        timm_transforms.ToTensor(torch.float64),
    ):
        dataset = ImageFolder(folder, chain(RandomErasing(0.8, device="cpu"), conversion=conversion))
        assert is_native(dataset)
        assert_as_stock(loaders(dataset))
        if conversion is v1.PILToTensor:
            continue
        dataset = ImageFolder(folder, chain(RandomErasing(0.8, mode="pixel", device="cpu"), conversion=conversion))
        assert "noise of" in read(dataset.transform).tail_reason
    assert_as_stock(loaders(dataset))


def test_on_tv_tensors(folder):
    erasing = RandomErasing(0.8, mode="pixel", device=torch.device("cpu"))
    steps = [v2.Resize((SIDE, SIDE)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), erasing]
    dataset = ImageFolder(folder, v2.Compose(steps))
    assert is_native(dataset)
    assert_as_stock(loaders(dataset))


@pytest.mark.parametrize("mode", MODES)
def test_flips_and_erasings_behind_it(folder, mode):
    after = (v1.RandomHorizontalFlip(), v1.RandomVerticalFlip(), v1.RandomErasing(0.5, value="random"))
    dataset = ImageFolder(folder, chain(RandomErasing(0.8, mode=mode, max_count=2, device="cpu"), after=after))
    assert is_native(dataset)
    assert_as_stock(loaders(dataset), epochs=3)


def test_values_that_are_changed_behind_it(folder):
    """Zeros may be; noise stays in Python."""
    after = (v1.Normalize([0.5] * 3, [0.2] * 3),)
    dataset = ImageFolder(folder, chain(RandomErasing(0.8, device="cpu"), after=after))
    assert is_native(dataset)
    assert_as_stock(loaders(dataset))
    dataset = ImageFolder(folder, chain(RandomErasing(0.8, mode="rand", device="cpu"), after=after))
    assert not is_native(dataset)
    assert_as_stock(loaders(dataset))


@settings(max_examples=cases(25, 300))
@given(seed=st.integers(0, 2**32 - 1))
def test_any_arguments(folder, seed):
    rng = random.Random(seed)
    least = rng.choice([0.0, 0.0, 0.02, 0.9])
    count = rng.randint(0, 4)
    erasing = RandomErasing(
        probability=rng.choice([0, 1, rng.random(), -1, 2]),
        min_area=least,
        max_area=rng.choice([least, least + rng.random(), 3]),
        min_aspect=rng.choice([0.3, 1e-4, 1.0, 4.0]),
        max_aspect=rng.choice([None, 5, 1e4]),
        mode=rng.choice([*MODES, "", "PIXEL"]),
        min_count=count,
        max_count=rng.choice([None, count + rng.randint(0, 5)]),
        device="cpu",
    )
    if erasing.max_count < erasing.min_count:
        return
    size = rng.randint(1, 40), rng.randint(1, 40)
    transform = chain(erasing, size=size, gray=rng.random() < 0.3)
    assert not read(transform).tail, read(transform).tail_reason
    assert_as_stock(loaders(ImageFolder(folder, transform)), seed=seed, epochs=1)


NOT_NATIVE = {
    "another device": (lambda: RandomErasing(0.5), "device='cuda'"),
    "an absurd ratio": (lambda: RandomErasing(0.5, min_aspect=1e-300, device="cpu"), "log_aspect_ratio"),
    "no number": (lambda: RandomErasing(math.nan, device="cpu"), "probability=nan"),
    "too many": (lambda: RandomErasing(0.5, max_count=10**6, device="cpu"), "max_count"),
    "none at all": (lambda: RandomErasing(0.5, min_count=3, max_count=2, device="cpu"), "max_count"),
    "a number that is none": (lambda: RandomErasing(0.5, min_area=torch.tensor(0.1), device="cpu"), "min_area"),
}


@pytest.mark.parametrize("name", NOT_NATIVE)
def test_what_is_left_to_python(name):
    make, reason = NOT_NATIVE[name]
    assert reason in read(chain(make())).tail_reason


def test_an_image_is_no_tensor(folder):
    assert "this is an image" in read(v1.Compose([v1.CenterCrop(8), RandomErasing(device="cpu")])).tail_reason
    to_array = chain(RandomErasing(device="cpu"), conversion=timm_transforms.ToNumpy())
    assert "this is an array" in read(to_array).tail_reason


REPLACED = {
    "a method": (RandomErasing, "_erase", lambda self, img, *given: img.zero_()),
    "a function of its own": (random_erasing, "_get_pixels", lambda *given, **named: torch.tensor(0.5)),
    "a function that all call": (random, "randint", lambda a, b: b),
    "torch's noise": (torch.Tensor, "normal_", lambda self: self.fill_(0.25)),
}


@pytest.mark.parametrize("name", REPLACED)
def test_what_is_replaced_is_noticed(folder, monkeypatch, name):
    dataset = ImageFolder(folder, chain(RandomErasing(0.9, mode="pixel", device="cpu")))
    assert is_native(dataset)
    iter(fastload.DataLoader(dataset, batch_size=4))
    owner, attribute, value = REPLACED[name]
    monkeypatch.setattr(owner, attribute, value)
    assert not is_native(dataset)
    assert_as_stock(loaders(dataset))


def test_changes_in_place_count(folder):
    def make(Loader):
        dataset = ImageFolder(folder, chain(RandomErasing(0.9, mode="rand", device="cpu")))
        loader = Loader(dataset, batch_size=4)

        def batches():
            for batch in loader:
                yield batch
                dataset.transform.transforms[-1].probability /= 2
                dataset.transform.transforms[-1].per_pixel = True

        return batches()

    assert_as_stock(make, epochs=1)
