"""Damaged and odd JPEGs: the decoder gives Pillow's pixels or leaves the file to Pillow, and nothing in between.

Leaving a file that Pillow reads is allowed, since the engine then asks Pillow; giving pixels for a file that Pillow
refuses, or other pixels than Pillow's, is not, and neither is a window that hides damage elsewhere in the file.
"""

from __future__ import annotations

import io
import random
import struct
import time

import numpy as np
import PIL.Image
import pytest
from jpeg_forms import (
    noise,
    pillow_jpeg,
    pillow_pixels,
    segment,
    segments,
    with_segment,
    without,
    write_jpeg,
)

from cases import cases
from fastload import _core

MAX_PIXELS = 1_000_000  # mutated headers announce up to 65,535 x 65,535


def judge(data: bytes, window: tuple[float, float, float, float] = (0.3, 0.3, 0.4, 0.4)) -> str:
    """Checks the rule above; "decoded", or the name of the error's code. `window` is in parts of width and height."""
    try:
        width, height, ends_well = _core.jpeg_header(data, MAX_PIXELS)
    except _core.JpegError as error:
        return error.args[0]
    whole = pillow_pixels(data)
    if ends_well:
        assert whole is not None, "a file that ends well is one that Pillow reads"
    x, y = int(window[0] * width), int(window[1] * height)
    part = (x, y, max(1, int(window[2] * (width - x))), max(1, int(window[3] * (height - y))))
    outcome = "decoded"
    for box in [(0, 0, width, height), part]:
        try:
            pixels = _core.jpeg_decode(data, box, MAX_PIXELS)
        except _core.JpegError as error:
            outcome = error.args[0] if box[2:] == (width, height) else outcome
            continue
        assert whole is not None, "pixels of a file that Pillow refuses"
        np.testing.assert_array_equal(pixels, whole[box[1] : box[1] + box[3], box[0] : box[0] + box[2]])
    return outcome


def small(space: str = "ycc", sampling: str = "2x2,1x1,1x1", *options: str) -> bytes:
    return write_jpeg(33, 41, space, sampling, *options, quality=60)


def scan_begin(data: bytes) -> int:
    return segments(data)[-1][2]


SMALL = {
    "4:2:0": ("ycc", "2x2,1x1,1x1"),
    "4:4:4": ("ycc", "1x1,1x1,1x1"),
    "gray": ("gray", "1x1"),
    "cmyk": ("cmyk", "1x1,1x1,1x1,1x1"),
    "restart": ("ycc", "2x2,1x1,1x1", "restart=2"),
    "progressive": ("ycc", "2x2,1x1,1x1", "progressive"),
    "separate": ("ycc", "2x1,1x1,1x1", "separate"),
}


@pytest.fixture(params=SMALL.values(), ids=SMALL.keys())
def data(request) -> bytes:
    return small(*request.param)


def test_every_prefix(data):
    decoded = [size for size in range(len(data)) if judge(data[:size]) == "decoded"]
    accepted = [size for size in range(len(data)) if pillow_pixels(data[:size]) is not None]
    assert decoded == accepted


def test_no_end_of_image(data):
    for tail in (b"", b"\0", b"\xff", b"\xff\xd0", b"\xff\xff", bytes(64)):
        judge(data[:-2] + tail)


@pytest.mark.parametrize("form", ["4:2:0", "4:4:4", "gray", "cmyk", "restart"])
def test_files_that_lack_only_their_end_are_decoded_whole(form):
    data = small(*SMALL[form])
    assert data.endswith(b"\xff\xd9")
    cut = data[:-2] + bytes(64)  # the decoder looks ahead by some bytes
    assert _core.jpeg_header(data)[2]
    assert not _core.jpeg_header(cut)[2]
    assert judge(cut) == "decoded"
    with pytest.raises(_core.JpegError):
        _core.jpeg_decode(cut, (0, 0, 33, 40))


@pytest.mark.parametrize("garbage", [b"\0", b"\xff", bytes(1000), b"\xff\xd8\xff\xe0", b"words", b"\xff\xd9\xff\xd9"])
def test_bytes_behind_the_end_do_not_matter(data, garbage):
    assert judge(data + garbage) == "decoded"
    assert _core.jpeg_header(data + garbage)[2]


@pytest.mark.parametrize("code", [0x01, 0xC0, 0xC4, 0xD8, 0xD9, 0xDA, 0xDC, 0xDD, 0xE0, 0xFE, 0xFF])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.97])
def test_a_marker_among_the_pixels(data, code, part):
    at = scan_begin(data) + int(part * (len(data) - scan_begin(data)))
    judge(data[:at] + bytes([0xFF, code]) + data[at:])
    judge(data[:at] + bytes([0xFF, code]) + data[at + 2 :])
    # above the marker's row nothing is wrong, and still Pillow may refuse the file
    judge(data[:at] + bytes([0xFF, code]) + data[at:], (0, 0, 1, 0.01))


def test_marker_below_the_window_is_found():
    data = small()
    middle = (scan_begin(data) + len(data)) // 2
    broken = data[:middle] + b"\xff\xd8" + data[middle:]
    assert pillow_pixels(broken) is None
    with pytest.raises(_core.JpegError):
        _core.jpeg_decode(broken, (0, 0, 1, 1))


def test_restart_markers_lost_doubled_or_renamed():
    data = small("ycc", "2x2,1x1,1x1", "restart=2")
    places = [i for i in range(scan_begin(data), len(data) - 1) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]
    assert len(places) > 3
    for at in places:
        judge(data[:at] + data[at + 2 :])
        judge(data[:at] + data[at : at + 2] + data[at:])
        for code in range(0xD0, 0xD8):
            judge(data[: at + 1] + bytes([code]) + data[at + 2 :])
        for window in [(0, 0, 1, 0.1), (0, 0.9, 1, 1)]:
            judge(data[:at] + data[at + 2 :], window)


def test_corrupt_entropy_bytes_are_left_to_pillow(data):
    """Where libjpeg has to repair, releases differ; where a flipped bit is a picture too, it is the same picture."""
    outcomes = []
    generator = random.Random(1)
    for _ in range(300):
        at = generator.randrange(scan_begin(data), len(data))
        outcomes.append(judge(data[:at] + bytes([data[at] ^ 1 << generator.randrange(8)]) + data[at + 1 :]))
    assert outcomes.count("decoded") > 10
    assert outcomes.count("not_native") > 10


@pytest.mark.parametrize("length", [0, 1, 2, 3, 5, 7, 60000, 65535])
def test_bad_segment_lengths(data, length):
    for _, begin, _ in segments(data):
        judge(data[: begin + 2] + length.to_bytes(2, "big") + data[begin + 4 :])


def test_segments_twice_or_never(data):
    for marker, begin, end in segments(data):
        judge(data[:begin] + data[end:])
        judge(data[:begin] + data[begin:end] + data[begin:])
        judge(without(data, marker))


def test_bytes_between_segments(data):
    for _, begin, _ in segments(data):
        for junk in (b"\0", b"\xff", b"\xff\0", b"\xff\1", b"\xff\xd0", b"\xff\xd9", b"\xff\xf0", b"\xff\xdc\0\4\0\51"):
            judge(data[:begin] + junk + data[begin:])


@pytest.mark.parametrize(
    ("offset", "value"),
    [(4, 12), (4, 16), (4, 0), (5, 0), (7, 0), (9, 0), (9, 2), (9, 5), (11, 0x51), (11, 0x01), (11, 0x33), (12, 3)],
)
def test_frames_that_are_not_ours(offset, value):
    """12 bits, no height (a DNL would follow), no width, two components, and samplings out of range."""
    for form in SMALL.values():
        data = bytearray(small(*form))
        begin = next(begin for marker, begin, _ in segments(data) if 0xC0 <= marker <= 0xC2)
        data[begin + offset] = value
        if offset in (5, 7):
            data[begin + offset + 1] = value
        judge(bytes(data))


@pytest.mark.parametrize("marker", [*range(0xC3, 0xD0), 0xDE])
def test_other_kinds_of_frame_are_left_to_pillow(marker):
    data = small()
    begin = next(begin for kind, begin, _ in segments(data) if kind == 0xC0)
    assert judge(data[: begin + 1] + bytes([marker]) + data[begin + 2 :]) == "not_native"


def test_arithmetic_coding_is_left_to_pillow():
    assert judge(small("ycc", "2x2,1x1,1x1", "arithmetic")) == "not_native"


def test_scans_that_leave_coefficients_out_are_left_to_pillow():
    assert judge(small("ycc", "2x2,1x1,1x1", "progressive", "partial")) == "not_native"


def test_many_comments():
    comments = segment(0xFE, b"x" * 20) * 10_000
    data = small()
    assert judge(data[:2] + comments + data[2:]) == "decoded"


def test_scan_bomb_ends_soon():
    """Every bit of every coefficient in a faultless scan of its own, of two bytes: 2,647 walks through 3 MP."""
    no_bits = bytes([1]) + bytes(15)  # one code of one bit
    bomb = b"\xff\xd8" + segment(0xDB, bytes([0]) + bytes([1] * 64))
    bomb += segment(0xC2, struct.pack(">BHHB", 8, 1000, 1000, 3) + b"\1\x11\0\2\x11\0\3\x11\0")
    bomb += segment(0xC4, b"\x00" + no_bits + b"\x00")
    bomb += segment(0xC4, b"\x10" + no_bits + b"\xe0")  # e0: nothing in the next 16,384 blocks
    bomb += segment(0xDA, b"\3\1\0\2\0\3\0\0\0\0") + bytes(3 * 125 * 125 // 8 + 1)
    scans = 1
    for component in (1, 2, 3):
        for coefficient in range(1, 64):
            for bit in reversed(range(14)):
                band = bytes([coefficient, coefficient, (bit + 1) % 14 << 4 | bit])
                bomb += segment(0xDA, bytes([1, component, 0]) + band) + b"\0\1"
                scans += 1
    assert scans == 2647
    begin = time.thread_time()  # what it costs, however busy the machine is
    with pytest.raises(_core.JpegError, match="more scans"):
        _core.jpeg_header(bomb + b"\xff\xd9")
    assert time.thread_time() - begin < 20


def test_announced_size_costs_nothing():
    data = bytearray(small())
    begin = next(begin for marker, begin, _ in segments(data) if marker == 0xC0)
    data[begin + 5 : begin + 9] = struct.pack(">HH", 65500, 65500)
    with pytest.raises(_core.JpegError) as caught:
        _core.jpeg_header(bytes(data), max_pixels=178_956_970)
    assert caught.value.args[0] == "too_large"


EXIF_LITTLE = b"II*\0\x08\0\0\0"


def exif(*entries: tuple[int, int, int, int]) -> bytes:
    packed = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"Exif\0\0" + EXIF_LITTLE + struct.pack("<H", len(entries)) + packed + bytes(8) + struct.pack("<LL", 72, 1)


@pytest.mark.parametrize(
    ("marker", "payload"),
    [
        (0xE0, b"JFIF"),
        (0xE0, b"JFIF\0\1"),
        (0xE0, b"JFIF\0\1\1"),
        (0xE0, b"JFXX\0\x10"),
        (0xE1, b""),
        (0xE1, b"Exif\0\0"),
        (0xE1, b"Exif\0\0II*\0"),
        (0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
        (0xE1, exif()),
        (0xE1, exif((0x011A, 5, 1, 26), (0x0128, 3, 1, 2))),
        (0xE1, exif((0x011A, 1, 1, 5), (0x0128, 3, 1, 2))),  # IndexError in Pillow 13
        (0xE1, exif((0x011A, 7, 1, 5), (0x0128, 3, 1, 2))),
        (0xE1, exif((0x011A, 2, 0, 0), (0x0128, 3, 1, 2))),
        (0xE1, exif((0x0112, 3, 1, 6))[:-20]),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"ICC_PROFILE\0\1"),
        (0xE2, b"ICC_PROFILE\0\1\2profile"),
        (0xE2, b"MPF\0"),
        (0xE2, b"MPF\0II*\0\x08\0\0\0\0\0"),
        (0xE2, b"MPF\0" + exif((0xB001, 4, 1, 2), (0xB002, 7, 32, 8))[6:]),
        (0xE2, b"FPXR\0"),
        (0xED, b"Photoshop 3.0\0"),
        (0xED, b"Photoshop 3.0\08BIM"),
        (0xED, b"Photoshop 3.0\08BIM\3\xed"),  # IndexError
        (0xED, b"Photoshop 3.0\08BIM\3\xed\0"),
        (0xED, b"Photoshop 3.0\08BIM\3\xed\0\0\0\0\0\2ab"),
        (0xED, b"Photoshop 3.0\08BIM\3\xed\0\0\0\0\0\x10" + bytes(16)),
        (0xED, b"Photoshop 3.0\08BIM\4\4\2ab\0\0\0\0\1x\08BIM\4\4"),  # IndexError in the second block
        (0xED, b"Photoshop 3.0\08BIM\4\4\0\0\xff\xff\xff\xff"),
        (0xEE, b"Adobe"),
        (0xEE, b"Adobe\0"),
        (0xEE, b"Adobe\0\x64"),
        (0xEE, b"Adobe\0\x64\0\0\0\0\7"),
        (0xFE, b""),
    ],
)
@pytest.mark.parametrize("jfif", [True, False])
def test_application_data_that_pillow_parses(marker, payload, jfif):
    data = small() if jfif else without(small(), 0xE0)
    with_payload = with_segment(data, marker, payload)
    judge(with_payload)
    judge(with_segment(with_payload, marker, payload))


def test_application_data_of_cameras_is_no_hindrance():
    """None of what real files carry sends them the slow way."""
    data = without(small(), 0xE0)
    data = with_segment(data, 0xED, b"Photoshop 3.0\08BIM\3\xed\0\0\0\0\0\x10" + bytes(16))
    data = with_segment(data, 0xE2, b"ICC_PROFILE\0\1\1" + bytes(3000))
    data = with_segment(data, 0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    data = with_segment(data, 0xE1, exif((0x0112, 3, 1, 6), (0x011A, 5, 1, 26), (0x0128, 3, 1, 2)))
    assert judge(data) == "decoded"
    with_pillow = PIL.Image.Exif()
    with_pillow[0x0112], with_pillow[0x011A], with_pillow[0x0128] = 6, 72.0, 2
    assert judge(pillow_jpeg(PIL.Image.fromarray(noise(40, 40, 3)), exif=with_pillow)) == "decoded"


def test_several_images_in_one_file():
    """Pillow's MPO, as phones write: the first image counts, and what stands behind it does not."""
    images = [PIL.Image.fromarray(noise(50, 40, 3, seed)) for seed in range(2)]
    buffer = io.BytesIO()
    images[0].save(buffer, "MPO", save_all=True, append_images=images[1:])
    assert judge(buffer.getvalue()) == "decoded"
    assert judge(buffer.getvalue()[:-500]) == "decoded"


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", bytes(99)])
def test_no_jpeg_at_all(data):
    assert judge(data) == "not_native"


def test_nothing_is_printed(capfd):
    data = small()
    for at in range(0, len(data), 7):
        judge(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
    assert capfd.readouterr() == ("", "")


def mutate(data: bytes, generator: random.Random) -> bytes:
    """One to five edits, half of them in the headers: bytes changed, inserted, dropped, repeated, or the file cut."""
    edited = bytearray(data)
    for _ in range(generator.choice([1, 1, 1, 2, 5])):
        limit = scan_begin(data) if generator.random() < 0.5 else len(edited)
        at = generator.randrange(min(limit, len(edited)))
        kind = generator.randrange(9)
        if kind == 0:
            edited[at] = generator.randrange(256)
        elif kind == 1:
            edited[at] ^= 1 << generator.randrange(8)
        elif kind == 2:
            edited[at : at + 2] = bytes([0xFF, generator.randrange(0xC0, 0x100)])
        elif kind == 3:
            edited[at:at] = generator.randbytes(generator.randint(1, 4))
        elif kind == 4:
            del edited[at : at + generator.randint(1, 6)]
        elif kind == 5:
            edited[at : at + 1] = bytes([generator.choice([0, 1, 127, 128, 254, 255])])
        elif kind == 6:
            origin = generator.randrange(len(edited))
            edited[at:at] = edited[origin : origin + generator.randint(1, 60)]
        elif kind == 7:
            edited[at : at + 2] = generator.choice([0, 1, 2, 3, 8, 255, 65535]).to_bytes(2, "big")
        elif generator.random() < 0.3:
            del edited[max(at, 8) :]
    return bytes(edited)


@pytest.mark.parametrize("seed", range(8))
def test_mutations(seed):
    generator = random.Random(seed)
    exif_image = with_segment(without(small(), 0xE0), 0xE1, exif((0x011A, 5, 1, 26), (0x0128, 3, 1, 2)))
    originals = [small(*form) for form in SMALL.values()] + [exif_image]
    outcomes = set()
    for _ in range(cases(200, 1500)):
        x, y, width, height = (generator.random() for _ in range(4))
        outcomes.add(judge(mutate(generator.choice(originals), generator), (x, y, width, height)))
    assert {"decoded", "not_native", "damaged"} <= outcomes
