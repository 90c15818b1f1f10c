"""A lazy image is Pillow's image: type, attributes, methods, errors, files; the same assertions on both."""

from __future__ import annotations

import copy
import gc
import io
import operator
import os
import pickle
import threading

import numpy as np
import PIL.Image
import PIL.ImageChops
import PIL.ImageDraw
import PIL.ImageFile
import PIL.ImageFilter
import PIL.ImageOps
import PIL.JpegImagePlugin
import pytest
from both import same, shown

import fastload
from fastload.images import is_lazy
from images import jpeg_bytes, picture

JPEG = jpeg_bytes(3, 150, 110, form=2)
T = PIL.Image.Transpose


def with_exif(orientation: int) -> bytes:
    file, exif = io.BytesIO(), PIL.Image.Exif()
    exif[0x0112] = orientation
    picture(5, 90, 60).save(file, "JPEG", exif=exif, dpi=(72, 72))
    return file.getvalue()


def gray() -> bytes:
    file = io.BytesIO()
    picture(6, 101, 77).convert("L").save(file, "JPEG")
    return file.getvalue()


GRAY, TURNED = gray(), with_exif(6)
METHODS = {
    "pickle": lambda i: pickle.loads(pickle.dumps(i)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "Image.copy": lambda i: i.copy(),
    "unbound": lambda i: PIL.Image.Image.crop(i, (1, 2, 30, 40)),
    "getpixel": lambda i: i.getpixel((3, 5)),
    "load": lambda i: i.load()[3, 5],
    "load twice": lambda i: (i.load(), i.load())[1][4, 4],
    "set a pixel": lambda i: operator.setitem(i.load(), (2, 2), 9 if i.mode == "L" else (1, 2, 3)) or i,
    "putpixel": lambda i: i.putpixel((2, 2), 9 if i.mode == "L" else (1, 2, 3)) or i,
    "bands": lambda i: (i.getbands(), i.getbbox(), i.getextrema(), i.histogram(), i.entropy()),
    "getdata": lambda i: list(i.getdata())[:50],
    "split": lambda i: i.split(),
    "merge": lambda i: PIL.Image.merge(i.mode, i.split()),
    "blend": lambda i: PIL.Image.blend(i, i.transpose(T.FLIP_LEFT_RIGHT), 0.3),
    "composite": lambda i: PIL.Image.composite(i, i.rotate(180), i.convert("L")),
    "chops": lambda i: PIL.ImageChops.difference(i, i.transpose(T.ROTATE_180)),
    "paste into": lambda i: i.paste(i.crop((0, 0, 20, 20)), (30, 30)) or i,
    "paste with mask": lambda i: i.paste(i.crop((0, 0, 20, 20)), (9, 9), i.crop((0, 0, 20, 20)).convert("L")) or i,
    "draw": lambda i: PIL.ImageDraw.Draw(i).line((0, 0, 30, 30)) or i,
    "putalpha": lambda i: i.putalpha(7) or i,
    "RGBA": lambda i: i.convert("RGBA"),
    "CMYK": lambda i: i.convert("CMYK"),
    "P": lambda i: i.convert("P"),
    "1": lambda i: i.convert("1"),
    "default convert": lambda i: i.convert(),
    "bad mode": lambda i: i.convert("nonsense"),
    "matrix": lambda i: i.convert("L", (0.2, 0.5, 0.3, 0)),
    "bad argument": lambda i: i.convert("RGB", nonsense=1),
    "transparency": lambda i: i.info.update(transparency=(1, 2, 3) if i.mode == "RGB" else 3) or i.convert("RGBA"),
    "transparency L": lambda i: i.info.update(transparency=(1, 2, 3) if i.mode == "RGB" else 3) or i.convert("L"),
    "quantize": lambda i: i.convert("RGB").quantize(8),
    "rotate": lambda i: i.rotate(10),
    "transform": lambda i: i.transform((20, 20), PIL.Image.Transform.AFFINE, (1, 0, 3, 0, 1, 4)),
    "filter": lambda i: i.filter(PIL.ImageFilter.BLUR),
    "point": lambda i: i.point(lambda v: 255 - v),
    "reduce": lambda i: i.reduce(3),
    "thumbnail": lambda i: i.thumbnail((40, 40)) or i,
    "large thumbnail": lambda i: i.thumbnail((140, 140)) or i,
    "thumbnail of a copy": lambda i: (c := i.convert("RGB"), c.thumbnail((50, 30)), c)[2],
    "thumbnail without a gap": lambda i: i.thumbnail((50, 30), reducing_gap=None) or i,
    "resize box": lambda i: i.resize((33, 21), box=(3.5, 2, 60, 55)),
    "resize a box of whole pixels": lambda i: i.resize((57, 53), box=(3, 2, 60, 55)),
    "resize a box along one side": lambda i: i.resize(
        (i.size[0], 21), PIL.Image.Resampling.BOX, (0, 2.25, i.size[0], 55)
    ),
    "resize the nearest of a box": lambda i: i.resize((33, 21), PIL.Image.Resampling.NEAREST, (3.5, 2, 60.1, 55)),
    "resize a box with a gap": lambda i: i.resize((9, 8), box=(3.5, 2, 60, 55), reducing_gap=1.5),
    "resize a box with an idle gap": lambda i: i.resize((33, 21), box=(3.5, 2, 60, 55), reducing_gap=3.0),
    "resize a box of a list": lambda i: i.resize((33, 21), box=[3.5, 2, 60, 55]),
    "resize a box beyond": lambda i: i.resize((33, 21), box=(3.5, 2, 2000, 55)),
    "resize an empty box": lambda i: i.resize((33, 21), box=(9, 2, 9, 55)),
    "resize a box upside down": lambda i: i.resize((33, 21), box=(9, 2, 5, 55)),
    "resize whole box": lambda i: i.resize((33, 21), box=(0, 0, *i.size)),
    "resize with a gap": lambda i: i.resize((9, 8), reducing_gap=2.0),
    "resize with an idle gap": lambda i: i.resize((70, 60), reducing_gap=2.0),
    "bad gap": lambda i: i.resize((70, 60), reducing_gap=0.5),
    "resize to nothing": lambda i: i.resize((0, 5)),
    "resize to floats": lambda i: i.resize((5.0, 5.0)),
    "resize to an array": lambda i: i.resize(np.array([20, 30])),
    "resize to a list": lambda i: i.resize([20, 30], PIL.Image.Resampling.LANCZOS),
    "resize to the same": lambda i: i.resize(i.size, PIL.Image.Resampling.LANCZOS),
    "bad filter": lambda i: i.resize((5, 5), 77),
    "crop of floats": lambda i: i.crop((1.5, 2.5, 30.49, 40.51)),
    "crop of an array": lambda i: i.crop(np.array([1, 2, 30, 40])),
    "crop outside": lambda i: i.crop((-5, 4, 60, 2000 // 10)),
    "empty crop": lambda i: i.crop((5, 5, 5, 9)),
    "crop of the other order": lambda i: i.crop((9, 0, 5, 9)),
    "crop of three": lambda i: i.crop((9, 0, 15)),
    "crop without a box": lambda i: i.crop(),
    "bad transpose": lambda i: i.transpose(9),
    "transposes": lambda i: [i.transpose(method) for method in T],
    "exif_transpose": PIL.ImageOps.exif_transpose,
    "exif_transpose in place": lambda i: PIL.ImageOps.exif_transpose(i, in_place=True) or i,
    "fit": lambda i: PIL.ImageOps.fit(i, (30, 20)),
    "expand": lambda i: PIL.ImageOps.expand(i, 3),
    "asarray": np.asarray,
    "array": np.array,
    "array interface": lambda i: i.__array_interface__,
    "tobytes": lambda i: (i.tobytes(), i.tobytes("raw", "L") if i.mode == "L" else i.tobytes("raw", "BGR")),
    "equality": lambda i: (
        i == i.copy(),
        i.copy() == i.copy(),
        i.convert("RGB") == i.convert("RGB").rotate(180),
        i == 1,
    ),
    "hash": hash,
    "repr": lambda i: repr(i.convert("RGB")).partition(" at ")[0],
    "context": lambda i: i.__enter__() is i,
    "readonly": lambda i: (i.readonly, i.load() and i.readonly, i.copy().readonly),
    "alpha_composite": lambda i: (c := i.convert("RGBA"), c.alpha_composite(c), c)[2],
    "has_transparency_data": lambda i: getattr(i, "has_transparency_data", None),
    "no such attribute": lambda i: i.nonsense,
    "set the core": lambda i: setattr(i, "im", PIL.Image.new("RGB", i.size, "red").im) or i,
    "a size of one's own": lambda i: (c := i.convert("RGB"), setattr(c, "_size", (5, 5)), c.size, c.copy().size)[2:],
    "show": lambda i: (i.width, i.height, i.has_transparency_data if hasattr(i, "has_transparency_data") else 0),
    "save": lambda i: [_saved(i, format) for format in ("PNG", "JPEG", "BMP")],
    "save keeping quality": lambda i: _saved(i, "JPEG", quality="keep"),
    "loaded, then changed": lambda i: (i.load(), i.crop((0, 0, 20, 30)).resize((50, 60)))[1],
    "cropped of a changed one": lambda i: (i.putpixel((0, 0), 0 if i.mode == "L" else (9, 9, 9)), i.crop((0, 0, 5, 5)))[
        1
    ],
    "its info is its own": lambda i: (c := i.copy(), c.info.update(a=1), i.info.get("a"), c.crop((0, 0, 9, 9)).info)[
        2:
    ],
    "two of one": lambda i: (a := i.convert("RGB"), a.crop((0, 0, 30, 30)), a.resize((40, 40)), a, np.asarray(a)),
}


def _saved(image: PIL.Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize("before", ["opened", "RGB", "L", "cropped and resized"])
@pytest.mark.parametrize("method", METHODS)
def test_methods(method, before):
    start = {
        "opened": lambda i: i,
        "RGB": lambda i: i.convert("RGB"),
        "L": lambda i: i.convert("L"),
        "cropped and resized": lambda i: i.crop((10, 5, 90, 70)).resize((100, 64), PIL.Image.Resampling.BILINEAR),
    }[before]
    for data in (JPEG, GRAY, TURNED) if before in ("opened", "RGB") else (JPEG,):
        same(data, lambda image: METHODS[method](start(image)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations_stay_lazy(orientation):
    data = with_exif(orientation)
    same(data, lambda image: PIL.ImageOps.exif_transpose(image).convert("RGB").crop((3, 4, 40, 50)).resize((20, 30)))
    assert is_lazy(PIL.ImageOps.exif_transpose(fastload.open(data)).crop((3, 4, 40, 50)).resize((20, 30)))


def test_what_is_noted_is_not_done():
    image = fastload.open(JPEG)
    assert type(image) is PIL.JpegImagePlugin.JpegImageFile
    image.load()
    for made in (
        image.convert("RGB"),
        image.convert("L").resize((9, 9)),
        image.crop((1, 2, 30, 40)).transpose(T.ROTATE_90).resize((5, 6)).transpose(T.TRANSVERSE).crop((0, 0, 3, 3)),
        image.copy(),
    ):
        assert type(made) is PIL.Image.Image and is_lazy(made)
        np.asarray(made)
        assert is_lazy(made)
        made.getpixel((0, 0))
        assert not is_lazy(made)


def test_attributes_of_the_file():
    names = "size mode format format_description info filename quantization layers layer applist app icclist bits"
    same(JPEG, lambda i: [getattr(i, name) for name in names.split()])
    same(JPEG, lambda i: (i.get_format_mimetype(), i.tell(), i.is_animated if hasattr(i, "is_animated") else None))
    same(with_exif(3), lambda i: (dict(i.getexif()), i._getexif(), i.convert("RGB").info["exif"]))
    for frame in (0, 1):
        same(JPEG, lambda i, frame=frame: i.seek(frame))
    same(JPEG, lambda i: (i.tile, i.load() and i.tile, i.fp))


@pytest.mark.parametrize(
    "do",
    [
        lambda i: i.verify(),
        lambda i: (i.verify(), i.load()),
        lambda i: (i.load(), i.verify()),
        lambda i: (i.close(), i.load()),
        lambda i: (i.close(), i.convert("RGB")),
        lambda i: (i.load(), i.close(), i.getpixel((0, 0))),
        lambda i: (p := i.load(), i.close(), p)[2],
        lambda i: (p := i.load(), i.load(), i.close(), p)[3],
        lambda i: (p := i.load(), i.getpixel((1, 1)), i.close(), p[0, 0], p)[3:],
        lambda i: (load := i.load, i.close(), load())[2],
        lambda i: (p := i.load(), load := i.load, i.close(), p[0, 0], load())[3:],
        lambda i: (p := i.load(), i.thumbnail((9, 9)), p[60, 50], p, i),
        lambda i: (p := i.load(), i.paste((1, 2, 3), (0, 0, 5, 5)), p[0, 0], p, i),
        lambda i: (p := i.load(), q := i.load(), operator.setitem(p, (0, 0), (1, 2, 3)), q[0, 0], i.close(), q[0, 0]),
        lambda i: (p := (c := i.convert("RGB").crop((1, 1, 30, 30))).load(), c.copy().close(), c.close(), p[2, 2]),
        lambda i: (c := i.convert("RGB"), i.close(), c)[2],
        lambda i: (c := i.convert("RGB"), c.close(), c.crop((0, 0, 9, 9))),
        lambda i: (i.__exit__(None, None, None), i.load()),
        lambda i: (i.load(), i.__exit__(None, None, None), i)[2],
        lambda i: (i.draft("RGB", (40, 40)), i.size, i),
        lambda i: (i.draft("L", None), i.mode, i.convert("RGB")),
        lambda i: (i.draft("L", (75, 55)), i.crop((0, 0, 20, 20))),
        lambda i: (i.load(), i.draft("RGB", (40, 40)), i),
        lambda i: (i.fp.close(), i.load()),
        lambda i: (setattr(i, "tile", [("jpeg", (0, 0, *i.size), 0, ("YCbCr", ""))]), setattr(i, "_mode", "YCbCr"), i)[
            2
        ],
    ],
)
def test_files_and_drafts(do, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    for file in (lambda: io.BytesIO(JPEG), lambda: path, lambda: str(path), lambda: open(path, "rb")):  # noqa: SIM115
        same(file, do)


def test_a_stream_is_where_pillow_leaves_it(tmp_path):
    path = tmp_path / "a.jpg"
    for tail in (b"", b"something else", bytes(200_000)):
        path.write_bytes(JPEG + tail)

        def position(image):
            fp = image.fp
            image = image.convert("RGB")
            return fp.tell(), image

        for file in (lambda tail=tail: io.BytesIO(JPEG + tail), lambda: open(path, "rb")):  # noqa: SIM115
            same(file, position)


def test_a_path_keeps_no_descriptor_and_may_go(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    held = [fastload.open(path) for _ in range(50)]
    held += [fastload.open(path).convert("RGB") for _ in range(50)]
    if before:
        assert len(os.listdir("/proc/self/fd")) <= len(before) + 2
    path.unlink()
    expected = np.asarray(PIL.Image.open(io.BytesIO(JPEG)))
    for image in held:
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_a_closed_image_keeps_no_bytes(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    for image in (fastload.open(path), fastload.open(path).convert("RGB")):
        image.load()
        image.close()
        assert not [value for value in vars(image).values() if type(value).__module__.startswith("fastload")]


def test_what_is_no_plain_jpeg_is_pillows():
    cmyk, png = io.BytesIO(), io.BytesIO()
    picture(1, 30, 30).convert("CMYK").save(cmyk, "JPEG")
    picture(1, 30, 30).save(png, "PNG")
    for data in (cmyk.getvalue(), png.getvalue(), b"", b"nonsense", JPEG[:300], JPEG[:2000]):
        same(data, lambda image: image.convert("RGB"))
        same(data, lambda image: image.load() and image)


def test_bombs(monkeypatch):
    for limit in (100, 10_000, None):
        monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", limit)
        same(JPEG, lambda image: image.convert("RGB").crop((0, 0, 120, 100)))


def test_cut_files_that_may_be_loaded(monkeypatch):
    for allowed in (False, True):
        monkeypatch.setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", allowed)
        for length in (len(JPEG) // 3, len(JPEG) - 30, len(JPEG) - 2, len(JPEG)):
            same(JPEG[:length], lambda image: image.convert("RGB").crop((0, 0, 20, 20)))
            same(JPEG[:length], lambda image: (image.load(), image.resize((9, 9))))


def test_a_chain_without_end():
    def do(image):
        for i in range(40):
            image = image.resize((60 + i % 7, 90 - i)).transpose(T.TRANSVERSE)
        return image

    same(JPEG, do)


def test_threads_share_an_image():
    image = fastload.open(JPEG).convert("RGB")
    expected = np.asarray(PIL.Image.open(io.BytesIO(JPEG)).convert("RGB"))
    cores, wrong, start = [], [], threading.Barrier(8)

    def work(number):
        start.wait()
        for i in range(20):
            part = image.crop((i, number, i + 50, number + 40))
            if not np.array_equal(np.asarray(part), expected[number : number + 40, i : i + 50]):
                wrong.append((number, i))
        cores.append(id(image.im))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(set(cores)) == 1


def test_a_fork_goes_on():
    image = fastload.open(JPEG).convert("RGB").crop((5, 5, 80, 80))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = (
                0 if np.array_equal(np.asarray(image), np.asarray(PIL.Image.open(io.BytesIO(JPEG)))[5:80, 5:80]) else 2
            )
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(np.asarray(image), np.asarray(PIL.Image.open(io.BytesIO(JPEG)))[5:80, 5:80])


def test_an_image_goes_when_nobody_has_it():
    import weakref

    gc.collect()
    gc.disable()
    try:
        image = fastload.open(JPEG).convert("RGB")
        seen = weakref.ref(image)
        image.load()
        del image
        assert seen() is None
    finally:
        gc.enable()


def test_pixels_of_two_uses_are_kept_once():
    image = fastload.open(JPEG).convert("RGB")
    parts = [image.crop((i, i, i + 60, i + 50)) for i in range(4)]
    expected = [shown(part) for part in parts]
    plain = PIL.Image.open(io.BytesIO(JPEG)).convert("RGB")
    assert expected == [shown(plain.crop((i, i, i + 60, i + 50))) for i in range(4)]


class Become(PIL.Image.Image):
    def __init__(self, image):
        super().__init__()
        self.__dict__.update(image.__dict__)


def over_another(image):
    made = PIL.Image.new("L", (3, 3))
    made.__dict__.update(image.__dict__)
    return made


@pytest.mark.parametrize("become", [Become, over_another])
@pytest.mark.parametrize("use", ["tobytes", "copy", "getpixel", "resize", "load"])
def test_all_that_an_image_has_given_to_another(become, use):
    arguments = {"getpixel": [(3, 4)], "resize": [(20, 20)]}.get(use, [])
    same(JPEG, lambda image: getattr(become(image.convert("RGB").crop((5, 5, 80, 80))), use)(*arguments))
