"""torchvision transforms -> what the engine does natively, and what is left to Python.

A transform counts only if its type is exactly torchvision's and no hook hangs on it. The native part is the longest run from the
start; whatever follows runs in Python on the object that torchvision would have handed it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import PIL
import PIL.Image
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision.transforms._presets import ImageClassification, ObjectDetection, SemanticSegmentation

from fastload import _core, arguments, settings
from fastload.datasets.leaf import NotNative
from fastload.originals import reach
from fastload.watch import Watch

Transform = Callable[[Any], Any]

_ELEMENTS = {
    torch.uint8: "uint8",
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.float64: "float64",
}
# A tensor in which every byte value occurs once a channel shows what a chain of point-wise transforms does to each.
_PROBE_SIDE = 16


@dataclass(frozen=True)
class Pixelwise:
    """What the conversion from image to tensor does to each byte.

    Attributes:
        table: [channels, 256], the value of each byte in each channel, computed by the transforms themselves.
        kind: the type of a sample: torch.Tensor or torchvision's tv_tensors.Image.
        interleaved: a sample's memory is height x width x channels, seen through a permuted view.
        mean, std: of the one Normalize among them, in float32, for the arithmetic form; else empty.
    """

    table: torch.Tensor
    kind: type
    interleaved: bool
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def target(self, layout: str, dtype: torch.dtype | None = None) -> _core.Target:
        """The engine's form, values cast to ``dtype`` where one is given."""
        table = self.table if dtype is None else self.table.to(dtype)
        if table.dtype not in _ELEMENTS:
            raise ValueError(f"dtype must be one of {sorted(map(str, _ELEMENTS))}, not {table.dtype}")
        bits = table.view(torch.int16) if table.dtype == torch.bfloat16 else table
        return _core.Target(
            bits.contiguous().numpy(),
            element=_ELEMENTS[table.dtype],
            layout=layout,
            mean=list(self.mean),
            std=list(self.std),
        )


# An image that stays one: the bytes as they are.
_RGB_BYTES = Pixelwise(torch.arange(256, dtype=torch.uint8, device="cpu").repeat(3, 1), PIL.Image.Image, True)
_GRAY_BYTES = Pixelwise(torch.arange(256, dtype=torch.uint8, device="cpu").repeat(1, 1), PIL.Image.Image, True)


@dataclass
class Reading:
    """How a transform was read.

    Attributes:
        recipe: geometry and grayscale, in the engine's form.
        pixelwise: what the conversion does; ``kind`` is PIL.Image.Image while the sample is still an image.
        size: (height, width) of every sample where the transforms fix it, else None.
        native: the transforms that the engine does, in order.
        tail: the rest, run in Python.
        tail_reason: why the first of the tail is not native; empty without a tail.
        watch: what all of this rests on.
    """

    watch: Watch
    recipe: _core.Recipe
    pixelwise: Pixelwise
    size: tuple[int, int] | None
    native: list[Transform] = field(default_factory=list)
    tail: list[Transform] = field(default_factory=list)
    tail_reason: str = ""

    @property
    def is_tensor(self) -> bool:
        """Whether the native part ends in a tensor."""
        return self.pixelwise.kind is not PIL.Image.Image

    def steps_after(self, transform: Transform) -> Iterator[Transform]:
        """The tail, from the transform that was read: as in stock's loop over it, a step may change those that come after it."""
        return itertools.islice(_flatten(transform), len(self.native), None)


def read(transform: Transform | None) -> Reading:
    """Reads a torchvision transform. Never fails: what is not understood is the tail."""
    chain = _Chain()
    flat = list(_flatten(transform)) if transform is not None else []
    tail_reason = ""
    taken = 0
    for step in flat:
        try:
            chain.take(step)
        except NotNative as reason:
            tail_reason = f"{name_of(step)}: {reason}"
            break
        except Exception as error:  # an argument of a form that torchvision does not take either, or does not check
            tail_reason = f"{name_of(step)}: an argument is not understood ({error})"
            break
        taken += 1
    watch = Watch([transform], apart=flat[taken:], kinds=_KNOWN)
    recipe = _core.Recipe(
        chain.geometry,
        fused_uniform=_uniform_is_fused() if chain.draws_between else True,
        vertical_first=_vertical_first(),
    )
    return Reading(watch, recipe, chain.pixelwise, chain.size, flat[:taken], flat[taken:], tail_reason)


def name_of(transform: Transform) -> str:
    """The transform's name, or its type's."""
    return getattr(transform, "__name__", type(transform).__name__)


def _flatten(transform: Transform) -> Iterator[Transform]:
    if type(transform) in _CONTAINERS and not _why_altered(transform):
        inner = transform if isinstance(transform, torch.nn.Sequential) else transform.transforms
        for step in inner:
            yield from _flatten(step)
    elif type(transform) in _PRESETS and not _why_altered(transform):
        yield from _PRESETS[type(transform)](transform)
    else:
        yield transform


# The presets that come with torchvision's weights, as the steps that they take.
_PRESETS: dict[type, Callable[[Any], list[Transform]]] = {
    ImageClassification: lambda t: [_resize_of(t), v1.CenterCrop(t.crop_size), *_to_floats(), _normalize_of(t)],
    SemanticSegmentation: lambda t: [*([_resize_of(t)] if t.resize_size else []), *_to_floats(), _normalize_of(t)],
    ObjectDetection: lambda t: _to_floats(),
}


def _resize_of(preset: Any) -> Transform:
    return v1.Resize(preset.resize_size, interpolation=preset.interpolation, antialias=preset.antialias)


def _normalize_of(preset: Any) -> Transform:
    return v1.Normalize(preset.mean, preset.std)


def _to_floats() -> list[Transform]:
    return [v1.PILToTensor(), v1.ConvertImageDtype(torch.float)]


def _why_altered(transform: Transform) -> str:
    """Why a transform does not do what its type does, or the type not what torchvision made it do; empty if it does."""
    if any(getattr(transform, name, None) for name in ("_forward_hooks", "_forward_pre_hooks")):
        return "hooks hang on it"
    kind = type(transform)
    if kind not in _KNOWN:
        return ""
    replaced = next((name for name in vars(transform) if hasattr(kind, name)), None)
    return f"its {replaced} was replaced" if replaced else reach(kind).what_changed()


class _Chain:
    """The native part so far; take() adds one transform or says why not."""

    def __init__(self) -> None:
        self.geometry: list[_core.Transform] = []
        self.size: tuple[int, int] | None = None
        self.draws_between = False  # uses torch's uniform_(a, b)
        self.gray = False
        self.values: list[Transform] = []
        self.pixelwise = _RGB_BYTES

    def take(self, transform: Transform) -> None:
        if altered := _why_altered(transform):
            raise NotNative(altered)
        kind = type(transform)
        if kind in _NOTHING:
            return
        if kind in _POINT_WISE:
            self._take_point_wise(transform)
        elif kind in _GEOMETRY:
            if self.values and kind not in _ALSO_ON_TENSORS:
                raise NotNative("after the conversion to a tensor torchvision computes it differently")
            _GEOMETRY[kind](self, transform)
        else:
            raise NotNative("not one of the transforms that the engine knows")

    def _take_point_wise(self, transform: Transform) -> None:
        values = [*self.values, transform]
        made = _probe(values, gray=self.gray)
        if made is not None and settings.flushes_subnormals():
            torch.set_flush_denormal(False)
            try:
                unflushed = _probe(values, gray=self.gray)
            finally:
                torch.set_flush_denormal(True)
            if unflushed is None or not torch.equal(*(m.table.view(torch.uint8) for m in (made, unflushed))):
                raise NotNative("its values depend on torch.set_flush_denormal")
        if made is not None:
            self.pixelwise, self.values = made, values

    def add(self, kind: _core.Kind, transform: Transform) -> _core.Transform:
        """A new engine transform, not yet in the chain."""
        made = _core.Transform(kind)
        made.v2 = type(transform).__module__.startswith(v2.__name__)
        return made

    def random_resized_crop(self, t: Any) -> None:
        made = self.add(_core.Kind.random_resized_crop, t)
        made.height, made.width = arguments.height_width(t.size)
        made.filter = arguments.resize_filter(t.interpolation, is_v2=made.v2)
        scale, ratio = arguments.ascending(t.scale, "scale"), arguments.ascending(t.ratio, "ratio")
        if ratio[0] < 1e-38 or scale[0] < 0:
            raise NotNative(f"scale={t.scale!r}, ratio={t.ratio!r}")
        arguments.require_float32()
        made.set_scale(scale)
        made.set_ratio(ratio)
        made.set_log_ratio(*arguments.log_of(ratio, t, is_v2=made.v2))
        self.draws_between = True
        self._append(made, (made.height, made.width))

    def resize(self, t: Any) -> None:
        made = self.add(_core.Kind.resize, t)
        made.filter = arguments.resize_filter(t.interpolation, is_v2=made.v2)
        if t.max_size is not None and not arguments.is_side(t.max_size):
            raise NotNative(f"max_size={t.max_size!r}")
        made.max_size = int(t.max_size or 0)
        if t.size is None and made.v2 and made.max_size:  # the long side
            self._append(made, None)
            return
        size = arguments.short_side_or_both(t.size)
        if len(size) == 2:
            if made.max_size:
                raise NotNative("max_size with both sides given")
            made.height, made.width = size
            self._append(made, (size[0], size[1]))
            return
        if 0 < made.max_size <= size[0]:
            raise NotNative(f"max_size={t.max_size!r} is not above size={t.size!r}")
        made.width = size[0]
        self._append(made, None)

    def center_crop(self, t: Any) -> None:
        made = self.add(_core.Kind.center_crop, t)
        made.height, made.width = arguments.height_width(t.size)
        self._append(made, (made.height, made.width))

    def random_crop(self, t: Any) -> None:
        made = self.add(_core.Kind.random_crop, t)
        made.height, made.width = arguments.height_width(t.size)
        made.pad_if_needed = bool(t.pad_if_needed)
        made.padded = t.padding is not None
        if made.padded:
            made.set_padding(arguments.sides_of(t.padding, in_pairs=made.v2))
        if made.padded or made.pad_if_needed:
            self._pad_with(made, t)
        self._append(made, (made.height, made.width))

    def pad(self, t: Any) -> None:
        made = self.add(_core.Kind.pad, t)
        left, top, right, bottom = arguments.sides_of(t.padding)
        made.set_padding([left, top, right, bottom])
        self._pad_with(made, t)
        self._append(made, self.size and (self.size[0] + top + bottom, self.size[1] + left + right))

    def _pad_with(self, made: _core.Transform, t: Any) -> None:
        made.pad_mode = arguments.pad_mode(t.padding_mode)
        made.set_fill(arguments.fill_of(t, is_v2=made.v2, channels=1 if self.gray else 3))

    def flip(self, kind: _core.Kind, t: Any) -> None:
        made = self.add(kind, t)
        made.p = arguments.probability(t.p)
        self._append(made, self.size)

    def grayscale(self, t: Any) -> None:
        if t.num_output_channels not in (1, 3):
            raise NotNative(f"num_output_channels={t.num_output_channels!r}")
        self._append(self.add(_core.Kind.grayscale, t), self.size)
        if t.num_output_channels == 1:
            self.gray = True
            self.pixelwise = _GRAY_BYTES
        elif self.gray:
            self.gray = False
            self.pixelwise = _RGB_BYTES

    def random_grayscale(self, t: Any) -> None:
        made = self.add(_core.Kind.random_grayscale, t)
        made.p = arguments.probability(t.p)
        self._append(made, self.size)

    def rgb(self, t: Any) -> None:
        if self.gray and self.values:
            raise NotNative("after the conversion to a tensor it changes the number of channels")
        if self.gray:
            self.gray = False
            self.pixelwise = _RGB_BYTES

    def _append(self, made: _core.Transform, size: tuple[int, int] | None) -> None:
        self.geometry.append(made)
        self.size = size


def _of(name: str) -> tuple[type, type]:
    return getattr(v1, name), getattr(v2, name)


_GEOMETRY: dict[type, Callable[[_Chain, Any], None]] = {
    **dict.fromkeys(_of("RandomResizedCrop"), _Chain.random_resized_crop),
    **dict.fromkeys(_of("Resize"), _Chain.resize),
    **dict.fromkeys(_of("CenterCrop"), _Chain.center_crop),
    **dict.fromkeys(_of("RandomCrop"), _Chain.random_crop),
    **dict.fromkeys(_of("RandomHorizontalFlip"), lambda chain, t: chain.flip(_core.Kind.random_horizontal_flip, t)),
    **dict.fromkeys(_of("RandomVerticalFlip"), lambda chain, t: chain.flip(_core.Kind.random_vertical_flip, t)),
    **dict.fromkeys(_of("Grayscale"), _Chain.grayscale),
    **dict.fromkeys(_of("RandomGrayscale"), _Chain.random_grayscale),
    **dict.fromkeys(_of("Pad"), _Chain.pad),
    v2.RGB: _Chain.rgb,
}
_ALSO_ON_TENSORS = {*_of("RandomHorizontalFlip"), *_of("RandomVerticalFlip"), v2.RGB}
# What leaves every image as it is. (The newer ones are missing in older versions.)
_BOXES_AND_POINTS = ("ClampBoundingBoxes", "ClampKeyPoints", "ConvertBoundingBoxFormat", "SetClampingMode")
_NOTHING = {torch.nn.Identity, v2.Identity, *(getattr(v2, name) for name in _BOXES_AND_POINTS if hasattr(v2, name))}
_NORMALIZE = _of("Normalize")
# Types only, never functions: each is a function of one pixel's value and its channel.
_POINT_WISE = {
    v1.ToTensor,
    v2.ToTensor,
    v2.ToImage,
    v2.ToDtype,
    v2.ToPureTensor,
    *_of("PILToTensor"),
    *_of("ConvertImageDtype"),
    *_NORMALIZE,
}
_CONTAINERS = {*_of("Compose"), torch.nn.Sequential}
_KNOWN = frozenset({*_GEOMETRY, *_NOTHING, *_POINT_WISE, *_CONTAINERS, *_PRESETS})
for _kind in _KNOWN:
    reach(_kind)  # as it is when this is imported


def _probe(values: Sequence[Transform], *, gray: bool) -> Pixelwise | None:
    """Runs the conversion on an image that holds every byte value. None where the image comes out as it went in."""
    levels = np.arange(256, dtype=np.uint8).reshape(_PROBE_SIDE, _PROBE_SIDE)
    image = PIL.Image.fromarray(levels if gray else np.repeat(levels[:, :, None], 3, axis=2))
    probe: Any = image
    try:
        for transform in values:
            probe = transform(probe)
    except Exception as error:  # the same error will come from the tail, with the sample that it belongs to
        raise NotNative(f"it fails: {error}") from error
    if probe is image:
        return None
    channels = 1 if gray else 3
    if not isinstance(probe, torch.Tensor) or probe.shape != (channels, _PROBE_SIDE, _PROBE_SIDE):
        raise NotNative("it does not give a tensor of the image's shape")
    if probe.dtype not in _ELEMENTS:
        raise NotNative(f"it gives {probe.dtype}")
    plain = probe.as_subclass(torch.Tensor)
    normalizes = [t for t in values if isinstance(t, _NORMALIZE)]
    moments: tuple[tuple[float, ...], ...] = ((), ())
    if len(normalizes) == 1 and not gray:
        mean, std = (
            torch.as_tensor(m, dtype=torch.float32, device="cpu").flatten()
            for m in (normalizes[0].mean, normalizes[0].std)
        )
        moments = tuple(mean.expand(3).tolist()), tuple(std.expand(3).tolist())
    return Pixelwise(
        plain.reshape(channels, 256).contiguous().clone(),
        type(probe),
        plain.stride() == (1, channels * _PROBE_SIDE, channels),
        *moments,
    )


def _vertical_first() -> _core.VerticalFirst:
    """When the installed Pillow resizes vertically first."""
    version = tuple(int(part) for part in PIL.__version__.split(".")[:2])
    if version >= (13, 0):
        return _core.VerticalFirst.much_shorter
    return _core.VerticalFirst.very_tall if version >= (12, 2) else _core.VerticalFirst.never


@functools.cache
def _uniform_is_fused() -> bool:
    """Whether this build of torch computes ``uniform_(a, b)`` as one fused multiply-add.

    It does where it was compiled for AVX2 and up, and the last bit of 20 to 50 % of the draws depends on it. Decided by
    drawing: exact rational arithmetic tells both forms apart.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    words = _core.Mt19937(0)
    low, high = np.float32(0.08), np.float32(1.0)
    width = high - low
    agree = {"fused": 0, "separate": 0}
    for _ in range(64):
        drawn = torch.empty(1, dtype=torch.float32, device="cpu").uniform_(0.08, 1.0, generator=generator).numpy()[0]
        x = np.float32((words.next() & 0xFFFFFF) * 2.0**-24)
        exact = Fraction(float(x)) * Fraction(float(width)) + Fraction(float(low))
        agree["fused"] += bool(drawn == _round_to_float32(exact))
        agree["separate"] += bool(drawn == np.float32(x * width) + low)
    return agree["fused"] >= agree["separate"]


def _round_to_float32(value: Fraction) -> np.float32:
    guess = np.float32(float(value))
    candidates = (np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf)))
    return min(candidates, key=lambda c: abs(Fraction(float(c)) - value))
