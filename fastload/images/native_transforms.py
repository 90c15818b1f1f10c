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
from fastload.images.one_pass import OnePass, declined, made_by_each
from fastload.images.pillow_class import is_noticed
from fastload.transforms import MODULE_HOOKS, has_hooks, inherits, own_of, reach, read, why_modes_not_native

Transform = Callable[..., Any]
# Code may make its transforms anew for each sample: to read one costs more than it saves there. It is read at its second use; where
# so many were read of late that were not used so often since, only when it was used that often.
_UNPROVEN, _OFTEN = 8, 8
_MOST_PASSES = 64  # of single transforms that are known at once


class _Steps:
    """A chain of transforms as it was when it was looked at.

    Attributes:
        native_from: the first step of the native part; None: there is none.
        native_to: the first step behind it; in the step before that one a tail in Python may have begun.
        native: the steps between; None: the transform itself.
        transform: a weak reference.
        uses: how often it was looked up.
    """

    def __init__(self, transform: Transform, steps: Sequence[Transform]) -> None:
        self.steps = list(steps)
        self.uses = 0
        self._type, self._own = type(transform), own_of(transform)
        own = self._own or {}
        self._as_it_was = _core.AsTheyAre(
            [],  # not the transform, which would never go
            [self._type],
            [own],
            [steps] if type(steps) is list and steps is own.get("transforms") else [],
            [own[name] for name in MODULE_HOOKS if isinstance(own.get(name), dict)],
        )
        self.native_from: int | None = None
        self.native_to = len(steps)
        self.native: OnePass | None = None
        self.transform = weakref.ref(transform)
        self.kind: type[v1.Compose | v2.Compose] = v2.Compose if isinstance(transform, v2.Compose) else v1.Compose
        of_kind: Any = self.kind
        self.reach = reach(of_kind)
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
        self.native = OnePass(self.kind(self.steps[start : self.native_to]))

    def use(self) -> None:
        """Once more."""
        self.uses += 1
        if self.uses == _OFTEN:
            _here.unproven -= 1

    def is_still(self, transform: Transform) -> bool:
        """Whether the transform is this chain and holds what it held; False: that is to be looked at."""
        return type(transform) is self._type and transform.__dict__ is self._own and self._as_it_was.hold()

    def hold(self, steps: Sequence[Transform]) -> bool:
        return len(steps) == len(self.steps) and all(map(_is, steps, self.steps))


def _is(one: Any, other: Any) -> bool:
    return one is other


class _Here(threading.local):
    """What a thread knows of transforms."""

    def __init__(self) -> None:
        # Or how often it was used.
        self.known: weakref.WeakKeyDictionary[Any, _Steps | int] = weakref.WeakKeyDictionary()
        self.last: _Steps | None = None  # that was looked up
        self.passes: dict[int, OnePass] = {}  # by the transforms' ids
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


def transformed(transform: Transform, image: PIL.Image.Image, call: Callable[..., Any], *of: Any) -> Any:
    """``transform(image)``, the native part of it in one pass. ``call(*of, image)`` runs it as it is."""
    known = _known(transform)
    if known is None or known.native_from is None:
        return call(*of, image)
    if known.native is None:
        made = _one_pass_of(transform).made_of(image)
        return call(*of, image) if made is declined else made
    if known.native_from == 0:
        made = known.native.made_of(image)
        if made is declined:
            return call(*of, image)
        return made if known.native_to == len(known.steps) else _rest(transform, known.native_to, made)
    if why_modes_not_native() or not known.reach.holds():
        return call(*of, image)
    # As the Compose's loop: each step may change the list, and what is in it.
    steps, at, sample = transform.transforms, 0, image  # type: ignore[attr-defined]
    while at < len(steps):
        if at == known.native_from and is_noticed(sample) and known.hold(steps):
            made = known.native.made_of(sample)
            if made is not declined:
                at, sample = known.native_to, made
                continue
        sample, at = steps[at](sample), at + 1
    return sample


def _rest(transform: Any, at: int, sample: Any) -> Any:
    """As the Compose's loop, from there on."""
    steps = transform.transforms
    while at < len(steps):
        sample, at = steps[at](sample), at + 1
    return sample


def transformed_by_each(transforms: Sequence[Transform], image: PIL.Image.Image) -> list[Any] | None:
    """``[transform(image) for transform in transforms]`` in one pass, where the engine does all of each.

    None: it does not, or not now, and nothing was drawn.
    """
    found: dict[int, OnePass] = {}  # no code of a program runs between two of them
    for transform in transforms:
        if id(transform) not in found:
            whole = _whole(transform)
            if whole is None or not whole.is_all():
                return None
            found[id(transform)] = whole
    return made_by_each([found[id(transform)] for transform in transforms], image)


def _whole(transform: Transform) -> OnePass | None:
    """What the engine does of it, if that is all; None: some of it runs as it is."""
    known = _known(transform)
    if known is None or known.native_from != 0:
        return None
    if known.native is None:
        return _one_pass_of(transform)
    return None if known.native_to < len(known.steps) else known.native


_to_tensor = v1.ToTensor()


def tensor_of(image: PIL.Image.Image, call: Callable[[Any], Any]) -> Any:
    """What torchvision's ``to_tensor`` gives. ``call`` is that function as it is."""
    made = declined if why_modes_not_native() else _one_pass_of(_to_tensor).made_of(image)
    return call(image) if made is declined else made


def _known(transform: Transform) -> _Steps | None:
    """How it is, as far as it is worth while to know."""
    last = _here.last
    if last is not None and last.transform() is transform and last.is_still(transform):
        last.use()
        return last
    try:
        known = _here.known.get(transform, 0)
        if isinstance(known, _Steps) and known.is_still(transform):
            known.use()
            _here.last = known
            return known
        if why_modes_not_native():
            return None
        steps = steps_of(transform)
        if isinstance(known, int) or not known.hold(steps):
            uses = known + 1 if isinstance(known, int) else 1
            if uses < (2 if _here.unproven < _UNPROVEN else _OFTEN):
                _here.known[transform] = uses
                return None
            known = _here.known[transform] = _Steps(transform, steps)
            _here.unproven += 1
    except TypeError:  # nobody can say when it is gone
        return None
    known.use()
    return known


def _one_pass_of(transform: Transform) -> OnePass:
    """Of a transform that is no chain."""
    passes = _here.passes
    known = passes.get(id(transform))
    if known is None:
        if len(passes) >= _MOST_PASSES:  # code may make its transforms anew for each sample
            del passes[next(iter(passes))]
        known = passes[id(transform)] = OnePass(transform)  # holds the transform: its id stays its own
    return known


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
