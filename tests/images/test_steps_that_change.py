"""What has a list of transforms, but is no Compose; and a Compose whose steps change it while it runs."""

from __future__ import annotations

import random

import PIL.Image
import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

import fastload
from images import write_folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = write_folder(tmp_path_factory.mktemp("folder"), classes=1, images=3, largest=48)
    return sorted(root.rglob("*.jpg"))


class Backwards(v1.Compose):
    def __call__(self, image):
        for step in reversed(self.transforms):
            image = step(image)
        return image


class Twice(v1.Compose):
    def __call__(self, image):
        return [v1.Compose.__call__(self, image), v1.Compose.__call__(self, image)]


class Doubled(v2.Compose):
    def forward(self, image):
        return super().forward(image) * 2


class Inherits(v1.Compose):
    pass


class Crops:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, image):
        return [step(image) for step in self.transforms]


def crop(size=12):
    return v1.Compose([v1.RandomResizedCrop(size), v1.RandomHorizontalFlip(), v1.ToTensor()])


def replaces():
    compose, calls = v1.Compose([None, v1.Resize((9, 9)), v1.ToTensor()]), []

    def step(image):
        calls.append(image)
        compose.transforms[1] = v1.Resize((9, 9 + len(calls)))
        return image

    compose.transforms[0] = step
    return compose


def changes():
    resize, calls = v1.Resize((9, 9)), []

    def step(image):
        calls.append(image)
        resize.size = (9, 9 + len(calls))
        return image

    return v1.Compose([step, resize, v1.ToTensor()])


def adds():
    compose = v1.Compose([lambda image: image, v1.Resize((9, 9)), v1.ToTensor(), None, v1.Normalize([0.5], [0.5])])

    def step(tensor):
        compose.transforms[4] = v1.Normalize([float(tensor.mean())], [0.5])
        compose.transforms[5:] = [v1.Normalize([0.1], [0.5])]
        return tensor

    compose.transforms[3] = step
    return compose


def held_open():
    compose = v2.Compose([lambda image: image, v2.Resize((9, 9)), v2.PILToTensor()])
    compose.forward = lambda image: v2.PILToTensor()(image.resize((3, 3)))
    return compose


CHAINS = {
    "choice": lambda: v1.RandomChoice([v1.Resize((9, 9)), v1.ToTensor()]),
    "choice v2": lambda: v2.RandomChoice([v2.Resize((9, 9)), v2.PILToTensor()]),
    "order": lambda: v1.RandomOrder([v1.Resize((9, 9)), v1.CenterCrop(5)]),
    "apply": lambda: v1.RandomApply([v1.Resize((9, 9)), v1.ToTensor()], p=0.5),
    "apply v2": lambda: v2.RandomApply([v2.Resize((9, 9)), v2.PILToTensor()], p=0.5),
    "backwards": lambda: Backwards([v1.ToTensor(), v1.CenterCrop(12), v1.Resize(9)]),
    "twice": lambda: Twice([v1.Lambda(lambda image: image), v1.RandomResizedCrop(9), v1.ToTensor()]),
    "doubled": lambda: Doubled([v2.Resize((9, 9)), v2.PILToTensor()]),
    "inherits": lambda: Inherits([lambda image: image, *crop().transforms]),
    "crops": lambda: Crops([v1.RandomResizedCrop(9), crop()]),
    "one crop": lambda: Crops([crop()]),
    "replaces": replaces,
    "changes": changes,
    "adds": adds,
    "other forward": held_open,
}


def plain(value):
    if isinstance(value, list):
        return [plain(one) for one in value]
    return v1.functional.pil_to_tensor(value) if isinstance(value, PIL.Image.Image) else value


def same(a, b):
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a.dtype == b.dtype and torch.equal(a, b)


def run(make, wrap, opened, files):
    torch.manual_seed(2)
    random.seed(2)
    transform = wrap(make())
    made = []
    for file in files * 3:
        with opened(file) as image:
            made.append(plain(transform(image.convert("RGB"))))
    return made, torch.get_rng_state(), random.random()


@pytest.mark.parametrize("name", CHAINS)
def test_native(name, files):
    expected, state, number = run(CHAINS[name], lambda transform: transform, PIL.Image.open, files)
    made, state_too, number_too = run(CHAINS[name], fastload.native, fastload.open, files)
    assert same(made, expected) and torch.equal(state, state_too) and number == number_too


@pytest.mark.parametrize("name", ["choice", "apply", "crops", "backwards"])
def test_views(name, files):
    second = crop(7)
    expected = run(CHAINS[name], lambda first: lambda image: [first(image), second(image)], PIL.Image.open, files)
    made = run(CHAINS[name], lambda first: fastload.Views([first, second]), fastload.open, files)
    assert same(made[0], expected[0]) and torch.equal(made[1], expected[1]) and made[2] == expected[2]
