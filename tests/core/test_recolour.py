"""Changes of colour in the core: every byte Pillow's, in scalar and in SIMD, for parts of images too."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps
import pytest
from torchvision.transforms import _functional_pil as pillow

from fastload import _core

FACTORS = [0.0, 0.1, 0.5, 0.9999, 1.0, 1.0001, 1.4, 3.7, 250.0, 1e20]
SHAPES = [(1, 1), (1, 7), (2, 9), (3, 3), (5, 2), (8, 8), (13, 35), (40, 67)]
VARIANTS = _core.simd_variants()


def recolour(change: str, **arguments) -> _core.Recolour:
    return _core.Recolour(getattr(_core.Change, change), **arguments)


def shifted_hue(image: PIL.Image.Image, level: int) -> PIL.Image.Image:
    h, s, v = image.convert("HSV").split()
    moved = PIL.Image.fromarray(np.asarray(h) + np.uint8(level))
    return PIL.Image.merge("HSV", (moved, s, v)).convert("RGB")


def forms():
    """(change, what Pillow makes of an image)"""
    for name in ("brightness", "contrast", "saturation", "sharpness"):
        function = getattr(pillow, f"adjust_{name}")
        for factor in FACTORS:
            yield recolour(name, factor=factor), lambda im, f=function, by=factor: f(im, by)
    yield recolour("brightness", factor=-1.5), lambda im: pillow.adjust_brightness(im, -1.5)
    for level in (0, 1, 25, 127, 128, 230, 255):
        yield recolour("hue", level=level), lambda im, by=level: shifted_hue(im, by)
    yield recolour("autocontrast"), PIL.ImageOps.autocontrast
    yield recolour("equalize"), PIL.ImageOps.equalize
    for level in (0, 1, 77, 128, 255, 256):
        yield recolour("solarize", level=level), lambda im, at=level: PIL.ImageOps.solarize(im, at)
    for bits in range(1, 9):
        mask = 256 - 2 ** (8 - bits)
        yield recolour("posterize", level=mask), lambda im, b=bits: PIL.ImageOps.posterize(im, b)
    order = [2, 0, 1]
    yield recolour("channels", order=order), lambda im: PIL.Image.fromarray(np.asarray(im)[:, :, order])


def images():
    random = np.random.default_rng(5)
    for height, width in SHAPES:
        noise = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        yield noise
        yield noise // 40 + 90  # few values, near one another
        yield np.repeat(noise[:, :, :1], 3, axis=2)
    yield np.full((9, 20, 3), 255, dtype=np.uint8)
    yield np.zeros((9, 20, 3), dtype=np.uint8)


@pytest.mark.parametrize("simd", VARIANTS)
def test_every_byte_is_pillows(simd):
    for array in images():
        image = PIL.Image.fromarray(array)
        for change, expected in forms():
            made = _core.recolour(array, change, simd=simd)
            assert np.array_equal(made, np.asarray(expected(image))), (change.change, array.shape)


@pytest.mark.parametrize("simd", VARIANTS)
def test_parts_of_images(simd):
    random = np.random.default_rng(6)
    array = random.integers(0, 256, (23, 41, 3), dtype=np.uint8)
    for change, expected in forms():
        whole = np.asarray(expected(PIL.Image.fromarray(array)))
        for _ in range(8):
            x, y = int(random.integers(0, 41)), int(random.integers(0, 23))
            width, height = int(random.integers(1, 42 - x)), int(random.integers(1, 24 - y))
            part = _core.recolour(array, change, (x, y, width, height), simd)
            assert np.array_equal(part, whole[y : y + height, x : x + width]), (change.change, x, y, width, height)


def test_gray_images_are_pillows_of_mode_l():
    gray = np.random.default_rng(7).integers(0, 256, (19, 30), dtype=np.uint8)
    array = np.repeat(gray[:, :, None], 3, axis=2)
    for change, expected in forms():
        if change.change not in (_core.Change.hue, _core.Change.channels):
            assert np.array_equal(
                _core.recolour(array, change)[:, :, 0], np.asarray(expected(PIL.Image.fromarray(gray)))
            )


@pytest.mark.parametrize("simd", VARIANTS[:2])
def test_every_shift_of_the_hue(simd):
    """Of a colour of each value and each saturation that there is: with these the way back from HSV is each that there is."""
    most, least = np.meshgrid(np.arange(256), np.arange(256))
    colours = np.stack([most, np.minimum(most, least), np.minimum(most, least)], axis=-1).astype(np.uint8)
    hue, saturation, value = PIL.Image.fromarray(colours).convert("HSV").split()
    assert hue.getextrema() == (0, 0)
    for level in range(256):
        shifted = PIL.Image.merge("HSV", (hue.point([level] * 256), saturation, value)).convert("RGB")
        made = _core.recolour(colours, recolour("hue", level=level), simd=simd)
        assert np.array_equal(made, np.asarray(shifted)), level


@pytest.mark.parametrize("simd", VARIANTS[:2])
@pytest.mark.parametrize("level", [0, 19])
def test_the_hue_of_every_colour(simd, level):
    step = 1 if level == 0 else 3
    values = np.arange(0, 256, step, dtype=np.uint8)
    for red in np.array_split(values, 16):
        colours = np.stack(np.meshgrid(red, values, values, indexing="ij"), axis=-1).reshape(len(red), -1, 3)
        expected = np.asarray(shifted_hue(PIL.Image.fromarray(colours), level))
        assert np.array_equal(_core.recolour(colours, recolour("hue", level=level), simd=simd), expected)
