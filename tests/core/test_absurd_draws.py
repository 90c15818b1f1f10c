"""Sizes, ratios and scales that nobody needs: torchvision's images, errors and generator states, and no undefined behaviour."""

from __future__ import annotations

import itertools

import PIL.Image
import pytest
import torch
import torchvision.transforms as v1
from torch.utils.data import DataLoader as StockLoader
from torchvision.transforms import v2

from fastload import DataLoader, ImageFiles
from images import picture

SIZES = [(1, 1), (1, 2), (2, 1), (1, 40), (40, 1), (1, 300), (300, 1), (2, 3), (7, 7)]
RATIOS = [
    (3 / 4, 4 / 3),
    (1, 1),
    (3, 4),
    (0.2, 0.3),
    (1.9, 1.9),
    (0.01, 100),
    (50, 60),
    (1e-3, 2e-3),
    (1e-30, 1e30),
    (1e30, 1e31),
    (1e-37, 2e-37),
    (1e37, 2e37),
    (4, 3),
    (0, 1),
    (-1, 1),
    (1, float("inf")),
    (float("nan"), 1),
    (1, 1e39),
    (1, 10**400),
]
SCALES = [
    (0.08, 1),
    (0, 0),
    (1, 1),
    (2, 3),
    (1e30, 2e30),
    (1e-30, 1e-29),
    (0, 1e37),
    (1, 0.5),
    (-1, 1),
    (0, float("inf")),
    (float("nan"), 1),
]
FAMILIES = {"v1": v1, "v2": v2}


def pipeline(family, *transforms):
    if family is v1:
        return v1.Compose([*transforms, v1.PILToTensor()])
    return v2.Compose([*transforms, v2.PILToTensor()])


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("absurd")
    made = []
    for width, height in SIZES:
        made.append(str(folder / f"{width}x{height}.jpg"))
        picture(width * height, width, height).save(made[-1], quality=95)
    return made


def outcome(kind, path, transform, seed=0):
    """The images, or the type of the error; and the generator afterwards."""
    torch.manual_seed(seed)
    try:
        made = [images.clone() for images in kind(ImageFiles([path] * 3, transform=transform), 1)]
    except Exception as error:
        made = error
    return made, torch.get_rng_state()


def compare(path, transform):
    theirs, their_state = outcome(StockLoaderOfItems, path, transform)
    mine, my_state = outcome(DataLoader, path, transform)
    if isinstance(theirs, Exception):
        assert isinstance(mine, Exception), (path, transform, theirs)
        assert isinstance(mine, type(theirs)) or str(theirs) in str(mine), (path, transform, theirs, mine)
        return
    assert not isinstance(mine, Exception), (path, transform, mine)
    assert len(mine) == len(theirs) and all(map(torch.equal, mine, theirs)), (path, transform)
    assert torch.equal(my_state, their_state), (path, transform)


class Plain(torch.utils.data.Dataset):
    """Without our __getitems__."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return self.dataset[index]


def StockLoaderOfItems(dataset, batch_size):
    return StockLoader(Plain(dataset), batch_size)


@pytest.mark.filterwarnings("ignore:Scale and ratio should be of kind:UserWarning")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ratio", RATIOS, ids=str)
def test_random_resized_crop(paths, family, ratio):
    turn = itertools.cycle(SCALES)
    for path in paths:
        for scale in (next(turn), next(turn)):
            try:
                transform = FAMILIES[family].RandomResizedCrop((6, 9), scale=scale, ratio=ratio)
            except Exception:
                continue
            compare(path, pipeline(FAMILIES[family], transform))


@pytest.mark.filterwarnings("ignore:Scale and ratio should be of kind:UserWarning")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_random_resized_crop_of_one_pixel(paths, family, scale):
    for ratio in ((3, 4), (0.2, 0.3), (0.01, 100), (1e30, 1e31)):
        transform = FAMILIES[family].RandomResizedCrop((6, 9), scale=scale, ratio=ratio)
        compare(paths[0], pipeline(FAMILIES[family], transform))


@pytest.mark.parametrize("interpolation", ["NEAREST", "BILINEAR", "BICUBIC", "LANCZOS", "BOX", "HAMMING"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_image_without_pixels_becomes_black(paths, family, interpolation):
    crop = FAMILIES[family].RandomResizedCrop(
        5, ratio=(3, 4), interpolation=getattr(v1.InterpolationMode, interpolation)
    )
    compare(paths[0], pipeline(FAMILIES[family], crop))
    flip = FAMILIES[family].RandomHorizontalFlip(0.5)
    gray = FAMILIES[family].Grayscale()
    compare(paths[0], pipeline(FAMILIES[family], flip, crop, flip, gray))
    compare(
        paths[0],
        pipeline(FAMILIES[family], FAMILIES[family].CenterCrop(1), crop, FAMILIES[family].Resize((7, 3)), flip),
    )


HUGE = 2**24  # the largest that is native


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["resize", "long resize", "crop", "padded crop", "centre", "pad", "huge padding"])
def test_sizes_beyond_any_memory_fail_and_nothing_else(paths, family, name):
    """What stock does there differs by how much memory there is: it raises or is killed, so it is not asked."""
    f = FAMILIES[family]
    transform = {
        "resize": lambda: f.Resize(HUGE),
        "long resize": lambda: f.Resize(2**24),
        "crop": lambda: f.RandomCrop(HUGE, pad_if_needed=True),
        "padded crop": lambda: f.RandomCrop(9, padding=HUGE),
        "centre": lambda: f.CenterCrop(HUGE),
        "pad": lambda: f.RandomCrop(9, padding=(HUGE, 0, HUGE, 0)),
        "huge padding": lambda: f.RandomCrop(2**23, padding=2**23, pad_if_needed=True),
    }[name]()
    from fastload import _core
    from fastload.transforms.split_transforms import read

    reading = read(pipeline(f, transform))
    if not reading.is_tensor:  # left to torchvision
        return
    recipe = reading.recipe
    for width, height in [(1, 300), (300, 1), (65500, 65500), (1, 65500)]:
        generator = _core.Streams(_core.Mt19937(1))
        try:
            window, out_width, out_height, *_ = recipe.draw(generator, width, height)
        except ValueError:
            continue
        x, y, w, h = window
        assert 0 <= x <= x + w <= width and 0 <= y <= y + h <= height
        assert (out_width, out_height) == (width, height) or 0 < out_width * out_height < 2**31


def test_pillow_makes_black_of_nothing():
    """What the engine's answer rests on, in this Pillow."""
    image = PIL.Image.new("RGB", (1, 1), "white").crop((0, 0, 1, 0))
    assert image.resize((4, 4), PIL.Image.Resampling.BILINEAR).getextrema() == ((0, 0),) * 3
