"""Images that a conversion makes smaller, or faster to decode: what their pixels are, and which stay as they are."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import PIL.JpegImagePlugin
import pytest
import trees

from fastload.conversion import Optimize, RefusedError, Shrink, convert
from fastload.conversion.shrink import shrunk
from images import jpeg_bytes, picture


def opened(data) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(data))


def encoded(image, kind, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def thumbnail(image, side) -> PIL.Image.Image:
    image = image.copy()
    image.thumbnail((side, side), PIL.Image.Resampling.LANCZOS, reducing_gap=None)
    return image


@pytest.mark.parametrize("size", [(301, 200), (200, 301), (64, 64), (500, 3), (65, 64)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "RGBA"])
def test_the_pixels_are_pillows_thumbnail(size, mode):
    image = picture(1, *size).convert(mode)
    smaller = shrunk(image, 64)
    assert max(smaller.size) == 64 and smaller.mode == mode
    assert np.array_equal(np.asarray(smaller), np.asarray(thumbnail(image, 64)))


def test_a_lossless_image_holds_these_very_pixels():
    for mode in ("RGB", "RGBA", "L", "I;16"):
        image = picture(2, 90, 70).convert("L" if mode == "I;16" else mode).convert(mode)
        smaller = opened(Shrink(50)(encoded(image, "PNG")))
        assert np.array_equal(np.asarray(smaller), np.asarray(thumbnail(image, 50))) and smaller.mode == mode
    palette = picture(2, 90, 70).quantize(32)
    smaller = opened(Shrink(50)(encoded(palette, "PNG")))
    assert np.array_equal(np.asarray(smaller), np.asarray(thumbnail(palette.convert("RGB"), 50)))


@pytest.mark.parametrize("form", range(6))
def test_a_jpeg_keeps_what_it_is(form):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    given = jpeg_bytes(3, 160, 120, form=form, exif=exif, icc_profile=b"a profile")
    data = Shrink(100, 80)(given)
    image, before = opened(data), opened(given)
    assert (image.format, image.size, image.mode) == ("JPEG", (100, 75), "RGB")
    assert image.getexif()[0x0112] == 6 and image.info["icc_profile"] == b"a profile"
    assert PIL.JpegImagePlugin.get_sampling(image) == PIL.JpegImagePlugin.get_sampling(before)
    options = {"quality": 80, "subsampling": PIL.JpegImagePlugin.get_sampling(before)}
    expected = opened(encoded(thumbnail(before, 100), "JPEG", **options))
    assert np.array_equal(np.asarray(image), np.asarray(expected))


def test_what_stays_as_it_is():
    small = jpeg_bytes(1, 100, 60)
    assert Shrink(100)(small) is small
    frames = [picture(seed, 120, 90).convert("P") for seed in range(3)]
    animated = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert Shrink(100)(animated) is animated
    with pytest.raises(ValueError, match="UnidentifiedImageError"):
        Shrink(100)(b"no image")
    with pytest.raises(ValueError, match="truncated"):
        Shrink(50)(small[:700])


@pytest.mark.parametrize("form", range(6))
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_an_optimized_jpeg_has_the_same_pixels(form, mode):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    options = {
        "quality": 90,
        "progressive": form >= 4,
        "exif": exif,
        "icc_profile": b"a profile",
        "comment": b"by hand",
    }
    given = encoded(picture(form, 121, 93).convert(mode), "JPEG", subsampling=form % 3, **options)
    data = Optimize()(given)
    image, before = opened(data), opened(given)
    assert data != given and "progressive" not in image.info
    assert len(data) < len(given) or "progressive" in before.info
    assert np.array_equal(np.asarray(image), np.asarray(before)) and image.mode == before.mode
    for name in ("exif", "icc_profile", "comment", "dpi", "jfif", "adobe_transform"):
        assert image.info.get(name) == before.info.get(name), name
    assert Optimize()(data) is data


def test_what_optimizing_leaves_alone():
    jpeg = jpeg_bytes(4, 100, 60, form=4)
    for given in (trees.png_bytes(), b"", b"\xff\xd8", jpeg[:900], jpeg + b"behind", b"\xff\xd8\xff" + bytes(2000)):
        assert Optimize()(given) is given
    flipped = bytearray(jpeg)
    for at in range(300, len(jpeg), 97):
        flipped[at] ^= 0x55
        Optimize()(bytes(flipped))


def test_a_conversion_changes_what_it_is_asked_to(tmp_path):
    for number in range(6):
        trees.put(tmp_path, f"src/cat/{number}.jpg", jpeg_bytes(number, 60 + 20 * number, 50, form=number))
    report = convert(tmp_path / "src", tmp_path / "small", "folder", max_side=100, workers=2)
    assert report["changed"] == 3 and report["settings"]["quality"] == 95
    sizes = [opened(path.read_bytes()).size for path in sorted((tmp_path / "small").rglob("*.jpg"))]
    assert [max(size) for size in sizes] == [60, 80, 100, 100, 100, 100]
    report = convert(tmp_path / "src", tmp_path / "fast", "folder", optimize=True, workers=2)
    assert report["changed"] == 6
    for path in (tmp_path / "src").rglob("*.jpg"):
        fast = opened((tmp_path / "fast" / path.relative_to(tmp_path / "src")).read_bytes())
        assert (
            np.array_equal(np.asarray(fast), np.asarray(opened(path.read_bytes()))) and "progressive" not in fast.info
        )
    convert(tmp_path / "src", tmp_path / "both", "folder", optimize=True, max_side=100, workers=1)
    for path in (tmp_path / "small").rglob("*.jpg"):
        both = opened((tmp_path / "both" / path.relative_to(tmp_path / "small")).read_bytes())
        assert np.array_equal(np.asarray(both), np.asarray(opened(path.read_bytes())))


def test_an_image_that_does_not_decode_is_a_bad_sample(tmp_path):
    trees.put(tmp_path, "src/cat/1.jpg", jpeg_bytes(1, 60, 50)[:500])
    trees.put(tmp_path, "src/cat/2.jpg", jpeg_bytes(1, 60, 50))
    report = convert(tmp_path / "src", tmp_path / "dst", "folder", max_side=20, on_error="skip")
    assert [bad["name"] for bad in report["bad"]] == ["cat/1.jpg"] and report["samples"] == 1


def test_wrong_use(tmp_path):
    trees.put(tmp_path, "src/cat/1.jpg", jpeg_bytes(1))
    for options in ({"quality": 90}, {"max_side": 0}, {"max_side": 9, "quality": 0}):
        with pytest.raises(RefusedError):
            convert(tmp_path / "src", tmp_path / "dst", **options)
