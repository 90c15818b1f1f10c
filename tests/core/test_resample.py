"""The image room against Pillow, and every SIMD variant against scalar: byte for byte."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from cases import cases
from fastload import _core
from fastload.transforms.argument_forms import numpy_errs

FILTERS = {
    "nearest": PIL.Image.Resampling.NEAREST,
    "box": PIL.Image.Resampling.BOX,
    "bilinear": PIL.Image.Resampling.BILINEAR,
    "hamming": PIL.Image.Resampling.HAMMING,
    "bicubic": PIL.Image.Resampling.BICUBIC,
    "lanczos": PIL.Image.Resampling.LANCZOS,
}
VARIANTS = _core.simd_variants()


def noise(rng, height, width):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def pillow(image, width, height, name):
    """Horizontally, then vertically, whatever order the installed Pillow would choose by itself."""
    picture = PIL.Image.fromarray(image)
    if name == "nearest":
        return np.asarray(picture.resize((width, height), FILTERS[name]))
    across = picture.resize((width, image.shape[0]), FILTERS[name])
    return np.asarray(across.resize((width, height), FILTERS[name]))


def test_scalar_is_always_there():
    assert VARIANTS[0] == "scalar"


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("name", FILTERS)
def test_whole_images(name, simd):
    rng = np.random.default_rng(1)
    sides = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 100, 211]
    for _ in range(cases(50, 150)):
        in_w, in_h, out_w, out_h = (int(rng.choice(sides)) for _ in range(4))
        image = noise(rng, in_h, in_w)
        ours = _core.resample(image, out_w, out_h, getattr(_core.Filter, name), simd=simd)
        assert np.array_equal(ours, pillow(image, out_w, out_h, name)), (in_w, in_h, out_w, out_h)


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("name", FILTERS)
def test_regions_need_only_what_they_say(name, simd):
    """The binding hands over needed_input() alone."""
    rng = np.random.default_rng(2)
    for _ in range(60):
        in_w, in_h, out_w, out_h = (int(side) for side in rng.integers(1, 130, 4))
        x, y = int(rng.integers(0, out_w)), int(rng.integers(0, out_h))
        w, h = int(rng.integers(1, out_w - x + 1)), int(rng.integers(1, out_h - y + 1))
        image = noise(rng, in_h, in_w)
        ours = _core.resample(image, out_w, out_h, getattr(_core.Filter, name), (x, y, w, h), simd)
        assert np.array_equal(ours, pillow(image, out_w, out_h, name)[y : y + h, x : x + w])


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("level", [0, 255])
def test_extremes_do_not_wrap(level, simd):
    """Filters with negative lobes overshoot at edges of full contrast."""
    image = np.full((40, 50, 3), level, np.uint8)
    image[::3, 5:9] = 255 - level
    for name in ("bicubic", "lanczos"):
        for size in ((23, 31), (80, 90)):
            ours = _core.resample(image, *size, getattr(_core.Filter, name), simd=simd)
            assert np.array_equal(ours, pillow(image, *size, name))


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("name", FILTERS)
def test_weights_to_the_last_bit(name, simd):
    """A weight off by 2^-22 changes one byte in some 30,000. Under a whole ratio all outputs share a few weights."""
    for ratio in (3, 7):
        image = noise(np.random.default_rng(9), 1000, 240 * ratio)
        ours = _core.resample(image, 240, 1000, getattr(_core.Filter, name), simd=simd)
        assert np.array_equal(ours, pillow(image, 240, 1000, name))


@pytest.mark.parametrize("simd", VARIANTS)
def test_large_reductions(simd):
    """Hundreds of taps an output."""
    image = noise(np.random.default_rng(3), 1500, 900)
    for name in ("bilinear", "lanczos"):
        ours = _core.resample(image, 3, 4, getattr(_core.Filter, name), simd=simd)
        assert np.array_equal(ours, pillow(image, 3, 4, name))


@pytest.mark.parametrize("simd", _core.simd_variants())
def test_grayscale_is_pillows(simd):
    for width in (1, 7, 8, 101):
        image = noise(np.random.default_rng(4), 97, width)
        gray = np.asarray(PIL.Image.fromarray(image).convert("L"))
        assert np.array_equal(_core.grayscale(image, simd), np.repeat(gray[:, :, None], 3, axis=2))


def test_cmyk_is_pillows():
    cmyk = np.random.default_rng(5).integers(0, 256, (83, 91, 4), dtype=np.uint8)
    expected = np.asarray(PIL.Image.frombytes("CMYK", (91, 83), (255 - cmyk).tobytes()).convert("RGB"))
    assert np.array_equal(_core.cmyk_to_rgb(cmyk), expected)


def test_cmyk_of_a_jpeg_file():
    image = PIL.Image.fromarray(noise(np.random.default_rng(6), 40, 48)).convert("CMYK")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    expected = np.asarray(PIL.Image.open(buffer).convert("RGB"))
    assert np.array_equal(_core.jpeg_decode(buffer.getvalue()), expected)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_pad_is_numpys(mode):
    rng = np.random.default_rng(7)
    for _ in range(40):
        image = noise(rng, *rng.integers(1, 9, 2))
        left, top, right, bottom = (int(side) for side in rng.integers(0, 20, 4))
        if numpy_errs(mode, left, right) or numpy_errs(mode, top, bottom):  # then they are not native
            right, bottom = left, top
        ours = _core.pad(image, left, top, right, bottom, getattr(_core.PadMode, mode), (3, 0, 200))
        borders = ((top, bottom), (left, right))
        if mode == "constant":
            planes = [np.pad(image[:, :, c], borders, constant_values=value) for c, value in enumerate((3, 0, 200))]
            expected = np.stack(planes, axis=2)
        else:
            expected = np.pad(image, (*borders, (0, 0)), mode)
        assert np.array_equal(ours, expected)


def test_flips():
    image = noise(np.random.default_rng(8), 7, 10)
    assert np.array_equal(_core.flip(image, True, False), image[:, ::-1])
    assert np.array_equal(_core.flip(image, False, True), image[::-1])
    assert np.array_equal(_core.flip(image, True, True), image[::-1, ::-1])
