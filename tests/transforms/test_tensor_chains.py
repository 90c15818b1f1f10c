"""What is done to the finished tensor: RandomErasing, flips, cuts and point-wise transforms in any order."""

from __future__ import annotations

import io
import random

import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from chains import assert_as_stock, batches
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.datasets import ImageFolder

import fastload
from fastload.transforms.split_transforms import read
from images import jpeg_bytes, picture

SIZES = [(1, 1), (3, 50), (37, 23), (90, 61)]  # width and height


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Gray, CMYK, tiny and 4:2:0 images; a PNG with alpha, for Pillow."""
    folder = tmp_path_factory.mktemp("tensors") / "class"
    folder.mkdir()
    for number, (width, height) in enumerate(SIZES):
        (folder / f"{number}-420.jpg").write_bytes(jpeg_bytes(number, width, height, form=2))
        for mode in ("L", "CMYK"):
            picture(number, width, height).convert(mode).save(folder / f"{number}-{mode}.jpg")
    picture(9, 40, 30).convert("RGBA").save(folder / "alpha.png")
    return folder.parent


def erasing(rng: random.Random, module, *, noise: bool, channels: int):
    low = rng.choice([0.0, 0.0005, 0.02, 0.3])
    values = [0, 0.0, 1, 3.7, [7.5], [1, 2, 3][:channels], (0.1,) * channels] + ["random"] * noise * 3
    return module.RandomErasing(
        p=rng.choice([0.0, 0.3, 1.0]),
        scale=(low, rng.choice([low, 0.33, 1.0])),
        ratio=rng.choice([(0.3, 3.3), (1, 1), (0.01, 90.0)]),
        value=rng.choice(values),
        inplace=rng.random() < 0.3,
    )


def on_tensors(rng: random.Random, module, *, channels: int, dtype: torch.dtype, depth: int = 0):
    """One step; and what the values are after it."""
    noise = dtype.is_floating_point
    kinds = {
        "erase": lambda: erasing(rng, module, noise=noise and depth == 0, channels=channels),
        "flip": lambda: rng.choice([module.RandomHorizontalFlip, module.RandomVerticalFlip])(rng.choice([0.5, 1.0])),
    }
    if depth == 0:  # elsewhere sizes would differ
        kinds["cut"] = lambda: module.CenterCrop((rng.randint(1, 6), rng.randint(1, 6)))
        kinds["window"] = lambda: module.RandomCrop(rng.randint(1, 6))
    if noise and depth == 0:
        moments = [0.3] * channels, [rng.choice([0.25, 1.5])] * channels
        kinds["normalize"] = lambda: module.Normalize(*moments, inplace=rng.random() < 0.5)
    if depth < 2:
        inner = lambda: [  # noqa: E731
            on_tensors(rng, module, channels=channels, dtype=dtype, depth=depth + 1) for _ in range(rng.randint(1, 2))
        ]
        kinds["apply"] = lambda: module.RandomApply(inner(), rng.choice([0.5, 0.9]))
        if module is v2:
            kinds["order"] = lambda: v2.RandomOrder(inner())
    return kinds[rng.choice([*kinds])]()


def chain(rng: random.Random):
    module = rng.choice([v1, v2])
    channels = rng.choice([3, 3, 3, 1])
    gray = [module.Grayscale(1)] if channels == 1 else []
    dtypes = [torch.uint8, torch.float32, torch.float32, torch.float16, torch.bfloat16, torch.float64]
    dtype = rng.choice(dtypes)
    to_tensor = [v2.ToImage(), v2.ToDtype(dtype, scale=True)]
    conversion = to_tensor if module is v2 else [v1.PILToTensor(), v1.ConvertImageDtype(dtype)]
    steps = [on_tensors(rng, module, channels=channels, dtype=dtype) for _ in range(rng.randint(1, 4))]
    return module.Compose([*gray, module.RandomResizedCrop((14, 11)), *conversion, *steps])


def many_chains(root, seeds) -> int:
    """How many were native to the end."""
    native = 0
    for seed in seeds:
        transform = chain(random.Random(seed))
        native += not read(transform).tail
        try:
            stock = batches(torch.utils.data.DataLoader, ImageFolder(str(root), transform), seed)
        except ValueError:  # a crop larger than the tensor
            with pytest.raises(ValueError):
                batches(fastload.DataLoader, ImageFolder(str(root), transform), seed)
            continue
        del stock
        assert_as_stock(root, transform, seed)
    return native


def test_random_chains(root):
    assert many_chains(root, range(40)) > 5


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_two_thousand_chains(root, part):
    @settings(max_examples=400)
    @given(seed=st.integers(0, 2**32 - 1))
    def hold(seed):
        many_chains(root, [2**32 * (1 + part) + seed])

    hold()


def recipe(module, *erasings):
    steps = [module.RandomResizedCrop(40), module.RandomHorizontalFlip()]
    steps += [module.ToTensor()] if module is v1 else [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    return module.Compose([*steps, module.Normalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.4]), *erasings])


@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("value", [0, 0.5, (1, 2, 3), "random"], ids=str)
@pytest.mark.parametrize("workers", [0, 2])
def test_erasing_in_threads(root, module, value, workers):
    transform = recipe(module, module.RandomErasing(p=0.7, value=value))
    explanation = fastload.DataLoader(ImageFolder(str(root), transform)).explain()
    assert "threads of this process" in explanation and "Python" not in explanation
    assert_as_stock(root, transform, 3, num_workers=workers)


@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
def test_noise_smaller_than_a_block_is_drawn_in_pairs_that_the_generator_keeps(root, module):
    """Of odd counts; and what was kept before the epoch is used."""
    transform = recipe(module, module.RandomErasing(p=1, scale=(0.0006, 0.003), ratio=(1, 1), value="random"))
    dataset = ImageFolder(str(root), transform)
    states = []
    for cls in (fastload.DataLoader, torch.utils.data.DataLoader):
        torch.manual_seed(2)
        torch.randn(3)
        values = torch.cat([values for values, _ in cls(dataset, batch_size=4)])
        states.append((values, torch.get_rng_state(), torch.randn(1)))
    assert all(map(torch.equal, *states))


@pytest.mark.parametrize("value", [0.5, "random"], ids=str)
def test_erasing_of_gray(root, value):
    steps = [v1.Grayscale(1), v1.RandomResizedCrop(40), v1.ToTensor(), v1.RandomErasing(p=0.7, value=value)]
    assert_as_stock(root, v1.Compose(steps), 5)


def test_in_torchs_workers(root):
    """A collate_fn that cannot be read keeps the samples there."""
    transform = recipe(v2, v2.RandomErasing(p=0.7, value="random"))
    collate = lambda samples: list(map(torch.utils.data.default_collate, [samples]))[0]  # noqa: E731, RUF015
    loader = fastload.DataLoader(ImageFolder(str(root), transform), num_workers=2, collate_fn=collate)
    assert "torch's workers" in loader.explain()
    assert_as_stock(root, transform, 4, num_workers=2, collate_fn=collate)


@pytest.mark.parametrize(
    "options", [{"dtype": torch.float16}, {"memory_format": torch.channels_last}, {"device": "cpu"}]
)
def test_options_of_the_loader(root, options):
    transform = recipe(v1, v1.RandomErasing(p=1, value="random"), v1.RandomErasing(p=1, value=0.1))
    dataset = ImageFolder(str(root), transform)
    ours, _ = batches(fastload.DataLoader, dataset, 5, **options)
    stock, _ = batches(torch.utils.data.DataLoader, dataset, 5)
    for mine, theirs in zip(ours, stock, strict=True):
        assert torch.equal(mine, theirs.to(options.get("dtype")))


def test_draws_by_index_do_not_depend_on_the_order(root):
    dataset = ImageFolder(str(root), recipe(v2, v2.RandomErasing(p=1, value="random")))
    once, again = (
        fastload.DataLoader(
            dataset, batch_size=1, rng="index", generator=torch.Generator().manual_seed(1), sampler=order
        )
        for order in (range(len(dataset)), range(len(dataset) - 1, -1, -1))
    )
    assert all(map(torch.equal, [v for v, _ in once], [v for v, _ in again][::-1]))


def test_what_is_not_native_says_why():
    tensor = [v1.Resize((9, 9)), v1.ToTensor()]
    noise = v1.RandomErasing(value="random")
    for transform, why in {
        v1.Compose([*tensor, noise, v1.Normalize([0.5], [0.5])]): "it changes noise of RandomErasing",
        v1.Compose([v1.Resize((9, 9)), v1.PILToTensor(), noise]): "noise of torch.uint8",
        v1.Compose([v1.Resize((9, 9)), v1.PILToTensor(), v1.RandomErasing(value=256)]): "value=256 of torch.uint8",
        v1.Compose([*tensor, v1.RandomErasing(value=(1, 2))]): "value=",
        v2.Compose([v2.Resize((9, 9)), v2.RandomErasing()]): "it erases in tensors, and this is an image",
        v1.Compose([*tensor, v1.CenterCrop(10)]): "after the conversion",
        v1.Compose([*tensor, v1.RandomApply([v1.Normalize([0.5], [0.5])])]): "after the conversion",
    }.items():
        assert why in read(transform).tail_reason, read(transform).tail_reason


def test_erasing_that_is_changed_is_seen(root):
    transform = recipe(v1, erase := v1.RandomErasing(p=1, value=0.25))
    loader = fastload.DataLoader(ImageFolder(str(root), transform), batch_size=4)
    first = next(iter(loader))[0]
    erase.value = 0.75
    assert (first == 0.25).any() and not (first == 0.75).any()
    assert (next(iter(loader))[0] == 0.75).any()


def test_lazy_images():
    transform = recipe(v1, v1.RandomErasing(p=1, value="random"))
    fast = fastload.native(transform)
    file = jpeg_bytes(1, 90, 61)
    for seed in range(4):
        torch.manual_seed(seed)
        ours = fast(fastload.open(file))
        torch.manual_seed(seed)
        assert torch.equal(ours, transform(PIL.Image.open(io.BytesIO(file))))
