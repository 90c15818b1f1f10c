"""torchvision's transforms on a lazy image: what the engine can do of them it does in one pass, down to the finished tensor.

The steps before it run as they are, and note what they do; those behind it get what torchvision would have had. Random numbers are
torch's, and its generator is left as torchvision leaves it.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import PIL.Image
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload import _core
from fastload.engine import Items, drawing, finished_tensor
from fastload.images.figures import TENSORS, count
from fastload.images.pillow_class import is_noticed, plan_of
from fastload.images.plan import Plan, reader
from fastload.transforms import Reading, has_hooks, inherits, own_of, reach, read, why_modes_not_native

Transform = Callable[..., Any]
_declined = object()
# Code may make its transforms anew for each sample: to read one costs more than it saves there. It is read at its second use; where
# so many were read of late that were not used so often since, only when it was used that often.
_UNPROVEN, _OFTEN = 8, 8


class _Steps:
    """A chain of transforms as it was when it was looked at.

    Attributes:
        native_from: the first step of the native part; None: there is none.
        native_to: the first step behind it; in the step before that one a tail in Python may have begun.
        native: the steps between; None: the transform itself.
        uses: how often it was looked up.
    """

    def __init__(self, transform: Transform, steps: Sequence[Transform]) -> None:
        self.steps = list(steps)
        self.uses = 0
        self.native_from: int | None = None
        self.native_to = len(steps)
        self.native: Transform | None = None
        self.kind: type = v2.Compose if isinstance(transform, v2.Compose) else v1.Compose
        for start in range(len(steps)):
            reading = read(transform if steps[0] is transform else self.kind(self.steps[start:]))
            if reading.native and reading.is_tensor:
                self.native_from = start
                break
        if self.native_from is None or steps[0] is transform:
            return
        while reading.tail:
            self.native_to -= 1
            if self.native_to == start:
                break
            reading = read(self.kind(self.steps[start : self.native_to]))
        self.native_to = min(self.native_to + 1, len(steps))
        self.native = self.kind(self.steps[start : self.native_to])

    def hold(self, steps: Sequence[Transform]) -> bool:
        return len(steps) == len(self.steps) and all(map(_is, steps, self.steps))


def _is(one: Any, other: Any) -> bool:
    return one is other


class _Here(threading.local):
    """What a thread knows of transforms."""

    def __init__(self) -> None:
        self.items = Items()
        self.known: weakref.WeakKeyDictionary[Any, _Steps | int] = (
            weakref.WeakKeyDictionary()
        )  # or how often it was used
        self.unproven = 0  # of those that were read


_here = _Here()


def steps_of(transform: Transform) -> Sequence[Transform]:
    """A Compose's own list of steps; anything else is one step."""
    kind, own = type(transform), own_of(transform)
    known = (issubclass(kind, v1.Compose) and inherits(kind, v1.Compose, "__call__")) or (
        issubclass(kind, v2.Compose) and inherits(kind, v2.Compose, *_OF_MODULES)
    )
    if not known or not inherits(kind, object, "__getattribute__", "transforms"):
        return [transform]
    if own is None or any(name in own for name in _OF_MODULES) or has_hooks(own):
        return [transform]
    steps = own.get("transforms")
    return steps if type(steps) in (list, tuple) and steps else [transform]


_OF_MODULES = ("__call__", "forward", "_call_impl", "_wrapped_call_impl", "_compiled_call_impl", "__getattr__")


def transformed(transform: Transform, image: PIL.Image.Image, call: Callable[[Any], Any]) -> Any:
    """``transform(image)``, the native part of it in one pass. ``call`` runs it as it is."""
    if why_modes_not_native():
        return call(image)
    known = _known(transform)
    if known is None or known.native_from is None:
        return call(image)
    if known.native is None:
        made = _native(transform, image)
        return call(image) if made is _declined else made
    if reach(known.kind).what_changed():
        return call(image)
    # As the Compose's loop: each step may change the list, and what is in it.
    steps, at, sample = steps_of(transform), 0, image
    while at < len(steps):
        if at == known.native_from and is_noticed(sample) and known.hold(steps):
            made = _native(known.native, sample)
            if made is not _declined:
                at, sample = known.native_to, made
                continue
            if at == 0:
                return call(image)
        sample, at = steps[at](sample), at + 1
    return sample


def transformed_by_each(transforms: Sequence[Transform], image: PIL.Image.Image) -> list[Any] | None:
    """``[transform(image) for transform in transforms]`` in one pass, where the engine does all of each.

    None: it does not, or not now, and nothing was drawn.
    """
    plan = plan_of(image)
    if plan is None or plan.mode != "RGB" or "transparency" in image.info or why_modes_not_native():
        return None
    items = _here.items
    items.begin()
    found: dict[int, tuple[Reading, _core.Target]] = {}  # no code of a program runs between two of them
    for transform in transforms:
        if id(transform) not in found:
            whole = _whole(transform)
            if whole is None:
                return None
            reading, _ = found[id(transform)] = items.recipe(whole)
            if not (reading.native and reading.is_tensor) or reading.tail:
                return None
    each = [found[id(transform)] for transform in transforms]
    arrays = _values_of_each(plan, each)
    if arrays is None:
        return None
    count(TENSORS, len(arrays))
    return [finished_tensor(array, reading.pixelwise) for array, (reading, _) in zip(arrays, each, strict=True)]


def _whole(transform: Transform) -> Transform | None:
    """What the engine may read in its place, all of it; None: some of it runs as it is."""
    known = _known(transform)
    if known is None or known.native_from != 0:
        return None
    if known.native is None:
        return transform
    return None if known.native_to < len(known.steps) or reach(known.kind).what_changed() else known.native


def _values_of_each(plan: Plan, each: list[tuple[Reading, _core.Target]]) -> list[Any] | None:
    """None: the engine cannot make them, and nothing was drawn."""
    recipes, forms = [reading.recipe for reading, _ in each], [form for _, form in each]
    with drawing(*recipes) as drawn:
        plans = plan.source.jpeg.draw_each(plan.steps, recipes, drawn.native)
        if plans is None:
            return None
        drawn.keep(drawn.native)
    arrays = None
    try:
        arrays = plan.source.used().values_of_each(reader(), plans, forms)
    finally:
        if arrays is None:
            drawn.undo()
    return arrays


def _known(transform: Transform) -> _Steps | None:
    """How it is, as far as it is worth while to know."""
    steps = steps_of(transform)
    try:
        known = _here.known.get(transform, 0)
        if isinstance(known, int) or not known.hold(steps):
            uses = known + 1 if isinstance(known, int) else 1
            if uses < (2 if _here.unproven < _UNPROVEN else _OFTEN):
                _here.known[transform] = uses
                return None
            known = _here.known[transform] = _Steps(transform, steps)
            _here.unproven += 1
    except TypeError:  # nobody can say when it is gone
        return None
    known.uses += 1
    if known.uses == _OFTEN:
        _here.unproven -= 1
    return known


def _native(transform: Any, image: PIL.Image.Image) -> Any:
    items = _here.items
    items.begin()
    reading, form = items.recipe(transform)
    plan = plan_of(image) if reading.native and reading.is_tensor else None
    if plan is None or plan.mode != "RGB" or "transparency" in image.info:
        return _declined
    array = _values(plan, reading, form)
    if array is None:
        return _declined
    count(TENSORS)
    sample: Any = finished_tensor(array, reading.pixelwise)
    for step in reading.steps_after(transform) if reading.tail else ():
        sample = step(sample)
    return sample


def _values(plan: Plan, reading: Reading, form: _core.Target) -> Any:
    """None: the engine cannot make it, and nothing was drawn."""
    jpeg = plan.source.jpeg
    if not reading.recipe.draws:
        drawn_plan = jpeg.draw(plan.steps, reading.recipe, _core.Streams(_core.Mt19937(0)))
        return None if drawn_plan is None else plan.source.used().values(reader(), drawn_plan, form)
    with drawing(reading.recipe) as drawn:
        drawn_plan = jpeg.draw(plan.steps, reading.recipe, drawn.native)
        if drawn_plan is None:
            return None
        drawn.keep(drawn.native)
    array = None
    try:
        array = plan.source.used().values(reader(), drawn_plan, form)
    finally:
        if array is None:
            drawn.undo()
    return array


class Native:
    """See :func:`native`."""

    def __init__(self, transform: Transform) -> None:
        self.transform = transform
        if isinstance(transform, FunctionType):
            functools.update_wrapper(self, transform, assigned=("__module__", "__name__", "__doc__"), updated=())
        self.__wrapped__ = transform

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if len(inputs) == 1 and not options and is_noticed(inputs[0]):
            return transformed(self.transform, inputs[0], self.transform)
        return self.transform(*inputs, **options)

    def __getattr__(self, name: str) -> Any:
        if name == "transform" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.transform, name)

    def __repr__(self) -> str:
        return f"fastload.native({self.transform!r})"


def native(transform: Transform) -> Native:
    """A torchvision transform, ``transforms`` or ``transforms.v2``, that works on :func:`fastload.open`'s images in one pass.

    The native steps (see :class:`fastload.DataLoader`) run in the engine: only the window that they leave is decoded, and the
    finished tensor is written at once. Steps in Python before and behind them run as they are, on what torchvision would have given
    them. Values, types and random numbers are torchvision's. Anything but a lazy image goes to the transform itself.

    Args:
        transform: a Compose, one transform, or any callable, which then is called as it is.

    Example:
        >>> import io, PIL.Image, torchvision.transforms as T, fastload
        >>> file = io.BytesIO()
        >>> PIL.Image.new("RGB", (64, 48), "navy").save(file, "JPEG")
        >>> transform = fastload.native(T.Compose([T.RandomResizedCrop(32), T.ToTensor()]))
        >>> transform(fastload.open(file.getvalue()).convert("RGB")).shape
        torch.Size([3, 32, 32])
    """
    return transform if isinstance(transform, Native) else Native(transform)
