"""Both blurs of the core beside torchvision's and Pillow's: bytes, parts of an image, every SIMD variant, torch's other ways."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest
import torch
import torchvision.transforms.functional as v1
import torchvision.transforms.v2.functional as v2
from torch_backends import without_onednn

from fastload import _core
from fastload.transforms import blur_steps
from images import picture

VARIANTS = _core.simd_variants()
SIZES = [(64, 29), (17, 70)]


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def part_of(rng: np.random.Generator, width: int, height: int) -> tuple[int, int, int, int]:
    x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
    return x, y, int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1))


def cut(image: np.ndarray, part: tuple[int, int, int, int]) -> np.ndarray:
    x, y, width, height = part
    return image[y : y + height, x : x + width]


def in_order(kernel: tuple[int, int], channels: int = 3) -> bool:
    return blur_steps._sums_in_order(*kernel, channels, blur_steps._settings())


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
def test_gaussian_blurs_are_torchvisions(module, simd):
    rng = np.random.default_rng(0)
    for number, kernel in enumerate([(1, 1), (3, 3), (5, 9), (23, 23), (33, 3)]):
        for width, height in SIZES:
            for sigma in (0.1, 0.4375, 1.75):
                pixels = noise(width, height) if number % 2 else np.asarray(picture(number, width, height))
                made = np.asarray(module.gaussian_blur(PIL.Image.fromarray(pixels), list(kernel), [sigma, sigma]))
                blur = _core.GaussianBlur(kernel, sigma=sigma, v2=module is v2, in_order=in_order(kernel))
                part = part_of(rng, width, height)
                assert np.array_equal(_core.gaussian_blur(pixels, blur, simd=simd)[0], made)
                assert np.array_equal(_core.gaussian_blur(pixels, blur, part, simd)[0], cut(made, part))


@pytest.mark.parametrize("simd", VARIANTS)
def test_of_one_channel(simd):
    for kernel in ((3, 3), (5, 7), (23, 23)):
        pixels = np.asarray(picture(3, 61, 40).convert("L"))
        made = np.asarray(v1.gaussian_blur(PIL.Image.fromarray(pixels), list(kernel), [1.5, 1.5]))
        blur = _core.GaussianBlur(kernel, sigma=1.5, is_gray=True, in_order=in_order(kernel, 1))
        ours, _ = _core.gaussian_blur(np.repeat(pixels[:, :, None], 3, axis=2), blur, simd=simd)
        assert np.array_equal(ours, np.repeat(made[:, :, None], 3, axis=2))


@pytest.mark.parametrize("simd", VARIANTS)
def test_where_torch_sums_in_another_order(simd):
    """The bound holds for any order, and torch blurs what is doubtful."""
    pixels = np.asarray(picture(5, 90, 61))
    with without_onednn():
        blur = _core.GaussianBlur((9, 9), sigma=1.25, in_order=False)
        made = np.asarray(v1.gaussian_blur(PIL.Image.fromarray(pixels), [9, 9], [1.25, 1.25]))
        ours, doubts = _core.gaussian_blur(pixels, blur, (10, 20, 50, 30), simd)
    assert doubts > 0 and np.array_equal(ours, made[20:50, 10:60])


def test_sums_in_order_round_once_for_each_product():
    values = np.array([[3, 1], [1, 1]], dtype=np.float32)
    weights = np.array([[1 / 3, 1e-9], [0.1, 0.7]], dtype=np.float32)
    exact = [float(w) * float(v) for v, w in zip(values.ravel(), weights.ravel(), strict=True)]
    total = np.float32(0)
    for product in exact:
        total = np.float32(float(total) + product)  # exact in double for these
    assert _core.sums_in_order(values, weights).item() == total


@pytest.mark.skipif("avx2" not in VARIANTS, reason="oneDNN has other kernels there")
def test_torch_sums_in_order_here():
    assert torch.backends.mkldnn.is_available()
    assert all(in_order(kernel) for kernel in ((3, 3), (9, 9), (23, 23), (5, 31)))


@pytest.mark.parametrize("simd", VARIANTS)
def test_box_blurs_are_pillows(simd):
    rng = np.random.default_rng(1)
    for width, height in [(1, 1), (2, 3), (3, 50), (64, 64), (91, 37)]:
        pixels = noise(width, height)
        image = PIL.Image.fromarray(pixels)
        for radius in (0, 1e-3, 0.05, 0.1, 0.7, 1, 1.99, 2.5, 17.3, 63.9, 90, (0, 3), (2, 0), (0.5, 40), (160, 3)):
            x, y = radius if isinstance(radius, tuple) else (radius, radius)
            made = np.asarray(image.filter(PIL.ImageFilter.GaussianBlur((x, y))))
            part = part_of(rng, width, height)
            assert np.array_equal(_core.box_blur(pixels, x, y, simd=simd), made)
            assert np.array_equal(_core.box_blur(pixels, x, y, part, simd), cut(made, part))
