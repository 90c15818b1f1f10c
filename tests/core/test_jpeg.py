"""The JPEG decoder against Pillow: whole images and windows, in every form that files come in. Every byte is equal."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from jpeg_forms import noise, pillow_jpeg, pillow_pixels, segments, with_segment, without, write_jpeg

from fastload import _core

SAMPLINGS = {
    "gray": ["1x1", "2x2", "4x1"],
    "ycc": [
        "1x1,1x1,1x1",  # 4:4:4
        "2x1,1x1,1x1",  # 4:2:2
        "2x2,1x1,1x1",  # 4:2:0
        "1x2,1x1,1x1",  # 4:4:0
        "4x1,1x1,1x1",  # 4:1:1
        "4x2,1x1,1x1",  # 4:1:0
        "1x4,1x1,1x1",
        "3x1,1x1,1x1",
        "2x2,2x1,2x1",  # 4:4:0 and 4:2:2 as some cameras write them
        "2x2,1x2,1x2",
        "2x2,2x1,1x2",
        "1x1,2x2,2x2",  # luma below chroma
    ],
    "rgb": ["1x1,1x1,1x1", "2x2,1x1,1x1"],
    "cmyk": ["1x1,1x1,1x1,1x1", "2x2,1x1,1x1,2x2"],
    "ycck": ["1x1,1x1,1x1,1x1", "2x2,1x1,1x1,2x2", "2x1,1x1,1x1,2x1"],
}
FORMS = [(space, sampling) for space, samplings in SAMPLINGS.items() for sampling in samplings]
CODINGS = [(), ("progressive",), ("restart=3",), ("separate",), ("progressive", "restart=2"), ("separate", "restart=5")]
SIZES = [(1, 1), (3, 50), (17, 9), (40, 33), (97, 71)]


def windows(rng: np.random.Generator, width: int, height: int, count: int) -> list[tuple[int, int, int, int]]:
    """Random boxes; single pixels, columns and rows, and boxes of the whole width or height among them."""
    boxes = [(0, 0, width, height), (width - 1, height - 1, 1, 1)]
    for _ in range(count):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        w, h = int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1))
        special = [(x, y, 1, 1), (x, y, 1, h), (x, y, w, 1), (0, y, width, h), (x, 0, w, height)]
        boxes.append(special[rng.integers(len(special))] if rng.random() < 0.5 else (x, y, w, h))
    return boxes


def assert_windows_equal(data: bytes, seed: int, count: int = 20) -> None:
    whole = pillow_pixels(data)
    assert whole is not None
    height, width, _ = whole.shape
    try:
        header = _core.jpeg_header(data)
    except _core.JpegError as error:
        if "upsamples columns in its own way" not in error.args[1]:
            raise
        pytest.skip("this libjpeg-turbo is not Pillow's here, and such files go to Pillow")
    assert header == (width, height, True)
    np.testing.assert_array_equal(_core.jpeg_decode(data), whole)
    for x, y, w, h in windows(np.random.default_rng(seed), width, height, count):
        np.testing.assert_array_equal(
            _core.jpeg_decode(data, (x, y, w, h)), whole[y : y + h, x : x + w], err_msg=f"window {(x, y, w, h)}"
        )


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: "+".join(coding) or "baseline")
@pytest.mark.parametrize(("space", "sampling"), FORMS)
def test_windows_equal_pillow(space, sampling, coding):
    for seed, (width, height) in enumerate(SIZES):
        assert_windows_equal(write_jpeg(width, height, space, sampling, *coding), seed)


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: "+".join(coding) or "baseline")
@pytest.mark.parametrize(("space", "sampling"), [FORMS[0], FORMS[3], FORMS[5], FORMS[6], ("ycck", "2x2,1x1,1x1,2x2")])
def test_files_larger_than_pillow_reads_at_once(space, sampling, coding):
    data = write_jpeg(430, 301, space, sampling, *coding, quality=98)
    assert len(data) > 1.1 * 65536
    assert_windows_equal(data, 7, count=10)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 100, "subsampling": 0},
        {"quality": 30, "subsampling": 1},
        {"quality": 75, "subsampling": 2, "optimize": True},
        {"quality": 90, "subsampling": 2, "progressive": True},
        {"subsampling": 0, "restart_marker_rows": 1},
        {"subsampling": 2, "restart_marker_blocks": 4},
        {"qtables": [[255] * 64, [1] * 64]},
        {"comment": b"words", "icc_profile": bytes(70000), "dpi": (72, 72), "xmp": b"<x/>"},
    ],
    ids=str,
)
def test_what_pillow_writes(mode, options):
    channels = len(mode) if mode != "L" else 1
    image = PIL.Image.fromarray(noise(75, 62, channels).squeeze(), mode=mode)
    assert_windows_equal(pillow_jpeg(image, **options), 3)


@pytest.mark.parametrize("space", ["ycc", "rgb", "cmyk", "ycck"])
@pytest.mark.parametrize("adobe", [None, 0, 1, 2])
@pytest.mark.parametrize("jfif", [False, True])
@pytest.mark.parametrize("ids", [b"\1\2\3\4", b"RGBK", b"\0\1\2\3", b"\x22\x23\x24\x25"])
def test_colour_is_guessed_as_pillow_guesses(space, adobe, jfif, ids):
    """Which of YCbCr, RGB, CMYK and YCCK a file holds follows from its JFIF and Adobe markers and its component ids."""
    components = 4 if space in ("cmyk", "ycck") else 3
    data = write_jpeg(33, 20, space, ",".join(["1x1"] * components))
    data = without(without(data, 0xE0), 0xEE)
    edited = bytearray(data)
    for marker, begin, _ in segments(data):
        for i in range(components):
            if marker == 0xC0:
                edited[begin + 10 + 3 * i] = ids[i]
            if marker == 0xDA:
                edited[begin + 5 + 2 * i] = ids[i]
    data = bytes(edited)
    if adobe is not None:
        data = with_segment(data, 0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([adobe]))
    if jfif:
        data = with_segment(data, 0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    try:
        pixels = _core.jpeg_decode(data, (3, 2, 29, 15))
    except _core.JpegError as error:
        assert error.args[0] == "not_native"
        # libjpeg warns of a transform that does not go with the number of components
        assert adobe == (2 if components == 3 else 1)
        return
    np.testing.assert_array_equal(pixels, pillow_pixels(data)[2:17, 3:32])


def test_tables_of_the_image_before_are_forgotten():
    """A file without Huffman tables (Motion JPEG) is read with the standard's, whatever the thread decoded before."""
    plain = without(pillow_jpeg(PIL.Image.fromarray(noise(40, 40, 3))), 0xC4)
    other = write_jpeg(40, 33, "ycc", "1x1,1x1,1x1", "restart=3", quality=20)
    for first in (plain, pillow_jpeg(PIL.Image.fromarray(noise(64, 64, 3)), optimize=True), other):
        _core.jpeg_decode(first)
        np.testing.assert_array_equal(_core.jpeg_decode(plain), pillow_pixels(plain))


def test_pixel_limit():
    data = write_jpeg(40, 33, "ycc", "1x1,1x1,1x1")
    assert _core.jpeg_header(data, max_pixels=40 * 33)[:2] == (40, 33)
    for call in (_core.jpeg_header, _core.jpeg_decode):
        with pytest.raises(_core.JpegError) as caught:
            call(data, max_pixels=40 * 33 - 1)
        assert caught.value.args[0] == "too_large"


@pytest.mark.parametrize("window", [(-1, 0, 2, 2), (0, 0, 0, 1), (39, 0, 2, 1), (0, 33, 1, 1), (0, 0, 2**31 - 1, 1)])
def test_windows_outside_the_image_are_an_error(window):
    with pytest.raises(ValueError, match="inside the image"):
        _core.jpeg_decode(write_jpeg(40, 33, "ycc", "1x1,1x1,1x1"), window)


def test_real_photos(photo_folder):
    for number, path in enumerate(sorted(photo_folder.iterdir())):
        data = path.read_bytes()
        if data[:3] == b"\xff\xd8\xff":
            assert_windows_equal(data, number, count=2)
