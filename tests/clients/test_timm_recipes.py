"""timm's transforms in native threads: equal batches, and all three generators as torch's loader leaves them."""

from __future__ import annotations

import itertools
import json
import random

import numpy as np
import pytest
import timm.data.auto_augment as auto_augment
import timm.data.transforms as timm_transforms
import torch
import torch.utils.data
import torchvision.transforms as v1
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.data import create_dataset, create_loader, create_transform
from timm.data.loader import fast_collate
from torchvision.datasets import ImageFolder

import fastload
from cases import cases
from fastload.engine import GeneratorStates
from fastload.transforms import read
from images import write_folder

SIDE = 32
POLICIES = [
    None,
    "rand-m9-mstd0.5-inc1",
    "rand-m9-mstd0.5",
    "rand-m15-mmax20-inc1-n3",
    "rand-m7-mstd101-p0.9",
    "rand-mstd1-tweights-n3",
    "original",
    "originalr-mstd0.5",
    "v0",
    "v0r-mstd1",
    "3a",
    "rand-m9-t3a",
    "rand-m6-n3-t3aw",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Larger and smaller than the crops, gray and CMYK too."""
    root = write_folder(tmp_path_factory.mktemp("images"), classes=2, images=5)
    for mode in ("L", "CMYK"):
        image = v1.functional.to_pil_image(torch.randint(0, 256, (3, 41, 53), dtype=torch.uint8))
        image.convert(mode).save(f"{root}/{next(root.iterdir()).name}/{mode}.jpg")
    return root


def seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def run(make_loader, seed=3, epochs=2):
    """All batches, or what failed: from Pillow 13 on timm's posterize raises where its strength leaves no bit."""
    seed_all(seed)
    loader, taken = make_loader(), []
    for _ in range(epochs):
        batches = iter(loader)
        while True:
            try:
                taken.append(next(batches))
            except StopIteration:
                break
            except Exception as error:
                assert "bits must be between" in str(error), error
                taken.append("failed")
    return taken, GeneratorStates.now().to_json()


def are_one(mine, theirs) -> bool:
    if "failed" in (mine, theirs):
        return type(mine) is type(theirs) is str
    return all(map(torch.equal, mine, theirs))


def assert_as_stock(make_loader, **options) -> None:
    """``make_loader`` of a class of loaders."""
    ours, states = run(lambda: make_loader(fastload.DataLoader), **options)
    stock, stock_states = run(lambda: make_loader(torch.utils.data.DataLoader), **options)
    assert len(ours) == len(stock) > 0
    assert all(map(are_one, ours, stock))
    assert states == stock_states


def loaders(dataset, **options):
    return lambda Loader: Loader(dataset, **{"batch_size": 4, "shuffle": True, **options})


def is_native(dataset, **options) -> bool:
    explanation = fastload.DataLoader(dataset, batch_size=4, **options).explain()
    return explanation.startswith("native: images are read, decoded and transformed in") and "Python" not in explanation


@pytest.mark.parametrize("policy", POLICIES)
def test_policies(folder, policy):
    transform = create_transform(
        SIDE, is_training=True, auto_augment=policy, interpolation="random", use_prefetcher=True
    )
    dataset = ImageFolder(folder, transform)
    assert is_native(dataset)
    assert_as_stock(loaders(dataset, collate_fn=fast_collate), epochs=3)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_in_place_of_workers(folder, num_workers):
    transform = create_transform(SIDE, is_training=True, auto_augment="rand-m9-mstd0.5-inc1", interpolation="random")
    dataset = ImageFolder(folder, transform)
    assert is_native(dataset, num_workers=num_workers)
    assert_as_stock(loaders(dataset, num_workers=num_workers))
    assert_as_stock(loaders(dataset, num_workers=num_workers, persistent_workers=True))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # timm's
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("use_prefetcher", [True, False], ids=["prefetcher", "plain"])
@pytest.mark.parametrize("policy", ["rand-m8-mstd0.5-inc1", None])  # nine might leave posterize no bit
def test_create_loader(root, natively, installed, num_workers, use_prefetcher, policy):
    """As timm's train.py has it, with its own data set, its erasing of whole batches and its seeding of workers."""

    def batches():
        seed_all(5)
        loader = create_loader(
            create_dataset("", str(root)),
            (3, SIDE, SIDE),
            8,
            is_training=True,
            auto_augment=policy,
            interpolation="random",
            re_prob=0.3 if use_prefetcher else 0.0,
            re_mode="pixel",
            num_workers=num_workers,
            use_prefetcher=use_prefetcher,
            device=torch.device("cpu"),
        )
        taken = [one for _ in range(2) for batch in loader for one in batch]
        return taken, GeneratorStates.now().to_json(), loader.loader if use_prefetcher else loader

    stock, states, _ = batches()
    with natively(), installed():
        ours, our_states, loader = batches()
    assert type(loader) is fastload.DataLoader
    fastload.require_native(loader)
    assert len(ours) == len(stock) and all(map(torch.equal, ours, stock)) and our_states == states


SIZES = [
    {"train_crop_mode": "rkrc"},
    {"train_crop_mode": "rkrr"},
    {"train_crop_mode": "rkrr", "scale": (0.3, 2.0), "ratio": (0.5, 2.0)},
    {"scale": (0.0, 0.01), "ratio": (0.2, 5.0)},
    {"scale": (0.9, 1.0), "ratio": (3.0, 9.0), "vflip": 0.5},
    {"color_jitter": (0.4, 0.4, 0.4, 0.1), "color_jitter_prob": 0.8, "grayscale_prob": 0.2},
]


@pytest.mark.parametrize("options", SIZES, ids=str)
def test_crops(folder, options):
    for interpolation in ("random", "bicubic", "lanczos"):
        transform = create_transform((SIDE, 24), is_training=True, interpolation=interpolation, **options)
        dataset = ImageFolder(folder, transform)
        assert is_native(dataset)
        assert_as_stock(loaders(dataset), epochs=2)


@pytest.mark.parametrize("options", [{"crop_mode": "border"}, {"crop_mode": "squash"}, {}, {"crop_pct": 1.0}], ids=str)
@pytest.mark.parametrize("size", [SIDE, (SIDE, 50)])
def test_evaluation(folder, options, size):
    dataset = ImageFolder(folder, create_transform(size, interpolation="bicubic", **options))
    assert is_native(dataset)
    assert_as_stock(loaders(dataset), epochs=1)


def policy_of(rng: random.Random) -> str:
    if rng.random() < 0.3:
        name = rng.choice(["original", "originalr", "v0", "v0r"])
        return name + rng.choice(["", f"-mstd{rng.uniform(0, 3):.2f}"])
    parts = {
        "m": rng.randint(0, 20),
        "n": rng.randint(0, 5),
        "p": round(rng.random(), 2),
        "mstd": rng.choice([0, 0.5, 7.5, 101]),
        "mmax": rng.randint(1, 30),
        "inc": rng.choice([0, 1]),
    }
    taken = rng.sample([f"{key}{value}" for key, value in parts.items()], rng.randint(0, len(parts)))
    return "-".join(["rand", *taken, *(["tweights"] if rng.random() < 0.3 else [])])


@settings(max_examples=cases(25, 150))
@given(seed=st.integers(0, 2**32 - 1))
def test_any_configuration(folder, seed):
    rng = random.Random(seed)
    transform = create_transform(
        (rng.randint(1, 60), rng.randint(1, 60)),
        is_training=True,
        train_crop_mode=rng.choice([None, None, "rkrc", "rkrr"]),
        auto_augment=rng.choice([None, policy_of(rng), policy_of(rng), policy_of(rng)]),
        color_jitter=rng.choice([0.0, 0.4, (0.1, 0.2, 0.3, 0.4)]),
        interpolation=rng.choice(["random", "bilinear", "bicubic"]),
        vflip=rng.choice([0.0, 0.3]),
        grayscale_prob=rng.choice([0.0, 0.2]),
    )
    if any(
        isinstance(step, timm_transforms.RandomCropOrPad | timm_transforms.CenterCropOrPad)
        for step in transform.transforms
    ):
        for step in transform.transforms:  # numpy reflects what has one pixel in another way from version to version
            if hasattr(step, "padding_mode"):
                step.padding_mode = rng.choice(["constant", "edge", "symmetric"])
    reading = read(transform)
    assert not reading.tail, reading.tail_reason
    assert_as_stock(loaders(ImageFolder(folder, transform)), seed=seed, epochs=1)


def test_each_operation_at_any_strength(folder):
    """All names of timm's that are native, one at a time, and those with a probability that another number decides."""
    for number, (name, increasing) in enumerate(itertools.product(auto_augment.NAME_TO_OP, (0.5, 1.0))):
        hparams = {
            "translate_const": 20,
            "img_mean": (1, 2, 250),
            "interpolation": [2, (2, 3), 3, 0][number % 4],
            "magnitude_std": [0, 3.0, float("inf")][number % 3],
            "magnitude_max": [None, 30][number % 2],
        }
        op = auto_augment.AugmentOp(name, increasing, 3 + number % 9, hparams)
        transform = v1.Compose([v1.Resize((SIDE, 41)), auto_augment.AutoAugment([[op]]), v1.PILToTensor()])
        assert not read(transform).tail, (name, read(transform).tail_reason)
        assert_as_stock(loaders(ImageFolder(folder, transform)), seed=number, epochs=2)


@pytest.mark.parametrize("left_after", [0, 1])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_epoch(folder, num_workers, left_after):
    dataset = ImageFolder(folder, create_transform(SIDE, is_training=True, auto_augment="rand-m9-mstd0.5-inc1"))
    loader = fastload.StatefulDataLoader(dataset, batch_size=4, shuffle=True, num_workers=num_workers)
    seed_all(1)
    iterator = iter(loader)
    for _ in range(left_after):
        next(iterator)
    state = json.loads(json.dumps(loader.state_dict()))
    rest = [images for images, _ in iterator]
    seed_all(2)
    again = fastload.StatefulDataLoader(dataset, batch_size=4, shuffle=True, num_workers=num_workers)
    again.load_state_dict(state)
    found = [images for images, _ in again]
    assert len(found) == len(rest) > 0 and all(map(torch.equal, found, rest))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("collate_fn", [None, fast_collate])
def test_arrays_as_older_timms_have_them(folder, num_workers, collate_fn):
    """ToNumpy ends the chain where a prefetcher is to follow."""
    chain = v1.Compose([*train_transform().transforms[:-2], timm_transforms.ToNumpy()])
    dataset = ImageFolder(folder, chain)
    assert is_native(dataset, collate_fn=collate_fn)
    assert_as_stock(loaders(dataset, num_workers=num_workers, collate_fn=collate_fn))
    chain.transforms.append(lambda array: array[:, :-1])
    assert not is_native(dataset)
    assert_as_stock(loaders(dataset, num_workers=num_workers, collate_fn=collate_fn))
    ours = fastload.ImageFolder(folder, chain)
    seed_all(1)
    array, _ = ours[1]
    seed_all(1)
    expected, _ = dataset[1]
    assert type(array) is np.ndarray and np.array_equal(array, expected) and array.strides == expected.strides


def test_timms_plain_conversion(folder):
    for dtype in (torch.float32, torch.uint8, torch.float16):
        dataset = ImageFolder(folder, v1.Compose([v1.CenterCrop(SIDE), timm_transforms.ToTensor(dtype)]))
        assert is_native(dataset)
        assert_as_stock(loaders(dataset))


# What is not timm's own


def train_transform():
    return create_transform(SIDE, is_training=True, auto_augment="rand-m9-mstd0.5-inc1", interpolation="random")


REPLACED = {
    "an operation": (auto_augment, "_randomly_negate", lambda value: value),
    "a function that all call": (random, "uniform", lambda a, b: (a + b) / 2),
    "numpy's choice": (np.random, "choice", lambda ops, count, **options: list(ops)[:count]),
    "a method": (
        timm_transforms.RandomResizedCropAndInterpolation,
        "get_params",
        staticmethod(lambda *given: (0, 0, 9, 9)),
    ),
}


@pytest.mark.parametrize("name", REPLACED)
def test_what_is_replaced_is_noticed(folder, monkeypatch, name):
    dataset = ImageFolder(folder, train_transform())
    assert is_native(dataset)
    loader = fastload.DataLoader(dataset, batch_size=4)
    iter(loader)
    owner, attribute, value = REPLACED[name]
    monkeypatch.setattr(owner, attribute, value)
    assert not is_native(dataset)
    assert_as_stock(loaders(dataset))


def test_an_operation_of_ones_own(folder):
    dataset = ImageFolder(folder, train_transform())
    policy = dataset.transform.transforms[2]
    assert is_native(dataset)
    policy.ops[3].aug_fn = lambda image, *given, **named: image
    assert not is_native(dataset)
    assert_as_stock(loaders(dataset))
    policy.ops[3] = v1.RandomHorizontalFlip()
    assert "RandomHorizontalFlip in it is no AugmentOp" in fastload.DataLoader(dataset).explain()


def test_changes_in_place_count(folder):
    def make(Loader):
        dataset = ImageFolder(folder, train_transform())
        loader = Loader(dataset, batch_size=4)

        def batches():
            for number, batch in enumerate(loader):
                yield batch
                dataset.transform.transforms[2].ops[number].prob = 1.0
                dataset.transform.transforms[0].scale = (0.5, 0.6)

        return batches()

    assert_as_stock(make, epochs=1)


@pytest.mark.parametrize("policy", ["augmix-m5-w4-d2", "augmix-m3-b1-mstd0.5"])
def test_what_stays_in_python(folder, policy):
    dataset = ImageFolder(folder, create_transform(SIDE, is_training=True, auto_augment=policy))
    assert not is_native(dataset) and fastload.DataLoader(dataset).explain().startswith("native")
    assert_as_stock(loaders(dataset))
