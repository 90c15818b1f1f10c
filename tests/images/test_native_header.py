"""What an image knows after ``PIL.Image.open`` is the same whether Pillow has read its header or the engine has."""

from __future__ import annotations

import io
import os
import struct

import PIL.Image
import PIL.ImageFile
import pytest
from PIL import JpegImagePlugin

import fastload
from fastload.images import native_header
from images import jpeg_bytes, picture

JPEG = jpeg_bytes(2, 90, 70)


def saved(image=None, **options) -> bytes:
    file = io.BytesIO()
    (image or picture(1, 40, 30)).save(file, "JPEG", **options)
    return file.getvalue()


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def with_segments(*segments: bytes, of: bytes = JPEG, at: int = 2) -> bytes:
    return of[:at] + b"".join(segments) + of[at:]


def exif(resolution: bool) -> bytes:
    made = PIL.Image.Exif()
    made[0x0112] = 6
    if resolution:
        made[0x011A], made[0x011B], made[0x0128] = 300.0, 300.0, 3
    return made.tobytes()


SOF = JPEG.index(b"\xff\xc0")
WITHOUT_JFIF = JPEG[:2] + JPEG[20:]
assert JPEG[2:4] == b"\xff\xe0" and struct.unpack(">H", JPEG[4:6]) == (16,)
FILES = {
    "plain": JPEG,
    "gray": saved(picture(1, 40, 30).convert("L")),
    "progressive": saved(progressive=True),
    "sampled otherwise": saved(subsampling=0),
    "dots": saved(dpi=(72, 300)),
    "dots in centimetres": JPEG[:13] + bytes([2, 0, 100, 0, 50]) + JPEG[18:],
    "comment": saved(comment=b"hello"),
    "two comments": with_segments(segment(0xFE, b"a"), segment(0xFE, b"b")),
    "profile": saved(icc_profile=bytes(range(200))),
    "profile in parts": saved(icc_profile=bytes(150_000)),
    "a part of a profile": with_segments(segment(0xE2, b"ICC_PROFILE\0\x02\x02" + bytes(9))),
    "a profile behind the frame": JPEG[: SOF + 19] + segment(0xE2, b"ICC_PROFILE\0\x01\x01abc") + JPEG[SOF + 19 :],
    "a profile without a number": with_segments(segment(0xE2, b"ICC_PROFILE\0\x01")),
    "exif": saved(exif=exif(False)),
    "exif with dots": saved(exif=exif(True)),
    "exif without JFIF": with_segments(segment(0xE1, exif(True)), of=WITHOUT_JFIF),
    "exif twice": with_segments(segment(0xE1, exif(False)), segment(0xE1, exif(True))),
    "exif that is none": with_segments(segment(0xE1, b"Exif\0\0nonsense"), of=WITHOUT_JFIF),
    "adobe": with_segments(segment(0xEE, b"Adobe\0\x64\0\0\0\0\x01")),
    "adobe cut": with_segments(segment(0xEE, b"Adobe\0\x64\0\0\0\0")),
    "adobe cut more": with_segments(segment(0xEE, b"Adobe")),
    "photoshop": with_segments(segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\0\x10" + bytes(16))),
    "xmp": with_segments(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")),
    "flashpix": with_segments(segment(0xE2, b"FPXR\0abc")),
    "others": with_segments(segment(0xE5, b"abc"), segment(0xEF, b""), segment(0xE0, b"JFXX\0")),
    "JFIF cut": with_segments(segment(0xE0, b"JFIF\0\x01\x02\x01"), of=WITHOUT_JFIF),
    "JFIF cut more": with_segments(segment(0xE0, b"JFIF\0"), of=WITHOUT_JFIF),
    "filled": JPEG[:2] + b"\xff\xff" + JPEG[2:],
    "junk between": JPEG[:20] + b"\0\x01" + JPEG[20:],
    "restarts": with_segments(segment(0xDD, b"\0\x04")),
    "a table of sixteen bits": with_segments(segment(0xDB, b"\x13" + struct.pack(">64H", *range(1, 65)))),
    "a table cut": with_segments(segment(0xDB, b"\x03" + bytes(20))),
    "two frames": with_segments(JPEG[SOF : SOF + 19]),
    "twelve bits": JPEG[: SOF + 4] + b"\x0c" + JPEG[SOF + 5 :],
    "no width": JPEG[: SOF + 7] + b"\0\0" + JPEG[SOF + 9 :],
    "two layers": with_segments(
        segment(0xC0, b"\x08\0\x09\0\x09\x02" + bytes([1, 0x11, 0, 2, 0x11, 0])), of=JPEG[:SOF]
    ),
    "CMYK": saved(PIL.Image.new("CMYK", (20, 10))),
    "a long header": with_segments(segment(0xE5, bytes(30_000))),
    "cut in the header": JPEG[: SOF + 9],
    "cut in the middle": JPEG[: len(JPEG) // 2],
    "no scan": JPEG[: JPEG.index(b"\xff\xda")],
    "nothing": b"\xff\xd8\xff",
}


def known(make) -> object:
    """All attributes, but for the file, of which the place."""
    try:
        image = make()
    except Exception as error:
        return type(error), str(error).partition(" at 0x")[0].partition("'/")[0]
    own = dict(vars(image))
    own.pop("_fastload_plan", None)
    fp = own.pop("fp")
    with image:
        return type(image), own, type(fp), fp.tell(), dict(image.getexif())


@pytest.fixture
def asked(monkeypatch):
    """How often the header was read natively."""
    made, plain = [], native_header._made
    native_header._blank()

    def note(*given):
        made.append(plain(*given))
        return made[-1]

    monkeypatch.setattr(native_header, "_made", note)
    return made


@pytest.fixture(autouse=True)
def uninstalled():
    yield
    fastload.uninstall()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("by", ["path", "stream"])
def test_attributes(name, by, tmp_path, asked):
    path = tmp_path / "a.jpg"
    path.write_bytes(FILES[name])
    make = {"path": lambda: PIL.Image.open(path), "stream": lambda: PIL.Image.open(io.BytesIO(FILES[name]))}[by]
    expected = known(make)
    fastload.install()
    assert known(make) == expected
    assert len(asked) == 1


def test_the_usual_headers_are_read_natively(asked):
    fastload.install()
    names = ["plain", "gray", "progressive", "dots", "comment", "profile", "adobe", "others", "restarts"]
    if hasattr(JpegImagePlugin.JpegImageFile, "_read_dpi_from_exif"):
        names += ["exif", "exif with dots"]
    for name in names:
        asked.clear()
        PIL.Image.open(io.BytesIO(FILES[name]))
        assert [type(image) for image in asked] == [JpegImagePlugin.JpegImageFile], name


def test_pillow_that_somebody_has_changed(asked, monkeypatch):
    fastload.install()
    monkeypatch.setitem(JpegImagePlugin.MARKER, 0xFFFE, ("COM", "Comment", JpegImagePlugin.Skip))
    assert "comment" not in PIL.Image.open(io.BytesIO(FILES["comment"])).info
    monkeypatch.undo()
    assert "comment" in PIL.Image.open(io.BytesIO(FILES["comment"])).info
    plain = JpegImagePlugin.JpegImageFile._open
    monkeypatch.setattr(
        JpegImagePlugin.JpegImageFile, "_open", lambda self: plain(self) or self.info.update(dpi="mine")
    )
    assert PIL.Image.open(io.BytesIO(JPEG)).info["dpi"] == "mine"
    monkeypatch.setattr(PIL.ImageFile, "MAXBLOCK", 7)
    assert PIL.Image.open(io.BytesIO(JPEG)).decodermaxblock == 7


def test_a_file_is_open_until_its_first_use_and_no_more_than_one(tmp_path):
    paths = [tmp_path / f"{k}.jpg" for k in range(20)]
    for path in paths:
        path.write_bytes(JPEG)
    fastload.install()
    expected = PIL.Image.open(io.BytesIO(JPEG)).tobytes()
    before = len(os.listdir("/proc/self/fd"))
    images = [PIL.Image.open(path) for path in paths]
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    for path in paths:
        path.unlink()
    assert all(image.tobytes() == expected for image in images)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_file_that_the_program_holds_is_left_open(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    fastload.install()
    image = PIL.Image.open(path)
    fp = image.fp
    other = PIL.Image.open(path)
    fp.seek(0)
    assert fp.read() == JPEG
    assert image.tobytes() == other.tobytes()
