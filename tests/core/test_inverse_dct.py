"""Our inverse DCT against libjpeg's and Pillow: every SIMD level, every sampling, and coefficients so large that sums overflow."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jpeg_codes import coded_jpeg
from jpeg_forms import noise, pillow_jpeg, pillow_pixels, write_jpeg

from cases import cases
from fastload import _core
from images import picture

LIBJPEGS = "scalar"  # which stands for libjpeg's own code
OURS = [name for name in _core.simd_variants() if name != LIBJPEGS]


def assert_equal(data: bytes, window: tuple[int, int, int, int] | None = None) -> None:
    """All levels give what Pillow gives."""
    expected = pillow_pixels(data)
    assert expected is not None
    if window is not None:
        x, y, width, height = window
        expected = expected[y : y + height, x : x + width]
    for simd in [LIBJPEGS, *OURS]:
        np.testing.assert_array_equal(_core.jpeg_decode(data, window, simd=simd), expected, err_msg=simd)


@settings(max_examples=cases(300, 5000), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    largest=st.integers(1, 15),
    most=st.sampled_from([0, 1, 3, 12, 40, 63]),
    quantizers=st.one_of(
        st.just([1] * 64), st.just([255] * 64), st.lists(st.integers(1, 255), min_size=64, max_size=64)
    ),
)
def test_any_coefficients(seed, largest, most, quantizers):
    assert_equal(coded_jpeg(seed, 2, largest, most, quantizers))


@pytest.mark.parametrize("dc_bits", [11, 10, 4])
@pytest.mark.parametrize("quantizer", [1, 8, 16, 31, 32, 33, 64, 127, 255])
def test_blocks_of_a_dc_coefficient_alone(dc_bits, quantizer):
    """libjpeg has a way of its own where all other rows are zeros, which overflows elsewhere."""
    for seed in range(10):
        assert_equal(coded_jpeg(seed, 2, dc_bits, 0, [quantizer] * 64))


@pytest.mark.parametrize(
    "coding", [(), ("progressive",), ("restart=3",)], ids=lambda coding: "+".join(coding) or "baseline"
)
@pytest.mark.parametrize("quality", [10, 75, 100])
@pytest.mark.parametrize(
    ("space", "sampling"),
    [
        ("gray", "1x1"),
        ("ycc", "1x1,1x1,1x1"),
        ("ycc", "2x1,1x1,1x1"),
        ("ycc", "2x2,1x1,1x1"),
        ("ycc", "1x2,1x1,1x1"),
        ("ycc", "4x1,1x1,1x1"),
        ("rgb", "1x1,1x1,1x1"),
        ("cmyk", "1x1,1x1,1x1,1x1"),
        ("ycck", "2x2,1x1,1x1,2x2"),
    ],
)
def test_samplings(space, sampling, quality, coding):
    for width, height in [(8, 8), (33, 17), (97, 71)]:
        data = write_jpeg(width, height, space, sampling, *coding, quality=quality)
        try:
            _core.jpeg_header(data)
        except _core.JpegError as error:
            if "upsamples columns in its own way" not in error.args[1]:
                raise
            pytest.skip("this libjpeg-turbo is not Pillow's here, and such files go to Pillow")
        assert_equal(data)
        assert_equal(data, (width // 3, height // 3, width // 2, height // 2))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_pictures_and_noise(subsampling):
    for image in (picture(5, 130, 90), PIL.Image.fromarray(noise(97, 60, 3))):
        for quality in (1, 40, 95, 100):
            assert_equal(pillow_jpeg(image, quality=quality, subsampling=subsampling))


def test_an_unknown_level_is_an_error():
    with pytest.raises(ValueError):
        _core.jpeg_decode(pillow_jpeg(picture(0, 9, 9)), simd="other")
