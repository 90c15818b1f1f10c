"""Chains with GaussianBlur: values and generators of the loader are torchvision's, in threads, in workers and on lazy images."""

from __future__ import annotations

import io
import random

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from chains import assert_as_stock
from torch_backends import without_onednn
from torchvision.datasets import ImageFolder

import fastload
from fastload.transforms.split_transforms import read
from images import jpeg_bytes, picture

SIZES = [(1, 1), (2, 3), (3, 50), (37, 23), (64, 64), (90, 61)]  # width and height
SIDE = 24


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Gray, CMYK, tiny, flat and 4:2:0 images; a PNG, for Pillow."""
    folder = tmp_path_factory.mktemp("blurs") / "class"
    folder.mkdir()
    for number, (width, height) in enumerate(SIZES):
        (folder / f"{number}-420.jpg").write_bytes(jpeg_bytes(number, width, height, form=2))
        picture(number, width, height).convert("L").save(folder / f"{number}-L.jpg")
    picture(7, 40, 30).convert("CMYK").save(folder / "cmyk.jpg")
    picture(9, 40, 30).save(folder / "other.png")
    PIL.Image.fromarray(np.full((9, 9, 3), 77, dtype=np.uint8)).save(folder / "flat.jpg")
    return folder.parent


def blur(rng: random.Random, module):
    kernel = rng.choice([1, 3, 5, 9, 23, (3, 9), (9, 1)])
    return module.GaussianBlur(kernel, rng.choice([(0.1, 2.0), 0.3, (1.0, 40.0), rng.uniform(0.1, 3)]))


def chain(rng: random.Random):
    module = rng.choice([v1, v2])
    gray = [module.Grayscale(1)] if rng.random() < 0.3 else []
    steps = [
        blur(rng, module),
        module.RandomApply([module.ColorJitter(0.4, 0.4, 0.4, 0.1), blur(rng, module)], p=0.7),
        module.RandomHorizontalFlip(),
        module.RandomCrop(rng.randint(14, 20)),
        module.RandomSolarize(128, p=0.3),
        module.Pad(rng.randint(0, 4)),
        module.RandomResizedCrop(rng.randint(20, 30)),
    ]
    rng.shuffle(steps)
    ends = [module.Resize((SIDE, SIDE)), blur(rng, module), module.CenterCrop(20), module.PILToTensor()]
    return module.Compose([*gray, module.Resize((30, 30)), *steps[:3], *ends])


def many_chains(root, first: int, count: int) -> None:
    for seed in range(first, first + count):
        transform = chain(random.Random(seed))
        assert not read(transform).tail
        assert_as_stock(root, transform, seed)


def test_random_chains(root):
    many_chains(root, 0, 8)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_three_hundred_chains(root, part):
    many_chains(root, 1000 * (1 + part), 60)


@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
def test_in_workers(root, module):
    transform = module.Compose(
        [module.RandomResizedCrop(SIDE), module.RandomApply([module.GaussianBlur(9)]), module.PILToTensor()]
    )
    explanation = fastload.DataLoader(ImageFolder(str(root), transform)).explain()
    assert "threads of this process" in explanation and "Python" not in explanation
    assert_as_stock(root, transform, 3, num_workers=2)
    assert_as_stock(root, v1.Compose([transform, v1.Lambda(torch.neg)]), 4, num_workers=2)  # in torch's own


def test_too_small_an_image_is_torchs_error(root):
    dataset = ImageFolder(str(root), v1.Compose([v1.GaussianBlur(9), v1.CenterCrop(8), v1.ToTensor()]))
    for cls in (fastload.DataLoader, torch.utils.data.DataLoader):
        torch.manual_seed(0)
        with pytest.raises(RuntimeError, match="Padding size should be less"):
            list(cls(dataset, batch_size=4))


def test_torchs_settings_count_when_they_are_changed(root):
    transform = v1.Compose([v1.Resize((SIDE, SIDE)), v1.GaussianBlur(5), v1.PILToTensor()])
    reading = read(transform)
    assert reading.watch.holds()
    with without_onednn():
        assert not reading.watch.holds()
        assert not read(transform).tail
        assert_as_stock(root, transform, 5)
    with torch.autocast("cpu"):
        assert "less than float32" in read(transform).tail_reason
        assert_as_stock(root, transform, 6)
    assert reading.watch.holds()


def test_stats_name_each_augmentation(root):
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(SIDE),
            v2.RandomApply([v2.ColorJitter(0.4), v2.GaussianBlur(5)], p=1),
            v2.RandomGrayscale(0.0),
            v2.PILToTensor(),
        ]
    )
    loader = fastload.DataLoader(ImageFolder(str(root), transform), batch_size=4)
    list(loader)
    stages = loader.stats()["stages"]
    assert stages["ColorJitter"] > 0 and stages["GaussianBlur"] > 0 and stages["resample"] > 0
    assert stages["RandomGrayscale"] == 0


def test_lazy_images():
    file = io.BytesIO(jpeg_bytes(1, 90, 61))
    transform = v1.Compose([v1.RandomResizedCrop(SIDE), v1.GaussianBlur(9), v1.ToTensor()])
    fast = fastload.native(transform)
    for seed in range(4):
        torch.manual_seed(seed)
        ours, our_state = fast(fastload.open(file.getvalue())), torch.get_rng_state()
        torch.manual_seed(seed)
        assert torch.equal(ours, transform(PIL.Image.open(file)))
        assert torch.equal(our_state, torch.get_rng_state())
