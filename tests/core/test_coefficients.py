"""What a GPU makes of codes and of coefficients, on this machine, where the same source runs: every byte is Pillow's."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from damage import damaged
from hypothesis import given, settings
from hypothesis import strategies as st
from jpeg_forms import noise, pillow_jpeg, pillow_pixels, segments, write_jpeg

from cases import cases
from fastload import _core
from images import picture

DQT = 0xDB


def window_pixels(data: bytes, window: tuple[int, int, int, int]) -> np.ndarray | None:
    """Of the window's coefficients; None where there are none to be had."""
    found = _core.device_window(data, window)
    if found is None:
        return None
    assert found[1] == 0
    return found[0]


def code_pixels(data: bytes, window: tuple[int, int, int, int], every: int) -> np.ndarray:
    """The same of its codes."""
    pixels, fault = _core.device_window(data, window, _core.jpeg_entries(data, every))
    assert fault == 0
    return pixels


def cut(pixels: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    x, y, width, height = window
    return pixels[y : y + height, x : x + width]


@st.composite
def windows(draw, width: int, height: int) -> tuple[int, int, int, int]:
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))


EVERY = [1, 4, 8, 16, 32, 0]
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
    expected = cut(pillow_pixels(jpeg), window)
    assert np.array_equal(window_pixels(jpeg, window), expected)
    assert np.array_equal(code_pixels(jpeg, window, data.draw(st.sampled_from(EVERY))), expected)


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
                assert np.array_equal(code_pixels(data, window, EVERY[number % len(EVERY)]), cut(expected, window))
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
        expected = cut(pillow_pixels(bytes(data)), window)
        assert np.array_equal(window_pixels(bytes(data), window), expected)
        assert np.array_equal(code_pixels(bytes(data), window, 4), expected)


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
        assert window_pixels(jpeg(), (0, 0, 4, 4)) is None
    except _core.JpegError as error:  # chroma in halves, where libjpeg-turbo has the ABI of libjpeg 8
        assert "upsamples columns in its own way" in error.args[1]


def test_a_scan_is_forgotten_with_its_image():
    baseline, progressive = pillow_jpeg(picture(1, 60, 50)), pillow_jpeg(picture(1, 60, 50), progressive=True)
    assert _core.jpeg_coefficients(baseline) is not None
    assert _core.jpeg_coefficients(progressive) is None


@pytest.mark.parametrize("window", [(50, 0, 11, 1), (0, 0, 60, 51), (-1, 0, 5, 5), (0, 0, 0, 5)])
def test_a_window_that_is_none(window):
    data = pillow_jpeg(picture(1, 60, 50))
    for record in (None, _core.jpeg_entries(data, 4)):
        with pytest.raises(ValueError, match="inside the image"):
            _core.device_window(data, window, record)


@pytest.mark.parametrize("restart", [1, 2, 3, 5, 16, 1000])
@pytest.mark.parametrize(
    "form", [("gray", "2x2"), ("ycc", "1x1,1x1,1x1"), ("ycc", "2x1,1x1,1x1"), ("ycc", "2x2,1x1,1x1")]
)
def test_codes_with_restart_markers(form, restart):
    data = write_jpeg(97, 71, *form, f"restart={restart}")
    whole = pillow_pixels(data)
    for every in EVERY:
        for window in ((0, 0, 97, 71), (33, 20, 31, 40), (90, 65, 7, 6)):
            assert np.array_equal(code_pixels(data, window, every), cut(whole, window)), (every, window)


def test_codes_with_chroma_halved_along_columns_alone():
    data = write_jpeg(97, 71, "ycc", "1x2,1x1,1x1")
    try:
        record = _core.jpeg_entries(data, 4)
    except _core.JpegError as error:
        assert "upsamples columns in its own way" in error.args[1]
        return
    for window in ((0, 0, 97, 71), (33, 21, 31, 40), (90, 65, 7, 6)):
        pixels, fault = _core.device_window(data, window, record)
        assert fault == 0 and np.array_equal(pixels, cut(pillow_pixels(data), window))


@pytest.mark.parametrize(
    "form", [("ycc", "4x1,1x1,1x1"), ("ycc", "2x2,2x1,2x1"), ("rgb", "1x1,1x1,1x1"), ("ycck", "1x1,1x1,1x1,1x1")]
)
def test_records_of_what_the_kernels_do_not_read(form):
    try:
        data = write_jpeg(60, 50, *form)
        record = _core.jpeg_entries(data, 4)
    except _core.JpegError as error:
        assert "upsamples columns in its own way" in error.args[1]
        return
    assert _core.device_window(data, (0, 0, 8, 8), record) is None


def test_each_kind_of_fault_is_told():
    """Damaged codes, another image's codes, and a record that says what is not so."""
    data = pillow_jpeg(PIL.Image.fromarray(noise(200, 160, 3)), quality=90, subsampling=0)
    other = pillow_jpeg(PIL.Image.fromarray(noise(200, 160, 3)[::-1]), quality=90, subsampling=0)
    window, record = (20, 30, 100, 90), _core.jpeg_entries(data, 8)
    begin = segments(data)[-1][2]
    rng = np.random.default_rng(1)
    faults = set()
    for _ in range(60):
        bad = np.frombuffer(data, np.uint8).copy()
        bad[begin + rng.integers(len(data) // 4, len(data) // 2)] ^= 1 << rng.integers(8)
        pixels, fault = _core.device_window(bad.tobytes(), window, record)
        faults.add(fault)
        if fault == 0:  # then it is what reading all of its codes gives, or a marker lies behind the window
            entered = _core.jpeg_decode_entered(bad.tobytes(), record, window)[0]
            assert np.array_equal(pixels, entered)
    assert faults >= {0, 2}
    swapped = _core.device_window(other, window, record)
    assert swapped is None or swapped[1] != 0


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
