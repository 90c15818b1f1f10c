"""Affine maps and perspectives in the core: every byte Pillow's Image.transform, in scalar and in SIMD, for parts of images too."""

from __future__ import annotations

import math
import random

import numpy as np
import PIL.Image
import pytest
from torchvision.transforms import RandomPerspective, functional
from torchvision.transforms.v2.functional import _geometry as v2_geometry

from fastload import _core

VARIANTS = _core.simd_variants()[:2]
FILTERS = [
    (_core.Filter.nearest, PIL.Image.Resampling.NEAREST),
    (_core.Filter.bilinear, PIL.Image.Resampling.BILINEAR),
    (_core.Filter.bicubic, PIL.Image.Resampling.BICUBIC),
]
SIZES = [(1, 1), (7, 1), (1, 9), (2, 2), (3, 3), (4, 5), (16, 16), (35, 13), (67, 40), (150, 131)]  # width and height


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def affine_maps(width: int, height: int, rng: random.Random):
    """Rotations, shears, scalings, mirrors, moves by whole and half pixels, and what lies far outside."""
    yield [1, 0, 0, 0, 1, 0]
    yield [1, 0, 3, 0, 1, -2]
    yield [1, 0, 0.5, 0, 1, -0.5]
    yield [-1, 0, width, 0, -1, height]
    yield [0.37, 0, 0.1, 0, 2.6, -3]
    yield [0, 1, 0, 1, 0, 0]
    yield [0, 0, width / 2, 0, 0, height / 2]
    yield [1, 0.3, 0, 0, 1, 0]
    yield [1, 0, 1e6, 0, 1, 1e6]
    yield [900, 3, -40, -5, 700, 33]  # too far for fixed point
    yield [65000, 1, -40, 1, 65000, -20]
    yield [1e25, 1, -1e27, 1, 1e-20, 0]
    for _ in range(12):
        center = [width * rng.choice([0, 0.5, rng.uniform(-1, 2)]), height * rng.choice([0, 0.5, rng.uniform(-1, 2)])]
        yield functional._get_inverse_affine_matrix(
            center,
            rng.uniform(-180, 180),
            [rng.randint(-width, width), rng.randint(-height, height)],
            rng.choice([1.0, rng.uniform(0.1, 4)]),
            [rng.choice([0.0, rng.uniform(-80, 80)]), rng.choice([0.0, rng.uniform(-80, 80)])],
        )


def perspective_maps(width: int, height: int, rng: random.Random):
    yield [1, 0, 0, 0, 1, 0, 0, 0]
    yield [1, 0, -0.5, 0, 1, -0.5, -2, 0]  # 0 / 0 at the first pixel
    yield [1, 0, 0, 0, 1, 0, -1, 0.5]
    for _ in range(8):
        far = 1 / max(width, height)
        yield [
            *(rng.uniform(0.5, 1.5), rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5) * width),
            *(rng.uniform(-0.5, 0.5), rng.uniform(0.5, 1.5), rng.uniform(-0.5, 0.5) * height),
            *(rng.uniform(-far, far), rng.uniform(-far, far)),
        ]


def expected(array: np.ndarray, size, by, filter, fill) -> np.ndarray:
    method = PIL.Image.Transform.AFFINE if len(by) == 6 else PIL.Image.Transform.PERSPECTIVE
    return np.asarray(PIL.Image.fromarray(array).transform(size, method, by, filter, fillcolor=fill))


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("maps", [affine_maps, perspective_maps])
@pytest.mark.parametrize("form", FILTERS, ids=["nearest", "bilinear", "bicubic"])
def test_every_byte_is_pillows(simd, maps, form):
    rng = random.Random(1)
    for width, height in SIZES:
        array = noise(width, height)
        for by in maps(width, height, rng):
            out_width, out_height = rng.choice([(width, height), (rng.randint(1, 170), rng.randint(1, 90))])
            whole = expected(array, (out_width, out_height), by, form[1], (7, 80, 255))
            x, y = rng.randrange(out_width), rng.randrange(out_height)
            box = (x, y, rng.randint(1, out_width - x), rng.randint(1, out_height - y))
            for region in [(0, 0, out_width, out_height), box]:
                made = _core.warp(array, by, form[0], out_width, out_height, (7, 80, 255), region, simd)
                left, top, wide, high = region
                assert np.array_equal(made, whole[top : top + high, left : left + wide]), (by, width, height, region)


def test_gray_images_are_pillows_of_mode_l():
    array = np.repeat(noise(35, 29)[:, :, :1], 3, axis=2)
    for by in affine_maps(35, 29, random.Random(2)):
        for ours, pillows in FILTERS:
            made = _core.warp(array, by, ours, 35, 29, (9, 9, 9), simd=VARIANTS[-1])
            assert np.array_equal(made[:, :, 0], expected(array[:, :, 0], (35, 29), by, pillows, 9))


def test_values_at_the_edge_of_an_integer():
    """What one rounding more or less in Pillow's arithmetic would change."""
    array = np.array([[[255, 0, 255], [0, 255, 1]], [[128, 255, 0], [255, 3, 9]]], dtype=np.uint8)
    for step in range(256):
        for by in ([1, 0, step / 255, 0, 1, 0], [1, 0, step / 255, 0, 1, step / 128]):
            for ours, pillows in FILTERS:
                for simd in VARIANTS:
                    made = _core.warp(array, by, ours, 2, 2, simd=simd)
                    assert np.array_equal(made, expected(array, (2, 2), by, pillows, 0)), (by, ours)


def flat(width: int, height: int) -> np.ndarray:
    """White, gray and black areas, whose mixtures are whole numbers."""
    return noise(width, height) // 128 * 127 + np.uint8(1)


def smooth(width: int, height: int) -> np.ndarray:
    """Neighbours are equal or one apart, in one channel more often than in another."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([(columns + rows) // 2, columns // 5, rows // 3], axis=2).astype(np.uint8)


def long_rows(width: int, height: int, rng: random.Random):
    """Maps whose places lie inside for most of a row; by halves and quarters, too, where many values are whole."""
    yield [0.5, 0, 0.25, 0, 0.5, 0.25]
    yield [0.5, 0.25, 3.25, -0.125, 0.5, 40]
    yield [1, 0, 0.5, 0, 1, 0.5]
    yield [-0.75, 0.5, width, 0, 1, 0.5]
    yield [1e-9, 0, 17.25, 0, 1e-9, 9.75]
    yield [0, 0.3, 17.25, 0.3, 0, 9.75]
    for degrees in (-30.0, -7.5, 0.001, 3.0, 45.0, 90.0, 178.0):
        yield functional._get_inverse_affine_matrix(
            [width / 2, height / 2], degrees, [rng.uniform(-5, 5), 0], rng.choice([1.0, 0.7, 1.3]), [0.0, 0.0]
        )


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("form", FILTERS, ids=["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("image", [noise, flat, smooth])
def test_long_rows_are_pillows(simd, form, image):
    rng = random.Random(6)
    for width, height in [(300, 70), (224, 224), (75, 260)]:
        array = image(width, height)
        for by in long_rows(width, height, rng):
            whole = expected(array, (width, height), by, form[1], (7, 80, 255))
            for _ in range(3):
                left, top = rng.randrange(width), rng.randrange(height)
                region = rng.choice(
                    [(0, 0, width, height), (left, top, rng.randint(1, width - left), rng.randint(1, height - top))]
                )
                made = _core.warp(array, by, form[0], width, height, (7, 80, 255), region, simd)
                left, top, wide, high = region
                assert np.array_equal(made, whole[top : top + high, left : left + wide]), (by, width, height, region)


@pytest.mark.parametrize("module", [functional, v2_geometry], ids=["v1", "v2"])
def test_affine_maps_are_torchvisions(module):
    rng = random.Random(3)
    for _ in range(3000):
        arguments = (
            [rng.uniform(-500, 500), rng.randint(0, 900)],
            rng.choice([0.0, 90.0, -30.0, rng.uniform(-720, 720)]),
            [rng.randint(-90, 90), rng.randint(-90, 90)],
            rng.choice([1.0, rng.uniform(0.01, 20)]),
            [rng.choice([0.0, 90.0, rng.uniform(-180, 180)]), rng.choice([0.0, rng.uniform(-180, 180)])],
        )
        made = _core.affine_map(*arguments, v2=module is v2_geometry)
        assert made == module._get_inverse_affine_matrix(*arguments), arguments


class Recorder(PIL.Image.Image):
    """Notes what rotate() asks transform() for."""

    asked: tuple = ()

    def transform(self, size, method, data=None, *args, **kwargs):  # type: ignore[override]
        self.asked = (*size, list(data))
        return self

    def transpose(self, method):
        width, height = self.size
        turned = method in (PIL.Image.Transpose.ROTATE_90, PIL.Image.Transpose.ROTATE_270)
        self.asked = (height, width, []) if turned else (width, height, [])
        return self

    def copy(self):
        self.asked = (*self.size, [])
        return self


def test_rotations_are_pillows():
    rng = random.Random(4)
    for _ in range(3000):
        image = Recorder()
        image._size = (rng.randint(1, 700), rng.choice([300, rng.randint(1, 700)]))
        angle = rng.choice([0.0, 90.0, 180.0, -90.0, 360.0, 45.0, -1e-20, math.pi, rng.uniform(-800, 800)])
        expand = rng.random() < 0.5
        center = rng.choice([None, None, (0, 0), (rng.uniform(-50, 700), rng.randint(0, 700))])
        image.rotate(angle, expand=expand, center=center)
        assert _core.rotation(*image.size, angle, expand, center) == image.asked, (image.size, angle, expand, center)


def test_perspectives_are_torchvisions():
    rng = random.Random(5)
    certain = 0
    for _ in range(600):
        width, height = rng.choice([(2, 3), (17, 9), (224, 224), (500, 375), (4000, 3000), (40_000, 9)])
        starts, ends = RandomPerspective.get_params(width, height, rng.choice([0.0, 0.2, 0.5, 1.0]))
        made = _core.perspective_map(width, height, ends)
        if made is not None:
            certain += 1
            assert made == functional._get_perspective_coeffs(starts, ends), (width, height, ends)
    assert certain > 150
    assert _core.perspective_map(9, 9, [(0, 0), (4, 4), (8, 8), (2, 2)]) is None
    assert (
        _core.perspective_map(9, 9, [(0, 0), (8, 0), (8, 8), (0, 8)]) is None
    )  # numbers that are 0 hang on torch's roundings
