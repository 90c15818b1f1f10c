"""Pixels from coefficients: the engine reads the codes, torch or a kernel does libjpeg's arithmetic, and every byte is Pillow's."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch
from damage import damaged
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreted import check_equal
from jpeg_forms import noise, pillow_jpeg, pillow_pixels, segments, write_jpeg

from cases import cases
from fastload import _core
from fastload.gpu import resize_images
from fastload.gpu.coefficients_to_rgb import Coded, windows_in_torch
from images import picture

DQT = 0xDB


def coded(data: bytes, window: tuple[int, int, int, int]) -> tuple[Coded, torch.Tensor] | None:
    """One window's, as the engine gives them, and the slab in which they lie."""
    found = _core.jpeg_coefficients(data, window)
    if found is None:
        return None
    numbers, planes = found
    rows, at = np.zeros((1, 3, 8), np.int64), 0
    for plane, (x, y, columns, height, *size) in enumerate(planes):
        rows[0, plane] = (0, at, x, y, columns, height, *size)
        at += 2 * 64 * (1 + columns * height)
    sample = np.zeros((1, 8), np.int32)
    sample[0, [resize_images.WIDTH, resize_images.HEIGHT]] = window[2:]
    if len(planes) == 3:
        factors = [segment_factor(data, component) for component in (0, 1)]
        sample[0, resize_images.SAMPLING] = 10 * (factors[0][0] // factors[1][0]) + factors[0][1] // factors[1][1]
    left = resize_images.Deferred(sample, np.zeros((1, 2, 6), np.int32), torch.empty(0, dtype=torch.int32), [])
    return Coded(left, np.array([window[:2]]), rows), torch.from_numpy(numbers).view(torch.uint8)


def segment_factor(data: bytes, component: int) -> tuple[int, int]:
    """Columns and rows of a component's sampling, out of the frame's header."""
    begin = next(begin for marker, begin, _ in segments(data) if marker in (0xC0, 0xC1))
    return divmod(data[begin + 11 + 3 * component], 16)


def window_pixels(data: bytes, window: tuple[int, int, int, int]) -> np.ndarray | None:
    found = coded(data, window)
    return None if found is None else windows_in_torch(found[0], [found[1]])[0].numpy()


def cut(pixels: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    x, y, width, height = window
    return pixels[y : y + height, x : x + width]


@st.composite
def windows(draw, width: int, height: int) -> tuple[int, int, int, int]:
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))


SAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2, "gray": None}


@pytest.mark.parametrize("sampling", SAMPLINGS)
@settings(max_examples=cases(30, 120))
@given(data=st.data())
def test_pixels_are_pillows(sampling, data):
    width, height = data.draw(st.integers(5, 70)), data.draw(st.integers(1, 70))
    quality = data.draw(st.sampled_from([3, 50, 90, 100]))
    image = PIL.Image.fromarray(noise(width, height, 3))
    if sampling == "gray":
        jpeg = pillow_jpeg(image.convert("L"), quality=quality)
    else:
        jpeg = pillow_jpeg(image, quality=quality, subsampling=SAMPLINGS[sampling], optimize=data.draw(st.booleans()))
    window = data.draw(windows(width, height))
    assert np.array_equal(window_pixels(jpeg, window), cut(pillow_pixels(jpeg), window))


def test_photos(photo_folder):
    compared = 0
    for number, path in enumerate(sorted(photo_folder.glob("*.JPEG"))[::8]):
        data = path.read_bytes()
        expected = pillow_pixels(data)
        height, width = expected.shape[:2]
        for window in ((0, 0, width, height), (number % 50, 31, width // 2, height // 3)):
            ours = window_pixels(data, window)
            if ours is not None:
                assert np.array_equal(ours, cut(expected, window))
                compared += 1
    assert compared > 0


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("table", ["largest", "steep", "flat but the first"])
@pytest.mark.parametrize("content", ["noise", "columns"])
def test_sums_that_overflow_do_so_as_in_libjpeg(sampling, table, content):
    """See Note [16 bits]: coefficients are taken times quantizers that no encoder would write beside them."""
    pixels = noise(48, 40, 3)
    if content == "columns":  # blocks without AC rows
        pixels[:] = pixels[:1]
    data = bytearray(pillow_jpeg(PIL.Image.fromarray(pixels), quality=100, subsampling=sampling))
    for marker, begin, end in segments(bytes(data)):
        if marker == DQT:
            for at in range(begin + 5, end):
                k = (at - begin - 5) % 65
                data[at] = {
                    "largest": 255,
                    "steep": 1 + 4 * k if k < 63 else 255,
                    "flat but the first": 255 if k == 0 else 1,
                }[table]
    for window in ((0, 0, 48, 40), (11, 3, 30, 29)):
        assert np.array_equal(window_pixels(bytes(data), window), cut(pillow_pixels(bytes(data)), window))


@pytest.mark.parametrize(
    "jpeg",
    [
        lambda: pillow_jpeg(picture(1, 60, 50), progressive=True),
        lambda: pillow_jpeg(picture(1, 60, 50), restart_marker_rows=1),
        lambda: pillow_jpeg(picture(1, 60, 50).convert("CMYK")),
        lambda: pillow_jpeg(picture(1, 4, 50), subsampling=2),  # libjpeg upsamples such chroma by repeating it
        lambda: write_jpeg(60, 50, "ycc", "4x1,1x1,1x1"),
        lambda: write_jpeg(60, 50, "ycc", "2x2,2x1,2x1"),
        lambda: write_jpeg(60, 50, "rgb", "1x1,1x1,1x1"),
        lambda: pillow_jpeg(picture(1, 60, 50))[:-300],
    ],
    ids=["progressive", "restarts", "CMYK", "narrow", "4:1:1", "chroma in halves", "RGB", "cut"],
)
def test_what_cannot_be_had(jpeg):
    try:
        assert _core.jpeg_coefficients(jpeg(), None) is None
    except _core.JpegError as error:  # chroma in halves, where libjpeg-turbo has the ABI of libjpeg 8
        assert "upsamples columns in its own way" in error.args[1]


def test_a_scan_is_forgotten_with_its_image():
    baseline, progressive = pillow_jpeg(picture(1, 60, 50)), pillow_jpeg(picture(1, 60, 50), progressive=True)
    assert _core.jpeg_coefficients(baseline) is not None
    assert _core.jpeg_coefficients(progressive) is None


def test_a_window_that_is_none():
    with pytest.raises(ValueError, match="inside the image"):
        _core.jpeg_coefficients(pillow_jpeg(picture(1, 60, 50)), (50, 0, 11, 1))


DAMAGED = [
    pillow_jpeg(picture(1, 100, 70), quality=92),
    pillow_jpeg(picture(2, 64, 64), quality=75, optimize=True, subsampling=0),
    pillow_jpeg(PIL.Image.fromarray(noise(40, 30, 3)), quality=100, subsampling=1),
    pillow_jpeg(picture(3, 50, 90).convert("L"), quality=60),
]


@settings(max_examples=cases(100, 600))
@given(data=st.data())
def test_damage_is_the_decoders(data):
    """Whatever happened to a file: the pixels that decoding it gives, or the same complaint."""
    whole = data.draw(st.sampled_from(DAMAGED))
    whole = damaged(data, whole, 2 if data.draw(st.booleans()) else whole.index(b"\xff\xda"))

    def outcome(of):
        try:
            return of(whole)
        except _core.JpegError as error:
            return error.args

    header = outcome(_core.jpeg_header)
    if isinstance(header[0], str) or header[0] * header[1] > 1 << 20:
        return
    window = (0, 0, *header[:2])
    ours = outcome(lambda jpeg: window_pixels(jpeg, window))
    if ours is not None:
        theirs = outcome(_core.jpeg_decode)
        assert ours == theirs if isinstance(ours, tuple) else np.array_equal(ours, theirs)


@pytest.mark.slow
def test_the_kernels_equal_their_definitions():
    """In Triton's interpreter, on the CPU."""
    script = """
        import numpy as np, PIL.Image, torch
        from fastload.gpu.coefficients_to_rgb import windows_in_torch
        from fastload.gpu.coefficients_to_rgb import windows_on_gpu
        from jpeg_forms import noise, pillow_jpeg
        from test_coefficients import coded
        for width, height, subsampling, window in (
            (40, 30, 0, (3, 5, 20, 11)), (23, 40, 1, (0, 2, 23, 9)), (50, 33, 2, (17, 13, 33, 20)), (31, 9, None, (1, 0, 9, 9)),
        ):
            pixels = noise(width, height, 3)
            pixels[:16] = pixels[:1]  # blocks without AC rows
            image = PIL.Image.fromarray(pixels)
            options = {} if subsampling is None else {"subsampling": subsampling}
            data = bytearray(pillow_jpeg(image.convert("L") if subsampling is None else image, quality=98, **options))
            if subsampling == 0:  # large quantizers
                at = data.index(b"\\xff\\xdb") + 5
                data[at : at + 64] = bytes(range(192, 256))
            left, slab = coded(bytes(data), window)
            (expected,) = windows_in_torch(left, [slab])
            made, _ = windows_on_gpu(left, [slab])
            assert torch.equal(made[: expected.numel()].view(expected.shape), expected) and expected.any(), subsampling
        print("equal")
    """
    check_equal(script)
