"""What is noted about a lazy image: the JPEG that it comes from, and what was done to it since; and doing all of that, natively.

Each method of :class:`Plan` is named for the method of Pillow's that it notes, takes the same arguments, and gives the plan of the
image that Pillow would give; or None where that method must work on pixels, or raises.
"""

from __future__ import annotations

import io
import os
from typing import Any, cast

import numpy as np
import PIL
import PIL.Image
from PIL.ImageFilter import GaussianBlur
from PIL.JpegImagePlugin import JpegImageFile

from fastload import _core
from fastload.images.figures import BY_PILLOW, IMAGES, count
from fastload.images.noted_filters import change_of, radius_of

_NEAREST = PIL.Image.Resampling.NEAREST
_FILTERS: dict[int, _core.Filter] = {
    _NEAREST: _core.Filter.nearest,
    PIL.Image.Resampling.BOX: _core.Filter.box,
    PIL.Image.Resampling.BILINEAR: _core.Filter.bilinear,
    PIL.Image.Resampling.HAMMING: _core.Filter.hamming,
    PIL.Image.Resampling.BICUBIC: _core.Filter.bicubic,
    PIL.Image.Resampling.LANCZOS: _core.Filter.lanczos,
}


def _step(
    kind: _core.StepKind, box: Any = None, filter: Any = None, radius: Any = None, change: Any = None, part: Any = None
) -> _Step:
    return kind, box, filter, radius, change, part


_Step = tuple[Any, ...]  # in the engine's form
_ACROSS, _DOWN = _step(_core.StepKind.flip_horizontal), _step(_core.StepKind.flip_vertical)
_TURNED = _step(_core.StepKind.transpose)
_TRANSPOSED: dict[int, tuple[Any, ...]] = {
    PIL.Image.Transpose.FLIP_LEFT_RIGHT: (_ACROSS,),
    PIL.Image.Transpose.FLIP_TOP_BOTTOM: (_DOWN,),
    PIL.Image.Transpose.ROTATE_180: (_ACROSS, _DOWN),
    PIL.Image.Transpose.TRANSPOSE: (_TURNED,),
    PIL.Image.Transpose.ROTATE_90: (_TURNED, _DOWN),
    PIL.Image.Transpose.ROTATE_270: (_TURNED, _ACROSS),
    PIL.Image.Transpose.TRANSVERSE: (_TURNED, _ACROSS, _DOWN),
}
_MOST_STEPS = 14  # and two more may come; an engine's plan holds 32, and a resize may be two of them
_MOST_PIXELS = 2**29
# What Pillow has in the fourth byte of each pixel of an RGB image: of one that was decoded or converted, of a resized one, and of
# one whose values a table changed.
_DECODED, _RESIZED, _POINTED = 255, 0, 0

_nothing = _core.Recipe(
    [], fused_uniform=True, vertical_first=_core.vertical_first_of(*map(int, PIL.__version__.split(".")[:2]))
)
no_draws = _core.Streams(_core.Mt19937(0))
_gray_bytes = _core.Target(np.arange(256, dtype=np.uint8)[None], element="uint8", layout="hwc")
_reader = _core.Reader()
_of_parents: list[_core.Reader] = []
_repeats = (
    0  # how many sources of late had a second use: each takes one off at its first use, and adds two at its second
)
_ENOUGH_REPEATS = 4


def reader() -> _core.Reader:
    """This process's: one that was forked has none of the threads that might be using its parent's."""
    return _reader


def _in_a_forked_child() -> None:
    global _reader
    _of_parents.append(_reader)  # left as it is: it is whole only where its threads are
    _reader = _core.Reader()


os.register_at_fork(after_in_child=_in_a_forked_child)


class Source:
    """One JPEG that Pillow is sure to accept.

    From the second use on its pixels are kept, as Pillow keeps them from the first on: several crops of one image, and images that
    a data set holds in memory, do not decode it again. Where the sources before had a second use, this one is expected to.
    """

    __slots__ = ("__weakref__", "data", "jpeg", "uses")

    def __init__(self, data: bytes, jpeg: _core.LazyJpeg) -> None:
        self.data = data
        self.jpeg = jpeg
        self.uses = 0

    def used(self) -> _core.LazyJpeg:
        """The JPEG, for one more use of its pixels."""
        global _repeats
        self.uses += 1
        if self.uses == 1:
            if _repeats >= _ENOUGH_REPEATS:
                self.jpeg.keep_pixels(_reader)
            _repeats = max(0, _repeats - 1)
        elif self.uses == 2:
            self.jpeg.keep_pixels(_reader)
            _repeats = min(2 * _ENOUGH_REPEATS, _repeats + 2)
        return self.jpeg


class Plan:
    """Crops, resizes, turns and conversions of a source, noted and not done. Nothing changes a plan; it is any thread's.

    Attributes:
        steps: what was done, in the engine's form.
        calls: the same, as methods of Pillow's images and their arguments.
        size, mode: of the image, as Pillow has them: (width, height), and "RGB" or "L".
    """

    __slots__ = ("calls", "fourth", "mode", "size", "source", "steps")

    def __init__(
        self,
        source: Source,
        size: tuple[int, int],
        mode: str,
        steps: tuple[Any, ...] = (),
        calls: tuple[Any, ...] = (),
        fourth: int = _DECODED,
    ) -> None:
        self.source = source
        self.size = size
        self.mode = mode
        self.steps = steps
        self.calls = calls
        self.fourth = fourth

    def _then(
        self, steps: tuple[Any, ...], call: tuple[Any, ...], size: tuple[int, int], mode: str, fourth: int
    ) -> Plan | None:
        if len(self.steps) >= _MOST_STEPS:
            return None
        return Plan(self.source, size, mode, self.steps + steps, (*self.calls, call), fourth)

    # What is noted.

    def copy(self) -> Plan | None:
        return self

    def convert(
        self, mode: Any = None, matrix: Any = None, dither: Any = None, palette: Any = 0, colors: Any = 256
    ) -> Plan | None:
        if matrix:
            return None
        if not mode or mode == self.mode:
            return self
        if mode == "RGB":
            return self._then((), ("convert", "RGB"), self.size, "RGB", _DECODED)
        if mode == "L":
            return self._then((_step(_core.StepKind.grayscale),), ("convert", "L"), self.size, "L", _DECODED)
        return None

    def crop(self, box: Any = None) -> Plan | None:
        if box is None:
            return self
        if not isinstance(box, (tuple, list)):
            return None  # Pillow compares it with a tuple, which not all can be
        x0, y0, x1, y1 = map(int, map(round, box))
        width, height = self.size
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            return None  # what lies outside is black; or an error
        if x1 - x0 == width and y1 - y0 == height:
            return self
        if (x1 - x0) * (y1 - y0) > (PIL.Image.MAX_IMAGE_PIXELS or _MOST_PIXELS):
            return None  # a warning
        step = _step(_core.StepKind.crop, (x0, y0, x1 - x0, y1 - y0))
        return self._then((step,), ("crop", (x0, y0, x1, y1)), (x1 - x0, y1 - y0), self.mode, self.fourth)

    def resize(self, size: Any, resample: Any = None, box: Any = None, reducing_gap: Any = None) -> Plan | None:
        if resample is None:
            resample = PIL.Image.Resampling.BICUBIC
        if not isinstance(size, (tuple, list, np.ndarray)) or not isinstance(resample, int):
            return None  # an iterator, which can be read once; a float, which Pillow refuses
        filter = _FILTERS.get(resample)
        width, height = map(_as_index, size)
        if filter is None or width < 1 or height < 1 or width * height > _MOST_PIXELS:
            return None
        whole = (0, 0, *self.size)
        part = None if box is None or (type(box) is tuple and box == whole) else _part_of(box, *self.size)
        if box is not None and part is None and (type(box) is not tuple or box != whole):
            return None  # an error, or nothing to be made of it
        if reducing_gap is not None and not self._is_resized_at_once(
            width, height, resample, reducing_gap, box or whole
        ):
            return None
        if part is None and (width, height) == self.size:
            return self
        is_nearest = resample == _NEAREST
        step = _step(_core.StepKind.resize, (0, 0, width, height), filter, part=part)
        call = ("resize", (width, height), resample, box)
        if (
            part is not None
            and part[2] - part[0] == width
            and part[3] - part[1] == height
            and part[0] % 1 == part[1] % 1 == 0
        ):
            return self.crop(part)  # as Pillow does it, whatever the filter
        return self._then((step,), call, (width, height), self.mode, self.fourth if is_nearest else _RESIZED)

    def _is_resized_at_once(self, width: int, height: int, resample: Any, reducing_gap: Any, box: Any) -> bool:
        """And not reduced by whole numbers before."""
        if reducing_gap < 1.0:
            return False
        across, down = int((box[2] - box[0]) / width / reducing_gap), int((box[3] - box[1]) / height / reducing_gap)
        return resample == _NEAREST or (across <= 1 and down <= 1)

    def transpose(self, method: Any) -> Plan | None:
        steps = _TRANSPOSED.get(method) if isinstance(method, int) else None
        if steps is None:
            return None
        size = self.size[::-1] if steps[0] is _TURNED else self.size
        return self._then(steps, ("transpose", method), size, self.mode, self.fourth)

    def filter(self, filter: Any) -> Plan | None:
        radius = radius_of(filter)
        if radius is None:
            return None
        if radius == (0, 0):
            return self
        step = _step(_core.StepKind.box_blur, radius=radius)
        return self._then((step,), ("filter", GaussianBlur(radius)), self.size, self.mode, self.fourth)

    def point(self, lut: Any, mode: Any = None) -> Plan | None:
        change = change_of(lut, len(self.mode)) if mode is None else None
        if change is None:
            return None
        step = _step(_core.StepKind.recolour, change=change)
        return self._then((step,), ("point", [*lut]), self.size, self.mode, _POINTED)

    # Doing it.

    def core(self) -> Any:
        """Pillow's core of the image. Raises what Pillow raises, should it not decode the file after all."""
        plan = self._drawn()
        jpeg = self.source.used()
        if self.mode == "L":
            # Its memory is to be written to.
            pixels = jpeg.values(_reader, plan, _gray_bytes)
            layout = ("L", 0, 1)
        else:
            pixels = jpeg.rgbx(_reader, plan, self.fourth)
            layout = ("RGB", 0, 1)
        if pixels is None:
            return self.by_pillow().im
        count(IMAGES)
        # The core holds the array. Pillow's own frombuffer() does the same for modes of four channels.
        return PIL.Image.core.map_buffer(pixels, self.size, "raw", 0, layout)  # type: ignore[attr-defined]

    def packed(self) -> bytes:
        """What ``tobytes()`` gives: the image's rows, one byte or three a pixel. Raises as :meth:`core`."""
        made = self.source.used().packed(_reader, self._drawn(), len(self.mode))
        if made is None:
            return self.by_pillow().tobytes()
        count(IMAGES)
        return made

    def _drawn(self) -> _core.Plan:
        plan = self.source.jpeg.draw(self.steps, _nothing, no_draws)
        assert plan is not None
        return plan

    def by_pillow(self) -> PIL.Image.Image:
        """The same by Pillow: for damage that shows only when the pixels are decoded, and that Pillow repairs."""
        count(BY_PILLOW)
        image: PIL.Image.Image = JpegImageFile(io.BytesIO(self.source.data))
        image.load()
        for name, *arguments in self.calls:
            image = getattr(image, name)(*arguments)
        return image


def plan_of_nothing(size: tuple[int, int], mode: str) -> Plan:
    """Says what would be noted of an image of this size and mode; it has no pixels to give."""
    return Plan(cast(Source, None), size, mode)


def _part_of(box: Any, width: int, height: int) -> tuple[float, float, float, float] | None:
    """In the numbers that Pillow computes with; None: it may refuse them."""
    if type(box) is not tuple or len(box) != 4 or not all(type(side) in (int, float) for side in box):
        return None
    left, top, right, bottom = (float(np.float32(side)) for side in box)
    return (left, top, right, bottom) if 0 <= left < right <= width and 0 <= top < bottom <= height else None


def _as_index(side: Any) -> int:
    index: int = side.__index__()
    return index
