"""AutoAugment, RandAugment, TrivialAugmentWide and AugMix, alone and within chains: values and generators are torchvision's."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from chains import assert_as_stock
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.datasets import ImageFolder

import fastload
from fastload import _core
from fastload.transforms import mixing_steps
from fastload.transforms.split_transforms import read
from images import jpeg_bytes, picture

SIZES = [
    (1, 1),
    (3, 50),
    (37, 23),
    (90, 61),
    (331, 40),
]  # width and height; of 331 translations are whole numbers of pixels
SIDE = 24
WARPS = [v1.InterpolationMode.NEAREST, v1.InterpolationMode.BILINEAR, v1.InterpolationMode.BICUBIC]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Gray, CMYK, tiny and 4:2:0 images; a PNG with alpha, for Pillow."""
    folder = tmp_path_factory.mktemp("policies") / "class"
    folder.mkdir()
    for number, (width, height) in enumerate(SIZES):
        (folder / f"{number}-420.jpg").write_bytes(jpeg_bytes(number, width, height, form=2))
        for mode in ("L", "CMYK"):
            picture(number, width, height).convert(mode).save(folder / f"{number}-{mode}.jpg")
    picture(9, 40, 30).convert("RGBA").save(folder / "alpha.png")
    return folder.parent


def policy(rng: random.Random, module, *, is_gray: bool = False):
    style = {
        "interpolation": rng.choice(WARPS),
        "fill": rng.choice([None, 7, 128.7, [9]] + ([] if is_gray else [[1, 2, 250], (0.0, 99.9, 3)])),
    }
    bins = rng.choice([2, 7, 10, 31])
    return rng.choice(
        [
            lambda: module.AutoAugment(rng.choice(list(v1.AutoAugmentPolicy)), **style),
            lambda: module.RandAugment(rng.randint(0, 4), rng.randrange(bins), bins, **style),
            lambda: module.RandAugment(2, rng.choice([-1, 9]), 31, **style),
            lambda: module.TrivialAugmentWide(bins, **style),
            lambda: module.TrivialAugmentWide(**style),
        ]
    )()


def mixing(rng: random.Random):
    return v1.AugMix(
        rng.choice([1, 3, 10]),
        rng.choice([1, 3, 4]),
        rng.choice([-1, 1, 2]),
        rng.choice([0.3, 1.0, 5.0]),
        rng.random() < 0.8,
        rng.choice(WARPS[:2]),
    )


def step(rng: random.Random, module, *, is_gray: bool, depth: int = 0):
    kinds = {
        "policy": lambda: policy(rng, module, is_gray=is_gray),
        "jitter": lambda: module.ColorJitter(0.4, 0.4),
        "flip": lambda: module.RandomHorizontalFlip(),
        "crop": lambda: module.RandomResizedCrop(rng.randint(1, 40)),
        "window": lambda: module.RandomCrop(rng.randint(1, 40), pad_if_needed=True),
    }
    if depth < 2:
        inner = lambda: [step(rng, module, is_gray=is_gray, depth=depth + 1) for _ in range(rng.randint(1, 2))]  # noqa: E731
        kinds["apply"] = lambda: module.RandomApply(inner(), rng.choice([0.5, 1.0]))
        if module is v2:
            kinds["order"] = lambda: v2.RandomOrder(inner())
    return kinds[rng.choice(["policy", *kinds])]()


def chain(rng: random.Random):
    module = rng.choice([v1, v2])
    is_gray = rng.random() < 0.2
    gray = [module.Grayscale(1)] if is_gray else []
    body = [step(rng, module, is_gray=is_gray) for _ in range(rng.randint(1, 3))]
    body.insert(rng.randint(0, len(body)), policy(rng, module, is_gray=is_gray))
    body.append(module.CenterCrop(SIDE))
    if rng.random() < 0.4:
        body += [
            mixing(rng),
            *([step(rng, module, is_gray=is_gray), module.CenterCrop(SIDE)] if rng.random() < 0.5 else []),
        ]
    return module.Compose([*gray, *body, module.PILToTensor()])


def many_chains(root, seeds) -> int:
    """How many were native to the end."""
    native = 0
    for seed in seeds:
        transform = chain(random.Random(seed))
        reading = read(transform)
        if reading.tail:
            assert "up to 32 steps" in reading.tail_reason, (reading.tail_reason, transform)
            continue
        native += 1
        assert_as_stock(root, transform, seed)
    return native


def test_random_chains(root):
    assert many_chains(root, range(24)) > 16


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_two_thousand_chains(root, part):
    @settings(max_examples=100)
    @given(seed=st.integers(0, 2**32 - 1))
    def hold(seed):
        many_chains(root, [2**32 * (1 + part) + seed])

    hold()


@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("kind", ["AutoAugment", "RandAugment", "TrivialAugmentWide"])
@pytest.mark.parametrize("workers", [0, 2])
def test_torchvisions_recipe(root, module, kind, workers):
    """Its reference training: a policy, and RandomErasing behind the conversion."""
    steps = [module.RandomResizedCrop(SIDE), module.RandomHorizontalFlip(), getattr(module, kind)()]
    steps += [module.PILToTensor(), module.ConvertImageDtype(torch.float32)]
    steps += [module.Normalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.4]), module.RandomErasing(0.4)]
    transform = module.Compose(steps)
    explanation = fastload.DataLoader(ImageFolder(str(root), transform)).explain()
    assert "threads of this process" in explanation and "Python" not in explanation
    for seed in range(3):
        assert_as_stock(root, transform, seed, num_workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [(24, 24), (224, 160)])
def test_augmix(root, size, workers):
    transform = v1.Compose([v1.RandomResizedCrop(size), v1.AugMix(), v1.RandomHorizontalFlip(), v1.ToTensor()])
    explanation = fastload.DataLoader(ImageFolder(str(root), transform)).explain()
    assert "threads of this process" in explanation and "Python" not in explanation
    assert_as_stock(root, transform, 1, num_workers=workers)


@pytest.mark.parametrize("interpolation", WARPS[:2])
@pytest.mark.parametrize("size", [(64, 48), (9, 7), (2, 5), (1, 1)], ids=str)
def test_operations_on_tensors(size, interpolation):
    """In each variant, on every operation of AugMix."""
    is_nearest = interpolation is v1.InterpolationMode.NEAREST
    is_fused = mixing_steps._way_of_grids(*size, interpolation)
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    for name, (strengths, _) in v1.AugMix()._augmentation_space(10, size).items():
        for strength in strengths.flatten().tolist()[::3]:
            for sign in (1, -1) if name not in ("Posterize", "Solarize") else (1,):
                expected = mixing_steps._by_torchvision(image, name, sign * strength, interpolation)
                operation = mixing_steps.tensor_op(name, sign * strength, size)
                for is_scalar in (False, True):
                    made = _core.tensor_op(
                        image, operation, is_fused=is_fused, is_nearest=is_nearest, is_scalar=is_scalar
                    )
                    assert np.array_equal(made, expected), (name, sign * strength, is_scalar)


def test_augmix_that_is_not_native_says_why():
    crop = v1.CenterCrop(16)
    for steps, why in [
        ([v1.Resize(9), v1.AugMix()], "the size of the image is not known"),
        ([crop, v1.AugMix(fill=3)], "fill=3"),
        ([crop, v1.AugMix(interpolation=WARPS[2])], "interpolation="),
        ([crop, v1.AugMix(alpha=1)], "alpha=1"),
        ([v1.CenterCrop(300), v1.AugMix()], "the mean of so many pixels"),
    ]:
        assert why in read(v1.Compose(steps)).tail_reason, why


@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
def test_what_is_not_native_says_why(module):
    for made, why in [
        (module.RandAugment(interpolation=v1.InterpolationMode.BOX), "interpolation="),
        (module.RandAugment(fill=[1, 2]), "fill="),
        (module.RandAugment(magnitude=31), "an argument is not understood"),
        (module.TrivialAugmentWide(1), "it posterizes"),
        (module.TrivialAugmentWide(0), "num_magnitude_bins=0"),
        (module.RandAugment(33), "up to 32 steps"),
    ]:
        assert why in read(module.Compose([module.Resize(9), made])).tail_reason, (made, why)


def test_a_table_that_was_changed_is_seen(monkeypatch):
    changed = lambda bins, height, width: torch.linspace(0.0, 9.0, bins)  # noqa: E731
    reading = read(transform := v2.Compose([v2.RandAugment()]))
    assert reading.native and reading.watch.holds()
    monkeypatch.setitem(v2.RandAugment._AUGMENTATION_SPACE, "Rotate", (changed, True))
    assert not reading.watch.holds()
    monkeypatch.undo()
    assert read(transform).watch.holds()


def test_a_method_that_was_replaced_is_seen(monkeypatch):
    reading = read(transform := v1.Compose([v1.RandAugment()]))
    assert reading.native and reading.watch.holds()
    monkeypatch.setattr(v1.RandAugment, "_augmentation_space", lambda self, bins, size: {})
    assert not reading.watch.holds() and read(transform).tail
