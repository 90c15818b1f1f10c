"""A JPEG that was opened, and its first use: its bytes are read and judged, and it is a lazy image from then on, or Pillow's own.

Pillow has read the header, so that what cannot be opened is refused at ``open``, and everything about the image is Pillow's. What
it would refuse when it decodes is no lazy image: Pillow gets it back and says so, in the call that is its first use.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import PIL.Image
from PIL.JpegImagePlugin import JpegImageFile

from fastload import _core
from fastload.images.plan import Plan, Source

# Of files that Pillow has opened by their paths, and that wait to be used, those of up to so many bytes are read before that.
_READ_AT_ONCE = 2**20
# A longer stream than pixels can need has something else behind the image, which Pillow would not read.
_MOST_BYTES_A_PIXEL, _MOST_BYTES_BESIDE = 6, 2**20
_END = b"\xff\xd9"
_as_read = JpegImageFile.load_read


def read_at_once(image: JpegImageFile) -> None:
    """Of an image that Pillow has opened, file and all, the bytes are in memory and the file is closed, if it is not long and
    nobody else has it."""
    fp: Any = image.fp
    if type(fp) is not io.BufferedReader or sys.getrefcount(fp) > _REFERENCES or not image._exclusive_fp:
        return
    try:
        data = _core.read_file(fp.fileno(), _READ_AT_ONCE)
        at = fp.tell()
    except (OSError, ValueError):  # no file of the system's, or closed
        return
    if data is None:
        return
    fp.close()
    # Of the type that Pillow has of a file.
    image.fp = io.BufferedReader(io.BytesIO(data))
    image.fp.seek(at)


def _references() -> int:
    """As above, where an image alone has its file."""

    class Holder:
        def __init__(self) -> None:
            self.fp = object()

    holder = Holder()
    fp = holder.fp
    return sys.getrefcount(fp)


_REFERENCES = _references()


def begin(image: JpegImageFile) -> Plan | None:
    """The plan of the whole image, which nobody else reads now; None: it is Pillow's, and as it was."""
    if image.decoderconfig not in ((), (1, 0)) or not image.tile or "load_read" in vars(image):
        return None
    mode = image.mode
    if mode not in ("RGB", "L") or image.tile != [("jpeg", (0, 0, *image.size), 0, (mode, ""))]:
        return None
    if type(image).load_read is not _as_read or "jpeg" in PIL.Image.DECODERS or image.fp is None:
        return None
    data = _read(image)
    if data is None:
        return None
    jpeg = _core.LazyJpeg.of(data, PIL.Image.MAX_IMAGE_PIXELS or 0)
    if jpeg is None or (jpeg.width, jpeg.height) != image.size or jpeg.is_gray != (mode == "L"):
        return None
    return Plan(Source(data, jpeg), image.size, mode)


def has_begun(image: JpegImageFile, **now: Any) -> None:
    """The file is done with, as after Pillow's ``load``, and the image has these attributes: another thread, or a process that it
    forks, sees all of that or nothing."""
    fp = image.fp
    image.map = None
    image.readonly = 0
    vars(image).update(now, tile=[], fp=None)
    if fp is not None and image._exclusive_fp and image._close_exclusive_fp_after_loading:
        fp.close()


def _read(image: JpegImageFile) -> bytes | None:
    """All of the stream, which is left where Pillow leaves it; None: Pillow shall read it."""
    fp: Any = image.fp
    at = None
    most = _MOST_BYTES_A_PIXEL * image.width * image.height + _MOST_BYTES_BESIDE
    try:
        if image._exclusive_fp and type(fp) is io.BufferedReader and type(fp.raw) is io.FileIO:
            return _core.read_file(fp.fileno(), most)  # which is closed afterwards, or Pillow's, where it was
        at = fp.tell()
        memory = fp.raw if type(fp) is io.BufferedReader else fp
        if type(memory) is io.BytesIO:
            data = memory.getvalue()  # no copy of what it was made of
            fp.seek(len(data))
        else:
            fp.seek(0)
            data = fp.read(most + 1)
        if type(data) is bytes and len(data) <= most and (image._exclusive_fp or data.endswith(_END)):
            return data
    except Exception:  # it is closed, say: the call that Pillow answers says what
        pass
    if at is not None:
        fp.seek(at)
    return None
