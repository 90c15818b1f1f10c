"""Chains of changes of colour and of shape, drawn at random: values, types and generators of the loader are torchvision's."""

from __future__ import annotations

import io
import random
import re

import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from chains import assert_as_stock, write_images
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.datasets import ImageFolder

import fastload
from fastload.transforms.split_transforms import read
from images import jpeg_bytes
from recipes import InPython

SIDE = 24


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Gray, CMYK, tiny and 4:2:0 images; a PNG with alpha, for Pillow."""
    root = tmp_path_factory.mktemp("colours")
    write_images(root)
    return root


def between(rng: random.Random, low: float, high: float) -> tuple[float, float]:
    ends = sorted(rng.choice([low, high, round(rng.uniform(low, high), 2)]) for _ in range(2))
    return ends[0], ends[1]


def step(rng: random.Random, module, depth: int = 0):
    """One transform that the engine knows, with arguments of many forms."""
    p = rng.choice([0.0, 0.1, 0.5, 0.8, 1.0, rng.random()])
    kinds = {
        "jitter": lambda: module.ColorJitter(
            between(rng, 0, 3),
            rng.choice([0, 0.4, 1.5]),
            between(rng, 0, 9),
            rng.choice([0, 0.1, 0.5, between(rng, -0.5, 0.5)]),
        ),
        "gray": lambda: module.RandomGrayscale(p),
        "gray of three": lambda: module.Grayscale(3),
        "invert": lambda: module.RandomInvert(p),
        "posterize": lambda: module.RandomPosterize(rng.randint(1, 8), p),
        "solarize": lambda: module.RandomSolarize(rng.choice([0, 128, 255.5, rng.uniform(0, 256)]), p),
        "autocontrast": lambda: module.RandomAutocontrast(p),
        "equalize": lambda: module.RandomEqualize(p),
        "sharpness": lambda: module.RandomAdjustSharpness(rng.choice([0, 1, 2, rng.uniform(0, 20)]), p),
        "flip": lambda: rng.choice([module.RandomHorizontalFlip, module.RandomVerticalFlip])(p),
        "crop": lambda: module.RandomResizedCrop(
            rng.randint(1, 40), interpolation=rng.choice(list(v1.InterpolationMode))
        ),
        "resize": lambda: module.Resize((rng.randint(1, 40), rng.randint(1, 40))),
        "window": lambda: module.RandomCrop(rng.randint(1, 40), pad_if_needed=True, padding=rng.choice([None, 3])),
        "pad": lambda: module.Pad(rng.randint(0, 4), fill=rng.randint(0, 255)),
    }
    if module is v2:
        kinds["distort"] = lambda: v2.RandomPhotometricDistort(hue=between(rng, -0.5, 0.5), p=p)
        kinds["channels"] = v2.RandomChannelPermutation
        kinds["rgb"] = v2.RGB
    if depth < 2:
        kinds["apply"] = lambda: module.RandomApply(steps(rng, module, depth + 1), p)
        if module is v2:
            kinds["order"] = lambda: v2.RandomOrder(steps(rng, module, depth + 1))
    return kinds[rng.choice([*kinds])]()


def steps(rng: random.Random, module, depth: int) -> list:
    return [step(rng, module, depth) for _ in range(rng.randint(1, 2))]


def chain(rng: random.Random):
    module = rng.choice([v1, v2])
    gray = [module.Grayscale(1)] if rng.random() < 0.2 else []
    body = [step(rng, module) for _ in range(rng.randint(1, 3))]
    return module.Compose([*gray, *body, module.CenterCrop(SIDE), module.PILToTensor()])


def many_chains(root, first: int, count: int) -> int:
    """How many of them were native to the end."""
    native = 0
    for seed in range(first, first + count):
        transform = chain(random.Random(seed))
        reading = read(transform)
        if reading.tail:  # of what torch's collate may not make a batch of, either
            assert re.search("up to 32 steps|another number of channels", reading.tail_reason), (
                reading.tail_reason,
                transform,
            )
            continue
        native += 1
        assert_as_stock(root, transform, seed)
    return native


def test_random_chains(root):
    assert many_chains(root, 0, 16) > 12


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_two_thousand_chains(root, part):
    @settings(max_examples=100)
    @given(seed=st.integers(0, 2**32 - 1))
    def hold(seed):
        many_chains(root, 2**32 * (1 + part) + seed, 1)

    hold()


SIMCLR = [
    lambda m: m.RandomResizedCrop(SIDE),
    lambda m: m.RandomHorizontalFlip(),
    lambda m: m.RandomApply([m.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
    lambda m: m.RandomGrayscale(0.2),
    lambda m: m.RandomSolarize(128, 0.2),
    lambda m: m.ToTensor() if m is v1 else m.ToImage(),
]


@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("workers", [0, 2])
def test_simclr(root, module, workers):
    transform = module.Compose([form(module) for form in SIMCLR])
    explanation = fastload.DataLoader(ImageFolder(str(root), transform)).explain()
    assert "threads of this process" in explanation and "Python" not in explanation
    assert_as_stock(root, transform, 3, num_workers=workers)


def test_in_torchs_workers(root):
    """A tail in Python keeps the samples there."""
    transform = v1.Compose([v1.RandomResizedCrop(SIDE), v1.ColorJitter(0.4, 0.4, 0.4, 0.1), v1.ToTensor(), InPython()])
    loader = fastload.DataLoader(ImageFolder(str(root), transform), num_workers=2)
    assert "torch's workers" in loader.explain()
    assert_as_stock(root, transform, 4, num_workers=2)


def test_containers_with_what_is_not_native_are_tails(root):
    for inner in (v1.ToTensor(), v1.Grayscale(1), v1.Lambda(lambda image: image.rotate(3))):
        reading = read(v1.Compose([v1.Resize((SIDE, SIDE)), v1.RandomApply([v1.RandomInvert(), inner])]))
        assert len(reading.native) == 1 and reading.tail_reason.startswith("RandomApply: ")


def test_what_a_container_holds_is_watched():
    jitter = v1.ColorJitter(0.4)
    reading = read(v1.Compose([v1.RandomApply([jitter])]))
    assert reading.native and reading.watch.holds()
    jitter.brightness = (0.1, 0.2)
    assert not reading.watch.holds()


def test_lazy_images():
    file = io.BytesIO(jpeg_bytes(1, 90, 61))
    transform = v1.Compose([v1.RandomResizedCrop(SIDE), v1.ColorJitter(0.4, 0.4, 0.4, 0.1), v1.ToTensor()])
    fast = fastload.native(transform)
    for seed in range(6):
        torch.manual_seed(seed)
        ours, our_state = fast(fastload.open(file.getvalue())), torch.get_rng_state()
        torch.manual_seed(seed)
        assert torch.equal(ours, transform(PIL.Image.open(file)))
        assert torch.equal(our_state, torch.get_rng_state())
