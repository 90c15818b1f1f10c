"""Training scripts as people have them, in small: under ``install()`` each gives torch's batches, in the way that is written here.

A form that loses its way fails, also where its batches stay equal.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset, random_split
from torchvision.datasets import ImageFolder

import fastload
from images import write_folder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=3, images=4, largest=64)


@pytest.fixture
def installed():
    fastload.install()
    yield
    fastload.uninstall()


class ReferenceTrain:
    """As in the references of torchvision, which have one for both kinds of transforms."""

    def __init__(self, T, crop_size, flip=0.5, policy=None, erase=0.0):
        steps = [T.RandomResizedCrop(crop_size, antialias=True)]
        if flip > 0:
            steps.append(T.RandomHorizontalFlip(flip))
        if policy is not None:
            steps.append(policy)
        steps.append(T.PILToTensor())
        steps += [T.ToDtype(torch.float, scale=True)] if T is v2 else [T.ConvertImageDtype(torch.float)]
        steps.append(T.Normalize(mean=MEAN, std=STD))
        if erase > 0:
            steps.append(T.RandomErasing(p=erase))
        if T is v2:
            steps.append(T.ToPureTensor())
        self.transforms = T.Compose(steps)

    def __call__(self, img):
        return self.transforms(img)


class ReferenceEval:
    def __init__(self, crop_size, resize_size):
        self.transforms = v1.Compose(
            [
                v1.Resize(resize_size),
                v1.CenterCrop(crop_size),
                v1.PILToTensor(),
                v1.ConvertImageDtype(torch.float),
                v1.Normalize(MEAN, STD),
            ]
        )

    def __call__(self, img):
        return self.transforms(img)


COMPOSE = v1.Compose([v1.RandomResizedCrop(24), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize(MEAN, STD)])


def seed_worker(worker_id):
    worker_seed = torch.initial_seed() % 2**32
    np.random.seed(worker_seed)
    random.seed(worker_seed)


def mixed(batch):
    images, targets = torch.utils.data.default_collate(batch)
    weight = torch.rand(1).item()
    return images * weight + images.roll(1, 0) * (1 - weight), targets


class IndexFolder(ImageFolder):
    def __getitem__(self, index):
        image, target = super().__getitem__(index)
        return image, target, index


class Pets(Dataset):
    """A list of files, and Pillow."""

    def __init__(self, root, transform):
        self.files = sorted(Path(root).rglob("*.jpg"))
        self.transform = transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        image = Image.open(self.files[index]).convert("RGB")
        return {"image": self.transform(image), "label": len(self.files[index].parent.name)}


def split_with_a_transform(root):
    part, _ = random_split(ImageFolder(root), [8, 4], generator=torch.Generator().manual_seed(0))
    part.dataset.transform = COMPOSE
    return part


# By name: the data set, options of the loader, and the way.
FORMS = {
    "reference": (lambda root: ImageFolder(root, ReferenceTrain(v1, 24)), {}, "native"),
    "reference, v2": (lambda root: ImageFolder(root, ReferenceTrain(v2, 24)), {}, "native"),
    "reference, erasing": (lambda root: ImageFolder(root, ReferenceTrain(v1, 24, erase=0.5)), {}, "native"),
    "reference, policy": (
        lambda root: ImageFolder(root, ReferenceTrain(v1, 24, policy=v1.TrivialAugmentWide())),
        {},
        "native",
    ),
    "reference, mixup": (lambda root: ImageFolder(root, ReferenceTrain(v1, 24)), {"collate_fn": mixed}, "native in workers"),
    "reference, test only": (lambda root: ImageFolder(root, ReferenceEval(24, 30)), {"shuffle": False}, "native"),
    "seeding": (lambda root: ImageFolder(root, COMPOSE), {"worker_init_fn": seed_worker}, "native"),
    "all at once": (
        lambda root: ImageFolder(
            root,
            ReferenceTrain(v1, 24),
            target_transform=lambda target: float(target == 1),
            loader=lambda path: Image.open(path).convert("RGB"),
        ),
        {"worker_init_fn": seed_worker, "persistent_workers": True},
        "native",
    ),
    "a function around": (lambda root: ImageFolder(root, lambda image: COMPOSE(image)), {}, "native"),
    "a split with its own transform": (split_with_a_transform, {}, "native"),
    "a part of a subclass": (lambda root: Subset(IndexFolder(root, COMPOSE), [0, 3, 5]), {}, "stock"),
    "index beside the sample": (lambda root: IndexFolder(root, COMPOSE), {}, "stock"),
    "files and Pillow": (lambda root: Pets(root, COMPOSE), {}, "stock"),
}  # fmt: skip


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))


def train(make, root, options):
    torch.manual_seed(11)
    generator = torch.Generator().manual_seed(5)
    options = {"shuffle": True, "num_workers": 1, "generator": generator, **options}
    loader = DataLoader(make(root), batch_size=4, **options)
    return [batch for _ in range(2) for batch in loader], loader


@pytest.mark.parametrize("name", FORMS)
def test_a_form(name, root, request):
    make, options, way = FORMS[name]
    expected, _ = train(make, root, options)
    request.getfixturevalue("installed")
    made, loader = train(make, root, options)
    assert same(made, expected)
    assert loader.stats()["mode"] == way, loader.explain()
    if way == "stock":  # what it opens is decoded natively, down to the tensor
        assert loader.stats()["lazy"]["tensors"] > 0, loader.stats()
