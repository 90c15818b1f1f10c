"""Chains of rotations, warps and random sizes, drawn at random: values and generators of the loader are torchvision's."""

from __future__ import annotations

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
from torchvision.transforms import InterpolationMode

import fastload
from fastload import _core
from fastload.transforms import geometry_steps
from fastload.transforms.split_transforms import read

SIDE = 24
WARPS = (
    InterpolationMode.NEAREST,
    InterpolationMode.BILINEAR,
    InterpolationMode.BICUBIC,
    PIL.Image.Resampling.BILINEAR.value,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("geometry") / "images"
    write_images(root)
    return root


@pytest.fixture(scope="module")
def broad(tmp_path_factory):
    """Of images on which every perspective has a solution."""
    root = tmp_path_factory.mktemp("geometry") / "broad"
    write_images(root, [(12, 30), (37, 23), (64, 64), (90, 61)])
    return root


def between(rng: random.Random, low: float, high: float) -> tuple[float, float]:
    ends = sorted(rng.choice([low, high, round(rng.uniform(low, high), 2)]) for _ in range(2))
    return ends[0], ends[1]


def fill(rng: random.Random, is_gray: bool):
    one = rng.choice([0, 255, 300, -7, 12.9, rng.randint(0, 255)])
    if is_gray or rng.random() < 0.5:
        return rng.choice([one, (one,)])
    return rng.choice([tuple, list])((one, rng.randint(0, 255), rng.uniform(0, 255)))


def step(rng: random.Random, module, is_gray: bool, depth: int = 0):
    """One transform of shape or colour, with arguments of many forms."""
    p = rng.choice([0.1, 0.5, 1.0, rng.random()])
    warp = {"interpolation": rng.choice(WARPS), "fill": fill(rng, is_gray)}
    around = rng.choice([None, None, (0, 0), [rng.randint(-20, 99), rng.uniform(0, 60)]])
    kinds = {
        "rotation": lambda: module.RandomRotation(
            rng.choice([0, 30, 180, (90, 90), (-180.0, -180), (270, 270), between(rng, -400, 400)]),
            expand=rng.random() < 0.4,
            center=around,
            **warp,
        ),
        "affine": lambda: module.RandomAffine(
            rng.choice([0, 25, between(rng, -200, 200)]),
            translate=rng.choice([None, (0, 0), (0.1, 0.3), (1, 0.5)]),
            scale=rng.choice([None, (1, 1), (0.5, 2), between(rng, 0.01, 9)]),
            shear=rng.choice([None, 20, (-30, 60), (-10, 10, -40, 80), (90, 90)]),
            center=around,
            **warp,
        ),
        "perspective": lambda: module.RandomPerspective(rng.choice([0, 0.1, 0.5, 1, rng.random()]), p, **warp),
        "pad": lambda: module.Pad(
            [rng.randint(-3, 9) for _ in range(4)] if rng.random() < 0.5 else rng.randint(0, 5),
            fill=warp["fill"],
            padding_mode=rng.choice(["constant", "constant", "edge", "reflect", "symmetric"]),
        ),
        "window": lambda: module.RandomCrop(
            rng.randint(1, 40), pad_if_needed=True, padding=rng.choice([None, 3, (-1, 2)]), fill=warp["fill"]
        ),
        "flip": lambda: rng.choice([module.RandomHorizontalFlip, module.RandomVerticalFlip])(p),
        "crop": lambda: module.RandomResizedCrop(rng.randint(12, 40)),
        "resize": lambda: module.Resize(rng.choice([rng.randint(12, 40), (rng.randint(12, 40), rng.randint(12, 40))])),
        "center": lambda: module.CenterCrop(rng.randint(12, 40)),
        "jitter": lambda: module.ColorJitter(0.4, 0.4, 0.4, 0.1),
        "equalize": lambda: module.RandomEqualize(p),
        "sharpness": lambda: module.RandomAdjustSharpness(2, p),
    }
    if module is v2:
        size = {"interpolation": rng.choice(list(InterpolationMode))}
        kinds["zoom"] = lambda: v2.RandomZoomOut(warp["fill"], rng.choice([(1.0, 4.0), (1, 1), (1.5, 1.7)]), p)
        kinds["scale"] = lambda: v2.ScaleJitter((rng.randint(20, 60), rng.randint(20, 60)), (0.7, 2.0), **size)
        kinds["shortest"] = lambda: v2.RandomShortestSize(
            rng.choice([20, [12, 30], (17,)]), rng.choice([None, 80]), **size
        )
        kinds["random size"] = lambda: v2.RandomResize(12, rng.randint(13, 50), **size)
    if depth < 2:
        kinds["apply"] = lambda: module.RandomApply(steps(rng, module, is_gray, depth + 1), p)
        if module is v2:
            kinds["order"] = lambda: v2.RandomOrder(steps(rng, module, is_gray, depth + 1))
    return kinds[rng.choice([*kinds])]()


def steps(rng: random.Random, module, is_gray: bool, depth: int) -> list:
    return [step(rng, module, is_gray, depth) for _ in range(rng.randint(1, 2))]


def chain(rng: random.Random):
    module = rng.choice([v1, v2])
    is_gray = rng.random() < 0.2
    first = [module.Grayscale(1)] if is_gray else []
    # Some shapes of tiny images torchvision refuses; what is refused is compared elsewhere.
    first += [] if rng.random() < 0.5 else [module.Resize((rng.randint(12, 40), rng.randint(12, 40)))]
    body = [step(rng, module, is_gray) for _ in range(rng.randint(1, 3))]
    return module.Compose([*first, *body, module.CenterCrop(SIDE), module.PILToTensor()])


def stock_fails(root, transform, seed: int) -> bool:
    torch.manual_seed(seed)
    try:
        for _ in torch.utils.data.DataLoader(ImageFolder(str(root), transform), batch_size=5, shuffle=True):
            pass
    except (RuntimeError, ValueError):
        return True
    return False


def many_chains(root, first: int, count: int) -> int:
    """How many of them were native to the end and made batches."""
    native = 0
    for seed in range(first, first + count):
        transform = chain(random.Random(seed))
        reading = read(transform)
        if reading.tail:
            assert re.search("up to 32 steps|padding=", reading.tail_reason), (reading.tail_reason, transform)
        elif stock_fails(root, transform, seed):
            dataset = ImageFolder(str(root), transform)
            torch.manual_seed(seed)
            with pytest.raises((RuntimeError, ValueError, fastload.FastloadError)):
                list(fastload.DataLoader(dataset, batch_size=5, shuffle=True))
        else:
            native += 1
            assert_as_stock(root, transform, seed)
    return native


def test_random_chains(broad):
    assert many_chains(broad, 0, 24) > 15


def test_random_chains_of_tiny_images(root):
    assert many_chains(root, 1000, 12) > 3


RECIPE = [
    lambda m: m.RandomResizedCrop(40),
    lambda m: m.RandomRotation(30, interpolation=InterpolationMode.BILINEAR),
    lambda m: m.RandomAffine(10, (0.1, 0.1), (0.8, 1.2), 10, InterpolationMode.BICUBIC, fill=(1, 2, 3)),
    lambda m: m.RandomPerspective(0.4),
    lambda m: m.RandomHorizontalFlip(),
    lambda m: m.CenterCrop(SIDE),
    lambda m: m.ToTensor() if m is v1 else m.ToImage(),
]


@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_recipe(root, module, workers):
    transform = module.Compose([form(module) for form in RECIPE])
    explanation = fastload.DataLoader(ImageFolder(str(root), transform)).explain()
    assert "threads of this process" in explanation and "Python" not in explanation
    assert_as_stock(root, transform, 3, num_workers=workers)


def test_in_torchs_workers(root):
    """A tail in Python keeps the samples there."""
    transform = v2.Compose(
        [v2.RandomRotation(90, expand=True), v2.Resize((SIDE, SIDE)), v2.ElasticTransform(), v2.ToImage()]
    )
    loader = fastload.DataLoader(ImageFolder(str(root), transform), num_workers=2)
    assert "torch's workers" in loader.explain() and "native: RandomRotation" in loader.explain()
    assert_as_stock(root, transform, 4, num_workers=2)


def test_what_torch_finds_no_solution_for_is_its_error(root):
    transform = v1.Compose([v1.RandomPerspective(p=1), v1.CenterCrop(SIDE), v1.ToTensor()])
    with pytest.raises(RuntimeError, match="least squares solution could not be computed"):
        list(fastload.DataLoader(ImageFolder(str(root), transform), batch_size=4))


@pytest.mark.parametrize("form", [v1.RandomRotation(20), v1.RandomAffine(20), v2.RandomAffine(20, shear=5)])
def test_other_sines_leave_it_in_python(root, monkeypatch, form):
    """Where the C library of the engine's computes other than Python's."""
    geometry_steps._python_computes_as_the_engine.cache_clear()
    with monkeypatch.context() as other:
        other.setattr(_core, "rotation", lambda *arguments, **named: (2, 3, [0.5, 0.5, 0, 0, 0, 0]))
        assert "sines" in read(v1.Compose([form, v1.PILToTensor()])).tail_reason
    geometry_steps._python_computes_as_the_engine.cache_clear()
    assert not read(v1.Compose([form, v1.PILToTensor()])).tail


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_two_thousand_chains(broad, part):
    @settings(max_examples=100)
    @given(seed=st.integers(0, 2**32 - 1))
    def hold(seed):
        many_chains(broad, 2**32 * (1 + part) + seed, 1)

    hold()
