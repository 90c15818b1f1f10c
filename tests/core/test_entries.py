"""Entry points: windows that are decoded by them equal whole decodes; what is wrong with a record or its file is told, or shows."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from jpeg_forms import noise, pillow_jpeg, pillow_pixels, segments, with_segment, write_jpeg
from test_jpeg import FORMS, SIZES, windows

import cases
from fastload import _core

EVERY = [1, 4, 8, 16, 32, 0]
OURS = [name for name in _core.jpeg_entropies() if name != "libjpeg"]
CHECKED = 16  # behind a record's checksum


def natively(data):
    """Whether this libjpeg gives Pillow's pixels."""
    try:
        _core.jpeg_header(data)
    except _core.JpegError:
        return False
    return True


def assert_windows_equal(data, every, seed, count=6, simds=(None,)):
    """Of an image, by a record of its own: by each decoder of codes, and these inverse DCTs."""
    whole = pillow_pixels(data)
    height, width, _ = whole.shape
    for entropy in OURS:
        record = _core.jpeg_entries(data, every, entropy=entropy)
        for x, y, w, h in windows(np.random.default_rng(seed), width, height, count):
            for simd in simds:
                got, size = _core.jpeg_decode_entered(data, record, (x, y, w, h), entropy=entropy, simd=simd)
                np.testing.assert_array_equal(got, whole[y : y + h, x : x + w], err_msg=f"K {every}, {(x, y, w, h)}")
                assert size <= len(data)


@pytest.mark.parametrize("coding", [(), ("restart=3",), ("restart=1",), ("restart=16",)], ids="+".join)
@pytest.mark.parametrize(("space", "sampling"), FORMS)
def test_windows_equal_pillow(space, sampling, coding):
    for seed, (width, height) in enumerate(SIZES):
        data = write_jpeg(width, height, space, sampling, *coding)
        if natively(data):
            assert_windows_equal(data, EVERY[seed % len(EVERY)], seed)


@pytest.mark.parametrize("coding", [(), ("restart=7",)], ids="+".join)
@pytest.mark.parametrize(
    "form", [("gray", "2x2"), ("ycc", "1x1,1x1,1x1"), ("ycc", "2x2,1x1,1x1"), ("ycck", "2x2,1x1,1x1,2x2")]
)
def test_every_k_of_large_files(form, coding):
    data = write_jpeg(430, 301, *form, *coding, quality=98)
    for every in EVERY:
        assert_windows_equal(data, every, every, count=8)


@pytest.mark.parametrize(
    "form", [("gray", "1x1"), ("ycc", "1x1,1x1,1x1"), ("ycc", "2x1,1x1,1x1"), ("ycc", "2x2,1x1,1x1")]
)
def test_coefficients_are_the_same(form):
    data = write_jpeg(97, 71, *form)
    for every in EVERY:
        record = _core.jpeg_entries(data, every)
        for window in windows(np.random.default_rng(every), 97, 71, 6):
            numbers, planes = _core.jpeg_coefficients(data, window)
            ours, same_planes = _core.jpeg_coefficients(data, window, record)
            np.testing.assert_array_equal(ours, numbers)
            assert same_planes == planes


def test_a_record_says_where_mcus_begin():
    data = write_jpeg(97, 71, "ycc", "2x2,1x1,1x1")
    of_all, of_some = (_core.jpeg_entry_points(_core.jpeg_entries(data, every)) for every in (1, 4))
    width, height, every, per_row, rows, at, size, end, points = of_all
    assert (width, height, every, per_row, rows) == (97, 71, 1, 7, 5)
    assert at == segments(data)[-1][2]
    assert data[at + size : at + size + 2] == b"\xff\xd9"
    bits = [bit for bit, _ in points]
    assert bits == sorted(set(bits)) and bits[0] == 0 and 0 <= 8 * size - end < 8 and bits[-1] < end
    assert points[0][1] == [0, 0, 0]
    assert of_some[-1] == [points[7 * row + column] for row in range(5) for column in (0, 4)]


def test_restart_markers_are_entry_points():
    data = write_jpeg(97, 71, "ycc", "1x1,1x1,1x1", "restart=4")
    points = _core.jpeg_entry_points(_core.jpeg_entries(data, 1))[-1]
    at = segments(data)[-1][2]
    for number in range(4, len(points), 4):
        bit, dc = points[number]
        assert bit % 8 == 0 and dc == [0, 0, 0]
        assert data[at + bit // 8 - 2 : at + bit // 8] == bytes([0xFF, 0xD0 + (number // 4 - 1) % 8])


@pytest.mark.parametrize("coding", [("progressive",), ("separate",), ("progressive", "restart=2")], ids="+".join)
def test_several_scans_have_none(coding):
    assert _core.jpeg_entries(write_jpeg(40, 33, "ycc", "2x2,1x1,1x1", *coding), 16) is None


def test_what_does_not_end_as_it_should_has_none():
    data = write_jpeg(97, 71, "ycc", "1x1,1x1,1x1")
    assert _core.jpeg_entries(data, 16) is not None
    assert _core.jpeg_entries(data[:-2], 16) is None  # no EOI
    assert _core.jpeg_entries(data[: len(data) // 2], 16) is None
    assert _core.jpeg_entries(data[: len(data) // 2] + b"\xff\xd9", 16) is None  # codes are missing
    assert _core.jpeg_entries(data[:-2] + b"\x00\xff\xd9", 16) is None  # there are some too many
    restarts = write_jpeg(97, 71, "ycc", "1x1,1x1,1x1", "restart=4")
    at = segments(restarts)[-1][2]
    marker = restarts.index(b"\xff\xd1", at)
    assert _core.jpeg_entries(restarts, 16) is not None
    assert _core.jpeg_entries(restarts[:marker] + b"\xff\xd2" + restarts[marker + 2 :], 16) is None  # out of order
    assert _core.jpeg_entries(restarts[:marker] + restarts[marker + 2 :], 16) is None


def test_only_what_pixels_depend_on_is_kept_of_the_header():
    data = pillow_jpeg(noise_image(), quality=90)
    long = with_segment(with_segment(data, 0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0" + bytes(3000)), 0xFE, bytes(2000))
    assert len(_core.jpeg_entries(long, 16)) == len(_core.jpeg_entries(data, 16)) < 2000
    np.testing.assert_array_equal(_core.jpeg_decode_entered(long, _core.jpeg_entries(long, 16))[0], pillow_pixels(data))


def noise_image():
    return PIL.Image.fromarray(noise(120, 90, 3))


def test_less_is_read_than_there_is():
    data = write_jpeg(430, 301, "ycc", "1x1,1x1,1x1", quality=98)
    record = _core.jpeg_entries(data, 8)
    assert _core.jpeg_decode_entered(data, record, (100, 200, 100, 50))[1] < 0.3 * len(data)


def fixed(record):
    """With the checksum of what it says now."""
    return record[:12] + _core.crc32c(record[:12] + record[16:]).to_bytes(4, "little") + record[16:]


def decoded(data, record, window):
    """The pixels, or None where they are refused."""
    try:
        return _core.jpeg_decode_entered(data, record, window)[0]
    except (_core.JpegError, ValueError):
        return None


def test_a_damaged_record_is_none():
    data = write_jpeg(97, 71, "ycc", "2x2,1x1,1x1")
    record = _core.jpeg_entries(data, 4)
    for at in range(len(record)):
        for bit in (0, 7):
            bad = bytearray(record)
            bad[at] ^= 1 << bit
            with pytest.raises(ValueError, match="no record"):
                _core.jpeg_entry_points(bytes(bad))
    for size in range(0, len(record), 3):
        with pytest.raises(ValueError, match="no record"):
            _core.jpeg_entry_points(record[:size])


@pytest.mark.parametrize("coding", [(), ("restart=5",)], ids="+".join)
def test_records_that_lie_are_refused_or_harmless(coding):
    data = write_jpeg(97, 71, "ycc", "2x2,1x1,1x1", *coding)
    record = _core.jpeg_entries(data, 4)
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(cases.cases(400, 20000)):
        bad = bytearray(record)
        for at in rng.integers(CHECKED, len(bad), rng.integers(1, 4)):
            bad[at] = rng.integers(256)
        refused += decoded(data, fixed(bytes(bad)), (20, 20, 60, 40)) is None
    assert refused > 0


def test_records_of_other_images_are_refused():
    ours, *others = (write_jpeg(97, 71, "ycc", "2x2,1x1,1x1", quality=quality) for quality in (90, 80, 95))
    others += [write_jpeg(97, 71, "ycc", "1x1,1x1,1x1"), write_jpeg(98, 71, "ycc", "2x2,1x1,1x1")]
    for other in others:
        assert decoded(ours, _core.jpeg_entries(other, 4), (0, 0, 97, 71)) is None


@pytest.mark.parametrize("coding", [(), ("restart=5",)], ids="+".join)
@pytest.mark.parametrize("form", [("gray", "1x1"), ("ycc", "1x1,1x1,1x1"), ("ycc", "2x2,1x1,1x1")], ids=str)
def test_damaged_codes_are_refused_or_change_what_pillow_changes(form, coding):
    data = write_jpeg(97, 71, *form, *coding)
    record = _core.jpeg_entries(data, 4)
    begin = segments(data)[-1][2]
    rng = np.random.default_rng(2)
    taken = 0
    for _ in range(cases.cases(300, 10000)):
        bad = bytearray(data)
        bad[rng.integers(begin, len(data) - 2)] ^= 1 << rng.integers(8)
        got = decoded(bytes(bad), record, (0, 0, 97, 71))
        taken += got is not None
        assert got is None or np.array_equal(got, pillow_pixels(bytes(bad)))
    assert taken > 0


def test_a_last_byte_that_begins_a_marker():
    """Its bits are no codes: libjpeg reads zeros in their place. Here they are of a block's last coefficient, and may be any."""
    seen = 0
    for seed in range(40):
        block = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
        data = pillow_jpeg(PIL.Image.fromarray(block), quality=100)
        record = _core.jpeg_entries(data, 4)
        bad = data[:-3] + b"\xff" + data[-2:]
        got = decoded(bad, record, (0, 0, 8, 8))
        assert got is None or np.array_equal(got, pillow_pixels(bad))
        seen += got is None
    assert seen > 20


def assert_kernels_equal(data, every, seed, count):
    """The same of the kernels' source, where they take the image."""
    whole = pillow_pixels(data)
    height, width, _ = whole.shape
    record = _core.jpeg_entries(data, every)
    for x, y, w, h in windows(np.random.default_rng(seed), width, height, count):
        if (made := _core.device_window(data, (x, y, w, h), record)) is not None:
            got, fault = made
            assert fault == 0
            np.testing.assert_array_equal(got, whole[y : y + h, x : x + w], err_msg=f"K {every}, {(x, y, w, h)}")


@pytest.mark.slow
def test_photos(photo_folder):
    for number, path in enumerate(sorted(photo_folder.glob("*.JPEG"))):
        data = path.read_bytes()
        if not natively(data) or _core.jpeg_entries(data, 16) is None:
            continue
        for every in EVERY[1:]:
            assert_windows_equal(data, every, number, count=6, simds=_core.simd_variants())
        assert_kernels_equal(data, EVERY[1:][number % 5], number, count=6)
