"""torchvision's transforms on lazy images: the very tensors, types and random numbers, and Python steps in their places."""

from __future__ import annotations

import io
import random

import numpy as np
import PIL.Image
import PIL.ImageFilter
import PIL.ImageOps
import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision.models import ResNet18_Weights

import fastload
from fastload.images import is_lazy
from images import jpeg_bytes, picture

N = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
FILES = [jpeg_bytes(seed, 60 + 9 * seed, 90 - 4 * seed) for seed in range(3)]


def _gray() -> bytes:
    file = io.BytesIO()
    picture(6, 101, 77).convert("L").save(file, "JPEG")
    return file.getvalue()


def _blur(image):
    return image.filter(PIL.ImageFilter.BLUR)


def _convert(image):
    return image.convert("RGB")


def _type_of(image):
    assert type(image) is PIL.Image.Image
    return image


TRANSFORMS = {
    "crop 1": v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize(**N)]),
    "crop 2": v2.Compose(
        [
            v2.RandomResizedCrop(32),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(**N),
        ]
    ),
    "evaluation": v1.Compose([v1.Resize(40), v1.CenterCrop(32), v1.ToTensor(), v1.Normalize(**N)]),
    "evaluation 2": v2.Compose([v2.Resize(40, interpolation=3), v2.CenterCrop(36), v2.PILToTensor()]),
    "preset": ResNet18_Weights.DEFAULT.transforms(),
    "head in Python": v1.Compose([_convert, v1.RandomCrop(30, padding=4), v1.RandomVerticalFlip(), v1.ToTensor()]),
    "middle in Python": v1.Compose(
        [v1.RandomResizedCrop(32), v1.ColorJitter(0.4, 0.4, 0.4, 0.1), _blur, v1.ToTensor()]
    ),
    "tail in Python": v1.Compose(
        [v1.RandomCrop(30), v1.ToTensor(), v1.RandomErasing(p=0.9), lambda t: t + torch.rand(1)]
    ),
    "random in Python first": v1.Compose([v1.RandomApply([_blur], 0.5), v1.RandomCrop(20), v1.ToTensor()]),
    "rotation": v1.Compose([v1.RandomRotation(20), v1.RandomResizedCrop(32), v1.ToTensor()]),
    "grayscale": v2.Compose(
        [v2.Resize((30, 20)), v2.RandomGrayscale(0.5), v2.ToImage(), v2.ToDtype(torch.float64, scale=True)]
    ),
    "one channel": v1.Compose([v1.Grayscale(), v1.Resize(30), v1.CenterCrop(28), v1.ToTensor()]),
    "nested": v1.Compose([v1.Compose([_convert, v1.Resize(40)]), v1.Compose([v1.CenterCrop(32), v1.ToTensor()])]),
    "image": v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip()]),
    "type is looked at": v1.Compose([_type_of, v1.Resize(32), _type_of, v1.CenterCrop(30), v1.ToTensor()]),
    "single": v1.ToTensor(),
    "single crop": v2.RandomCrop(30),
    "auto": v1.Compose([v1.RandomResizedCrop(32), v1.TrivialAugmentWide(), v1.ToTensor()]),
    "function": lambda image: image.rotate(5).crop((0, 0, 9, 9)),
}


def run(transform, image, seed):
    torch.manual_seed(seed)
    random.seed(seed)
    made = transform(image)
    return made, torch.get_rng_state(), random.random()


def assert_equal(plain, lazy):
    assert type(plain[0]) is type(lazy[0])
    if isinstance(plain[0], torch.Tensor):
        assert plain[0].dtype == lazy[0].dtype and plain[0].stride() == lazy[0].stride()
        assert torch.equal(plain[0], lazy[0])
    else:
        assert plain[0].size == lazy[0].size and plain[0].tobytes() == lazy[0].tobytes()
    assert torch.equal(plain[1], lazy[1]) and plain[2] == lazy[2]


PREPARED = {
    "converted": _convert,
    "cropped": lambda image: image.convert("RGB").crop((3, 2, 55, 65)).transpose(PIL.Image.Transpose.ROTATE_90),
    "gray": lambda image: image.convert("L").convert("RGB"),
    "turned by EXIF": lambda image: PIL.ImageOps.exif_transpose(image),
}


@pytest.mark.parametrize("prepared", PREPARED)
def test_wrapped(prepared):
    for transform in TRANSFORMS.values():
        native = fastload.native(transform)
        for seed, data in enumerate(FILES):
            prepare = PREPARED[prepared]
            plain = run(transform, prepare(PIL.Image.open(io.BytesIO(data))), seed)
            assert_equal(plain, run(native, prepare(fastload.open(data)), seed))


def test_gray_files_and_pairs():
    data = _gray()
    for transform in (v1.Compose([v1.Resize(40), v1.CenterCrop(32), v1.ToTensor()]), v1.ToTensor()):
        for _ in range(3):
            plain = run(transform, PIL.Image.open(io.BytesIO(data)), 0)
            assert_equal(plain, run(fastload.native(transform), fastload.open(data), 0))
    pair = v2.Compose([v2.RandomResizedCrop(32), v2.ToImage()])
    for _ in range(3):
        plain = run(lambda image: pair(image, image)[1], PIL.Image.open(io.BytesIO(data)), 0)
        assert_equal(plain, run(lambda image: fastload.native(pair)(image, image)[1], fastload.open(data), 0))


def test_a_transform_that_changes_is_seen():
    transform = v1.Compose([v1.RandomResizedCrop(32), v1.ToTensor()])
    native = fastload.native(transform)
    for change in (
        lambda: None,
        lambda: setattr(transform.transforms[0], "size", (20, 24)),
        lambda: transform.transforms.insert(1, v1.RandomHorizontalFlip(1.0)),
        lambda: transform.transforms.insert(1, _blur),
        lambda: transform.transforms.pop(1),
        lambda: transform.transforms.append(v1.Normalize(**N)),
        lambda: setattr(transform, "transforms", [v1.CenterCrop(20), v1.PILToTensor()]),
    ):
        change()
        for seed in range(3):
            plain = run(transform, PIL.Image.open(io.BytesIO(FILES[2])), seed)
            assert_equal(plain, run(native, fastload.open(FILES[2]), seed))


def test_errors_come_as_they_do():
    small = v1.Compose([v1.RandomCrop(300), v1.ToTensor()])
    native = fastload.native(small)
    for _ in range(3):
        said = []
        for transform, image in ((small, PIL.Image.open(io.BytesIO(FILES[0]))), (native, fastload.open(FILES[0]))):
            torch.manual_seed(3)
            with pytest.raises(ValueError) as error:
                transform(image)
            said.append((str(error.value), torch.rand(3).tolist()))
        assert said[0] == said[1]


def test_the_native_part_is_native(monkeypatch):
    from fastload.images import native_transforms, one_pass

    asked = []
    plain = one_pass._values
    monkeypatch.setattr(one_pass, "_values", lambda *args: asked.append(1) or plain(*args))
    for name in (
        "crop 1",
        "crop 2",
        "evaluation",
        "evaluation 2",
        "preset",
        "head in Python",
        "tail in Python",
        "one channel",
        "nested",
    ):
        asked.clear()
        native_transforms._here.unproven = 0  # none of those before was used often, unless by another test
        for _ in range(3):
            fastload.native(TRANSFORMS[name])(fastload.open(FILES[1]).convert("RGB"))
        assert len(asked) >= 2, name


@pytest.fixture
def installed():
    fastload.install()
    yield
    fastload.uninstall()


def test_views():
    transforms = [TRANSFORMS["crop 1"], TRANSFORMS["middle in Python"], TRANSFORMS["crop 2"], TRANSFORMS["function"]]
    views = fastload.Views(transforms)
    for seed, data in enumerate(FILES):
        torch.manual_seed(seed)
        image = PIL.Image.open(io.BytesIO(data)).convert("RGB")
        plain = [transform(image) for transform in transforms]
        torch.manual_seed(seed)
        lazy = views(fastload.open(data).convert("RGB"))
        for one, other in zip(plain, lazy, strict=True):
            assert np.array_equal(np.asarray(one), np.asarray(other))


class TwoCrops:
    """As MoCo has it."""

    def __init__(self, base):
        self.base = base

    def __call__(self, x):
        return [self.base(x), self.base(x)]


class MultiCrop:
    """As DINO has it."""

    def __init__(self):
        flip = [
            v1.RandomHorizontalFlip(),
            v1.RandomApply([v1.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
            v1.RandomGrayscale(0.2),
        ]
        end = [v1.ToTensor(), v1.Normalize(**N)]
        self.large = [v1.Compose([v1.RandomResizedCrop(48, (0.4, 1), interpolation=3), *flip, *end]) for _ in range(2)]
        self.small = v1.Compose([v1.RandomResizedCrop(24, (0.05, 0.4), interpolation=3), *flip, *end])

    def __call__(self, image):
        return [*(large(image) for large in self.large), *(self.small(image) for _ in range(4))]


@pytest.mark.parametrize("crops", [TwoCrops(TRANSFORMS["crop 1"]), MultiCrop()])
def test_multi_crop_classes(crops, installed):
    for seed, data in enumerate(FILES):
        fastload.uninstall()
        plain = run(
            lambda image: torch.cat([view.flatten() for view in crops(image)]), PIL.Image.open(io.BytesIO(data)), seed
        )
        fastload.install()
        opened = PIL.Image.open(io.BytesIO(data))
        assert is_lazy(opened)
        assert_equal(plain, run(lambda image: torch.cat([view.flatten() for view in crops(image)]), opened, seed))
