"""``fastload.Views``: several views of one image in one pass, each as by itself; the generators as they would be."""

from __future__ import annotations

import io
import random

import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.datasets import ImageFolder

import fastload
from cases import cases
from fastload.engine import GeneratorStates
from fastload.images import one_pass
from images import jpeg_bytes, picture

N = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def gray_bytes() -> bytes:
    file = io.BytesIO()
    picture(6, 101, 77).convert("L").save(file, "JPEG")
    return file.getvalue()


FILES = [*(jpeg_bytes(seed, 60 + 9 * seed, 90 - 4 * seed) for seed in range(3)), gray_bytes()]


class PillowBlur:
    """DINO's."""

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, image):
        if random.random() > self.p:
            return image
        return image.filter(PIL.ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


# Those before "a resize" change the very pixels that are decoded.
STEPS = {
    "nothing": list,
    "a flip": lambda: [v1.RandomHorizontalFlip(), v1.RandomVerticalFlip()],
    "gray": lambda: [v1.RandomGrayscale(0.7)],
    "colours": lambda: [v1.ColorJitter(0.4, 0.4, 0.4, 0.1)],
    "a blur": lambda: [PillowBlur(0.7)],
    "solarized": lambda: [v1.RandomSolarize(100, 0.7)],
    "a window": lambda: [v1.RandomCrop(30), v1.RandomEqualize(0.6)],
    "a mix": lambda: [v1.CenterCrop(24), v1.AugMix()],
    "a resize": lambda: [v1.RandomResizedCrop(28)],
    "sharper": lambda: [v1.RandomAdjustSharpness(2, 0.7)],
    "torchvision's blur": lambda: [v1.GaussianBlur(5)],
    "turned": lambda: [v1.RandomRotation(30)],
    "padded": lambda: [v1.Pad(3)],
    "a policy": lambda: [v1.TrivialAugmentWide()],
    "one of two": lambda: [v1.RandomChoice([v1.RandomInvert(), v1.Resize(33)])],
}
ENDS = {
    "float": lambda: [v1.ToTensor(), v1.Normalize(**N)],
    "bytes": lambda: [v1.PILToTensor()],
    "erased": lambda: [v1.ToTensor(), v1.RandomErasing(0.6, value="random")],
    "tv_tensor": lambda: [v2.ToImage()],
}


def view_of(rng: random.Random):
    steps = [step for name in rng.sample(sorted(STEPS), rng.randint(0, 3)) for step in STEPS[name]()]
    end = ENDS[rng.choice(sorted(ENDS))]()
    kind = v2.Compose if any(isinstance(step, v2.ToImage) for step in end) else v1.Compose
    return kind([*steps, *end])


def run(make, seed: int):
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    try:
        made = make()
    except Exception as error:
        return type(error), GeneratorStates.now().to_json()
    return made, GeneratorStates.now().to_json()


def assert_as_each(views, data, before=lambda image: image, seed=0):
    """On Pillow's image and on the lazy one."""
    theirs, their_states = run(
        lambda: [view(before(PIL.Image.open(io.BytesIO(data)).convert("RGB"))) for view in views], seed
    )
    together = fastload.Views(views)
    ours, states = run(lambda: together(before(fastload.open(data).convert("RGB"))), seed)
    assert states == their_states
    if isinstance(theirs, type):
        assert ours is theirs
        return
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert type(mine) is type(other) and mine.dtype == other.dtype and torch.equal(mine, other)
        assert mine.stride() == other.stride()


@pytest.fixture
def passes(monkeypatch):
    """How many views each pass of the engine made."""
    made, plain = [], one_pass._values_of_each

    def note(plan, each):
        arrays = plain(plan, each)
        made.append(None if arrays is None else len(each))
        return arrays

    monkeypatch.setattr(one_pass, "_values_of_each", note)
    return made


@pytest.mark.parametrize("name", STEPS)
def test_what_one_view_changes_no_other_sees(passes, name):
    changed = v1.Compose([*STEPS[name](), v1.ToTensor()])
    plain = v1.Compose([v1.Resize(40), v1.ToTensor()])
    views = [plain, changed, v1.PILToTensor(), changed, plain]
    if name == "a mix":  # it needs images of a known size
        views = [changed, plain, changed]
    for seed, data in enumerate(FILES):
        for _ in range(3):
            assert_as_each(views, data, seed=seed)
    assert len(views) in passes


def test_dinos(passes):
    begin = [
        v1.RandomHorizontalFlip(),
        v1.RandomApply([v1.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
        v1.RandomGrayscale(0.2),
    ]
    end = [v1.ToTensor(), v1.Normalize(**N)]
    crop = [v1.RandomResizedCrop(side, scale, interpolation=3) for side, scale in ((48, (0.4, 1)), (24, (0.05, 0.4)))]
    large = v1.Compose([crop[0], *begin, PillowBlur(1.0), *end])
    other = v1.Compose([crop[0], *begin, PillowBlur(0.1), v1.RandomSolarize(128, p=0.2), *end])
    small = v1.Compose([crop[1], *begin, PillowBlur(0.5), *end])
    for seed in range(4):
        for data in FILES:
            assert_as_each([large, other, *[small] * 8], data, seed=seed)
    assert passes.count(10) >= 10


@settings(max_examples=cases(40, 600))
@given(seed=st.integers(0, 2**32 - 9))
def test_any_views(seed):
    rng = random.Random(seed)
    views = [view_of(rng) for _ in range(rng.randint(1, 5))]
    views += rng.choices(views, k=rng.randint(0, 3))
    before = rng.choice(
        [lambda image: image, lambda image: image.crop((3, 5, 58, 50)), lambda image: image.resize((50, 61))]
    )
    for number in range(3):
        assert_as_each(views, rng.choice(FILES), before, seed=seed + number)


def test_python_between_them(passes):
    """Its draws come in their turn, so that nothing is done at once."""

    def draws(image):
        return torch.rand(3) + random.random()

    first = v1.Compose([v1.RandomCrop(20), v1.ToTensor()])
    for views in ([first, draws, first], [first, v1.Compose([v1.ToTensor(), draws])]):
        for seed in range(3):
            assert_as_each(views, FILES[1], seed=seed)
    assert not passes


def test_a_view_that_refuses(passes):
    """The generators are where that one came, and its error is torchvision's."""
    views = [v1.Compose([v1.RandomResizedCrop(20), v1.ToTensor()]), v1.Compose([v1.RandomCrop(900), v1.ToTensor()])]
    for seed in range(3):
        assert_as_each(views, FILES[0], seed=seed)
    assert passes and set(passes) == {None}


def test_a_damaged_image(passes):
    """Pillow raises; the generators are as they were."""
    data = FILES[2]
    damaged = data[: len(data) // 2] + b"\xff\xd9"
    views = [v1.Compose([v1.RandomResizedCrop(20), v1.ToTensor()])] * 3
    for seed in range(3):
        assert_as_each(views, damaged, seed=seed)


def test_an_image_that_is_used_again(passes):
    views = fastload.Views([v1.Compose([v1.RandomCrop(20), v1.ToTensor()]), v1.PILToTensor()])
    for data in FILES:
        lazy, plain = fastload.open(data).convert("RGB"), PIL.Image.open(io.BytesIO(data)).convert("RGB")
        for seed in range(3):
            ours, _ = run(lambda image=lazy: views(image), seed)
            theirs, _ = run(lambda image=plain: [view.transform(image) for view in views.transforms], seed)
            assert all(map(torch.equal, ours, theirs))
        assert np.array_equal(np.asarray(lazy), np.asarray(plain))
    assert 2 in passes


def test_a_transform_that_changes(passes):
    crop = v1.Compose([v1.RandomCrop(20), v1.ToTensor()])
    for side in (20, 20, 20, 31, 12):
        crop.transforms[0].size = (side, side)
        assert_as_each([crop, crop], FILES[1], seed=side)
    crop.transforms.append(lambda tensor: tensor.flip(0).contiguous())
    assert_as_each([crop, crop], FILES[1])
    assert 2 in passes


def test_explain_says_what_makes_views_native(tmp_path):
    (tmp_path / "a").mkdir()
    for number, data in enumerate(FILES):
        (tmp_path / "a" / f"{number}.jpg").write_bytes(data)
    crop = v1.Compose([v1.RandomResizedCrop(16), v1.ToTensor()])
    dataset = ImageFolder(tmp_path, fastload.Views([crop, crop]))
    loader = fastload.DataLoader(dataset, 2)
    with pytest.warns(fastload.FastloadWarning, match=r"call fastload.install\(\) before the loop"):
        plain = run(lambda: list(loader), 3)
    said = loader.explain()
    assert said.startswith("stock: no transform is native (Views: ")
    assert "  views: of Pillow's own images, one after the other; call fastload.install() before the loop" in said
    fastload.install()
    try:
        said = fastload.DataLoader(dataset, 2).explain()
        assert "  images: lazy" in said and "  view 1: native: RandomResizedCrop, ToTensor" in said
        assert "call fastload.install()" not in said
        lazy = run(lambda: list(loader), 3)
        assert loader.stats()["lazy"]["tensors"] > 0
    finally:
        fastload.uninstall()
    assert plain[1] == lazy[1]
    for (views, targets), (others, other_targets) in zip(plain[0], lazy[0], strict=True):
        assert all(map(torch.equal, views, others)) and torch.equal(targets, other_targets)
