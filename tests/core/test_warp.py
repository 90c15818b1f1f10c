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
