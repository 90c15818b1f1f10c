"""The coefficients that we decode in libjpeg's place: every variant gives libjpeg's pixels, or leaves the file to Pillow."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from damage import damaged
from hypothesis import given, settings
from hypothesis import strategies as st
from jpeg_forms import noise, pillow_jpeg

from cases import cases
from fastload import _core
from images import picture

OURS = [name for name in _core.jpeg_entropies() if name != "libjpeg"]
KINDS = {
    "photo": lambda seed: picture(seed, 120 + seed, 90),
    "noise": lambda seed: PIL.Image.fromarray(noise(97, 60 + seed, 3)),
    "gray": lambda seed: picture(seed, 70, 50 + seed).convert("L"),
    "flat": lambda seed: picture(seed, 2, 2).resize((130, 40 + seed)),
}
OPTIONS = {
    "common tables": {"quality": 90},
    "tables of its own": {"quality": 85, "optimize": True},
    "hardly compressed": {"quality": 100, "subsampling": 0},
    "long codes": {"quality": 100, "subsampling": 0, "optimize": True},
    "almost nothing": {"quality": 3, "optimize": True},
}


def outcome(data: bytes, entropy: str, window=None):
    try:
        return _core.jpeg_decode(data, window, entropy=entropy)
    except _core.JpegError as error:
        return error.args


def same(ours, theirs):
    if isinstance(ours, np.ndarray):
        return isinstance(theirs, np.ndarray) and np.array_equal(ours, theirs)
    return ours == theirs


def test_there_is_a_variant_for_every_processor():
    assert "portable" in OURS
    with pytest.raises(ValueError, match="no entropy decoder"):
        _core.jpeg_decode(pillow_jpeg(picture(0, 9, 9)), entropy="other")


@pytest.mark.parametrize("entropy", OURS)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_libjpegs(kind, options, entropy):
    for seed in range(12):
        given = OPTIONS[options]
        if kind == "gray":
            given = {name: value for name, value in given.items() if name != "subsampling"}
        data = pillow_jpeg(KINDS[kind](seed), **given)
        for window in (None, (40, 30, 17, 9), (0, 39, 70, 1)):
            expected = outcome(data, "libjpeg", window)
            assert isinstance(expected, np.ndarray)
            assert same(outcome(data, entropy, window), expected)


def test_photos(photo_folder):
    for path in sorted(photo_folder.glob("*.JPEG"))[::10]:
        data = path.read_bytes()
        for entropy in OURS:
            assert same(outcome(data, entropy), outcome(data, "libjpeg"))


BAD_CODE = ("not_native", "Corrupt JPEG data: bad Huffman code")
SCANS = [
    pillow_jpeg(picture(1, 100, 70), quality=92),
    pillow_jpeg(picture(2, 64, 64), quality=75, optimize=True, subsampling=0),
    pillow_jpeg(PIL.Image.fromarray(noise(40, 30, 3)), quality=100, subsampling=0, optimize=True),
    pillow_jpeg(picture(3, 50, 90).convert("L"), quality=60),
]


@settings(max_examples=cases(200, 1500))
@given(data=st.data())
def test_damage_is_never_taken_for_pixels(data):
    whole = data.draw(st.sampled_from(SCANS))
    whole = damaged(data, whole, whole.index(b"\xff\xda"))
    expected = outcome(whole, "libjpeg")
    for entropy in OURS:
        ours = outcome(whole, entropy)
        # A bad code is passed over by libjpeg where it is far from the end. We leave all such files to Pillow.
        assert (isinstance(ours, tuple) and ours == BAD_CODE) or same(ours, expected)
