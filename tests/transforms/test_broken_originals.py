"""What classes hold, what is called without being named, and steps that change the steps after them: stock's batches."""

from __future__ import annotations

import builtins

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision.datasets import ImageFolder

import fastload
from images import write_folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=4, largest=90)


def train(version):
    steps = [version.RandomResizedCrop(24), version.RandomHorizontalFlip(), version.ToTensor()]
    return version.Compose([*steps, version.Normalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.4])])


def evaluate(version):
    return version.Compose([version.Resize(30), version.CenterCrop(24), version.ToTensor()])


def small(version):
    return version.Compose([version.CenterCrop(30), version.Resize(24), version.ToTensor()])


def inverted(old):
    return lambda *a, **k: 255 - old(*a, **k) if isinstance(a[0], PIL.Image.Image) else old(*a, **k)


def modern(version):
    return v2.Compose([v2.RandomResizedCrop(24), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


def outcome(Loader, dataset, at_batch):
    torch.manual_seed(3)
    made = []
    for number, (images, targets) in enumerate(Loader(dataset, batch_size=2, shuffle=True)):
        made += [images.clone(), targets.clone()]
        at_batch(number)
    return [*made, torch.get_rng_state()]


def check(root, make, *, loop=outcome):
    """``make()``: a transform and what is done after each batch."""
    kinds = {"stock": (torch.utils.data.DataLoader, False), "ours": (fastload.DataLoader, False)}
    kinds["ours, in torch's loader"] = torch.utils.data.DataLoader, True
    made = {}
    for name, (Loader, ours) in kinds.items():
        transform, at_batch = make()
        folder = ImageFolder(str(root), transform)
        if ours:
            folder = fastload.ImageFiles([path for path, _ in folder.samples], folder.targets, transform)
        made[name] = loop(Loader, folder, at_batch)
    stock = made.pop("stock")
    for name, batches in made.items():
        assert len(batches) == len(stock) and all(map(torch.equal, batches, stock)), name
    return stock


CASES = [
    (v2.RandomHorizontalFlip, "_transformed_types", lambda old: (), train, v2),
    (v2.Resize, "_transformed_types", lambda old: (torch.Tensor,), small, v2),
    (torch.Tensor, "__lt__", lambda old: lambda self, other: ~old(self, other), train, v1),
    (torch.Tensor, "__bool__", lambda old: lambda self: True, train, v2),
    (builtins, "round", lambda old: lambda *a: old(*a) + 1, train, v1),
    (builtins, "round", lambda old: lambda *a: old(*a) + 1, evaluate, v2),
    (np, "array", inverted, evaluate, v1),
    (PIL.Image.Image, "tobytes", lambda old: lambda *a: bytes(255 - b for b in old(*a)), modern, v2),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0].__name__}.{c[1]}-{c[4].__name__[-2:]}")
@pytest.mark.parametrize("when", [-1, 1])
def test_replaced(root, case, when):
    """Before the loader is made, or in the middle of an epoch."""
    owner, name, make, recipe, version = case

    def loop(Loader, dataset, at_batch):
        with pytest.MonkeyPatch.context() as patch:
            before = getattr(owner, name)
            if when < 0:
                patch.setattr(owner, name, make(before))
            return outcome(Loader, dataset, lambda number: number == when and patch.setattr(owner, name, make(before)))

    replaced = check(root, lambda: (recipe(version), None), loop=loop)
    plain = outcome(torch.utils.data.DataLoader, ImageFolder(str(root), recipe(version)), lambda number: None)
    assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(replaced, plain, strict=True))


@pytest.mark.parametrize("version", [v1, v2])
@pytest.mark.parametrize("sizes", [lambda n: (20 + n, 20), None])
def test_an_attribute_of_a_class_that_its_object_lacks(root, monkeypatch, version, sizes):
    """Set anew, or a list that is changed in place."""
    kind = version.RandomResizedCrop

    def make():
        transform = train(version)
        del transform.transforms[0].size
        monkeypatch.setattr(kind, "size", [20, 20], raising=False)

        def at_batch(number):
            if sizes is None:
                kind.size[0] += 3
            else:
                kind.size = sizes(number)

        return transform, at_batch

    stock = check(root, make)
    assert len({batch.shape for batch in stock[:-1:2]}) > 2


def set_next(steps, number):
    steps[5] = v2.Lambda(lambda image: image + number)


def append(steps, number):
    if number == 3:
        steps.append(v2.RandomVerticalFlip(0.5))


def insert(steps, number):
    if number == 3:
        steps.insert(0, v2.CenterCrop(40))


@pytest.mark.parametrize("change", [set_next, append, insert])
@pytest.mark.parametrize("version", [v1, v2])
def test_a_step_in_python_that_changes_the_steps_after_it(root, version, change):
    """They count for the sample that it is called with, as in stock's loop."""

    def make():
        transform = train(version)
        numbers = iter(range(1000))

        def step(image):
            change(transform.transforms, next(numbers))
            return image * 2

        transform.transforms += [step, v2.Identity()]
        return transform, lambda number: None

    check(root, make)
