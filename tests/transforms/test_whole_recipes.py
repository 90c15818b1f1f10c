"""Whole recipes, drawn at random from everything that is native: values and three generators are those of torch's loader.

What is native is asked of the package, so that a transform takes part from the day on which it is.
"""

from __future__ import annotations

import functools
import os
import random
import warnings

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from chains import write_images
from PIL import ImageFilter, ImageOps
from torch.utils.data import Subset
from torchvision.datasets import ImageFolder

import fastload
from fastload.transforms.split_transforms import read

SIZES = [(1, 1), (2, 3), (3, 50), (37, 23), (48, 48), (70, 51)]  # width and height
MODES = list(v1.InterpolationMode)
PART, PARTS = 250, int(os.environ.get("FASTLOAD_RECIPES", "3000")) // 250
pytestmark = pytest.mark.filterwarnings("ignore:Anti-alias option is always applied:UserWarning")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Gray, CMYK, tiny, flat and 4:2:0 images; a PNG with alpha, for Pillow."""
    root = tmp_path_factory.mktemp("recipes")
    write_images(root, SIZES)
    return root


class Blurs:
    """As DINO has it."""

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, image):
        if random.random() <= self.p:
            return image.filter(ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))
        return image


def solarized(image):
    return ImageOps.solarize(image) if np.random.rand() < 0.4 else image


def between(rng: random.Random, low: float, high: float) -> tuple[float, float]:
    ends = sorted(rng.choice([low, high, rng.uniform(low, high)]) for _ in range(2))
    return ends[0], ends[1]


def fill(rng: random.Random):
    return rng.choice([0, 7, rng.randint(0, 255)])


def makers(rng: random.Random, m) -> dict:
    """Of an image of any size: name -> a transform with arguments of many forms."""
    p = rng.choice([0.0, 0.1, 0.5, 1.0, rng.random()])
    side = rng.randint(16, 40)
    pillows = rng.choice(MODES[:3])
    fast = rng.choice([v1.InterpolationMode.NEAREST, v1.InterpolationMode.BILINEAR])
    return {
        "RandomResizedCrop": lambda: m.RandomResizedCrop(side, interpolation=rng.choice(MODES)),
        "Resize": lambda: m.Resize((side, rng.randint(16, 40)), interpolation=rng.choice(MODES)),
        "RandomCrop": lambda: m.RandomCrop(
            side, padding=rng.choice([None, 2, (1, 2)]), pad_if_needed=True, fill=fill(rng)
        ),
        "CenterCrop": lambda: m.CenterCrop(side),
        "Pad": lambda: m.Pad(rng.randint(0, 4), fill=fill(rng)),
        "RandomHorizontalFlip": lambda: m.RandomHorizontalFlip(p),
        "RandomVerticalFlip": lambda: m.RandomVerticalFlip(p),
        "Grayscale": lambda: m.Grayscale(3),
        "RandomGrayscale": lambda: m.RandomGrayscale(p),
        "ColorJitter": lambda: m.ColorJitter(
            between(rng, 0, 3), rng.choice([0, 0.4]), between(rng, 0, 9), rng.choice([0, 0.1, between(rng, -0.5, 0.5)])
        ),
        "RandomInvert": lambda: m.RandomInvert(p),
        "RandomPosterize": lambda: m.RandomPosterize(rng.randint(1, 8), p),
        "RandomSolarize": lambda: m.RandomSolarize(rng.uniform(0, 256), p),
        "RandomAutocontrast": lambda: m.RandomAutocontrast(p),
        "RandomEqualize": lambda: m.RandomEqualize(p),
        "RandomAdjustSharpness": lambda: m.RandomAdjustSharpness(rng.uniform(0, 9), p),
        "RandomPhotometricDistort": lambda: v2.RandomPhotometricDistort(hue=between(rng, -0.5, 0.5), p=p),
        "RandomChannelPermutation": lambda: v2.RandomChannelPermutation(),
        "RGB": lambda: v2.RGB(),
        "GaussianBlur": lambda: m.GaussianBlur(rng.choice([1, 3, 5, 9, (3, 9)]), between(rng, 0.1, 3)),
        "RandomRotation": lambda: m.RandomRotation(
            rng.choice([30, (-90, 180)]), pillows, expand=rng.random() < 0.3, fill=fill(rng)
        ),
        "RandomAffine": lambda: m.RandomAffine(
            20, (0.1, 0.3), rng.choice([None, (0.5, 1.5)]), rng.choice([None, 10, (-5, 5, 0, 9)]), pillows, fill(rng)
        ),
        "RandomPerspective": lambda: m.RandomPerspective(rng.random(), p, pillows, fill(rng)),
        "ElasticTransform": lambda: m.ElasticTransform(rng.uniform(1, 50), rng.uniform(1, 5), pillows),
        "RandomZoomOut": lambda: v2.RandomZoomOut(fill(rng), (1, 1.5), p),
        "ScaleJitter": lambda: v2.ScaleJitter((side, side)),
        "RandomResize": lambda: v2.RandomResize(16, side + 1),
        "RandomShortestSize": lambda: v2.RandomShortestSize([16, side], max_size=90),
        "AutoAugment": lambda: m.AutoAugment(rng.choice(list(m.AutoAugmentPolicy)), fast, fill(rng)),
        "RandAugment": lambda: m.RandAugment(rng.randint(0, 3), rng.randint(0, 30), 31, fast, fill(rng)),
        "TrivialAugmentWide": lambda: m.TrivialAugmentWide(31, fast, fill(rng)),
        "AugMix": lambda: m.AugMix(rng.randint(1, 10), rng.randint(1, 3), -1, rng.uniform(0.2, 1), rng.random() < 0.5),
        "Blurs": lambda: Blurs(p),
        "solarized": lambda: solarized,
        "Lambda": lambda: m.Lambda(lambda image: image.convert("RGB")),
    }


@functools.cache
def native(m) -> list[str]:
    """The names of those that are."""
    names = []
    for name in makers(random.Random(0), m):
        if name.startswith("Random") and not hasattr(m, name):
            continue
        try:
            transform = makers(random.Random(1), m)[name]()
        except AttributeError:  # not in this module
            continue
        if (type(transform).__module__.startswith(v2.__name__) and m is v1) or read(m.Compose([transform])).tail:
            continue
        names.append(name)
    return names


def step(rng: random.Random, m, depth: int = 0):
    if depth < 2 and rng.random() < 0.2:
        inner = [step(rng, m, depth + 1) for _ in range(rng.randint(1, 3))]
        kinds = [lambda: m.RandomApply(inner, rng.random()), lambda: m.RandomOrder(inner), lambda: m.Compose(inner)]
        kinds.append(lambda: m.RandomChoice(inner, rng.choice([None, [rng.random() + 0.1 for _ in inner]])))
        return rng.choice(kinds)()
    return makers(rng, m)[rng.choice(native(m))]()


def recipe(rng: random.Random):
    m = rng.choice([v1, v2])
    first = [m.Resize((rng.randint(16, 40), rng.randint(16, 40)))]
    gray = [m.Grayscale(1)] if rng.random() < 0.1 else []
    body = [step(rng, m) for _ in range(rng.randint(1, 5))]
    cut = rng.choice([m.CenterCrop(20), m.RandomCrop(20, pad_if_needed=True), m.RandomResizedCrop(20)])
    ends = rng.choice(
        [
            [m.PILToTensor()],
            [m.ToTensor(), m.Normalize([0.4], [0.2])],
            [m.PILToTensor(), m.ConvertImageDtype(torch.float32), m.RandomHorizontalFlip(0.3)],
            [m.ToTensor(), m.RandomErasing(0.7, value=rng.choice([0, 0.5, "random"]))],
        ]
    )
    return m.Compose([*first, *gray, *body, cut, *ends])


def seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def made_by(cls, dataset, seed: int, **options):
    seed_all(seed)
    batches = [values for values, _ in cls(dataset, batch_size=3, shuffle=True, **options)]
    return batches, (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())


def assert_as_stock(root, transform, seed: int, **options) -> None:
    files = ImageFolder(str(root), transform)
    dataset = Subset(files, random.Random(seed).sample(range(len(files)), 6))
    try:
        stock, states = made_by(torch.utils.data.DataLoader, dataset, seed, **options)
    except (RuntimeError, ValueError):  # of an image that became too small for what comes next
        with pytest.raises(fastload.FastloadError):
            made_by(fastload.DataLoader, dataset, seed, **options)
        return
    ours, our_states = made_by(fastload.DataLoader, dataset, seed, **options)
    assert len(ours) == len(stock) > 0
    assert all(map(torch.equal, ours, stock)), (seed, transform)
    assert our_states == states, (seed, transform)


def many_recipes(root, first: int, count: int) -> int:
    """How many of them were native to the end."""
    whole = 0
    for seed in range(first, first + count):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            transform = recipe(random.Random(seed))
            if read(
                transform
            ).tail:  # too many steps, or a kind of container: torch makes these in Python, and they may fail there
                continue
            whole += 1
            assert_as_stock(root, transform, seed, num_workers=2 if seed % 100 == 99 else 0)
    return whole


def test_a_few_recipes(root):
    assert many_recipes(root, 0, 12) > 3


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_thousands_of_recipes(root, part):
    assert many_recipes(root, 1000 * (1 + part), PART) > PART // 4
