"""``fastload.open``, and ``PIL.Image.open`` that does the same."""

from __future__ import annotations

import io
import os
import threading
import weakref
from typing import IO, Any

import PIL.Image
from PIL import JpegImagePlugin

from fastload.images import torchvision_hooks
from fastload.images.native_header import opened
from fastload.images.pillow_class import (
    give_back_descriptor,
    is_noticed,
    make_lazy,
    tell,
    want,
    why_pillow_is_unknown,
)

_FORMAT = "JPEG"
_before: Any = None  # what opened JPEGs before install()
_installed = False


class _Here(threading.local):
    last: Any = staticmethod(lambda: None)  # the image that this thread opened by its path last


_here = _Here()


def open(file: str | os.PathLike[str] | IO[bytes] | bytes | bytearray | memoryview) -> PIL.Image.Image:
    """``PIL.Image.open(file)``, but that a JPEG is decoded when its pixels are asked for, and then only the part that is.

    ``crop``, ``resize``, ``transpose``, ``convert("RGB")``, ``convert("L")`` and ``copy`` are noted. Where pixels are needed
    (NumPy, ``tobytes``, ``save``, any other method) the engine decodes the window that is left, resizes and turns it: the pixels
    are Pillow's, bit for bit. The rest about the image is Pillow's, errors and when they come among it. Anything but a plain JPEG
    is Pillow's alone.

    Args:
        file: a path, a file that can be read and sought, or the bytes of an image.

    Returns:
        What Pillow returns: a ``PIL.JpegImagePlugin.JpegImageFile`` of a JPEG. No file is kept open for a path, of JPEGs up to 1
        MiB.

    Raises:
        OSError: as Pillow, ``PIL.UnidentifiedImageError`` for what is no image among it.

    Example:
        >>> import io, PIL.Image, fastload
        >>> file = io.BytesIO()
        >>> PIL.Image.new("RGB", (64, 48), "navy").save(file, "JPEG")
        >>> image = fastload.open(file.getvalue()).convert("RGB").crop((8, 8, 40, 40)).resize((16, 16))
        >>> type(image) is PIL.Image.Image, image.size
        (True, (16, 16))
    """
    if isinstance(file, (bytes, bytearray, memoryview)):
        file = io.BytesIO(file)
    image = PIL.Image.open(file)
    if not is_noticed(image):
        _notice(image, by_path=bool(getattr(image, "_exclusive_fp", False)))
    return image


def _notice(image: Any, *, by_path: bool) -> None:
    if type(image) is JpegImagePlugin.JpegImageFile and not why_pillow_is_unknown():
        make_lazy(image)
        if by_path:
            # One that is opened for its size alone need not be read; but that one thread holds many descriptors, of images that it
            # opens before it uses them, shall not be.
            last = _here.last()
            if last is not None:
                give_back_descriptor(last)
            _here.last = weakref.ref(image)


def _factory(fp: Any, filename: Any = None) -> Any:
    image = opened(_before[0], fp, filename)
    if image is None:
        image = _before[0](fp, filename)
    _notice(image, by_path=bool(filename))
    return image


def install_images() -> None:
    """From now on ``PIL.Image.open``, by whatever name it was imported, gives lazy images, with a Pillow that is known."""
    global _before, _installed
    _installed = True
    there = PIL.Image.OPEN.get(_FORMAT)
    if why_pillow_is_unknown() or there is None or there[0] is _factory:
        return
    want(True)
    _before, ours = there, (_factory, there[1])
    PIL.Image.OPEN[_FORMAT] = ours
    tell(there, ours)


def uninstall_images() -> None:
    """``PIL.Image.open`` gives Pillow's own images. Those that were opened in between go on as they were."""
    global _installed
    _installed = False
    there = PIL.Image.OPEN.get(_FORMAT)
    if there is not None and there[0] is _factory:
        PIL.Image.OPEN[_FORMAT] = _before
        tell(there, _before)
    torchvision_hooks.take_away()
    want(False)


def are_installed() -> bool:
    """Whether ``PIL.Image.open`` gives lazy images, as far as this Pillow is known."""
    return _installed
