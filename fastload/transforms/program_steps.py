"""A callable of a program that changes an image by Pillow -> the steps that it takes, where its code says so for certain.

Such are the GaussianBlur and Solarization of DINO, MoCo, SimCLR and lightly, which draw from Python's ``random`` or from NumPy
whether they do anything and how much, and functions like ``lambda image: image.convert("RGB")``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
import torchvision.transforms as v1
import torchvision.transforms.functional as F
import torchvision.transforms.v2 as v2
from PIL.ImageFilter import GaussianBlur

from fastload import _core
from fastload.machine import pillow_blurs_as_the_engine
from fastload.reports import NotNative
from fastload.transforms.code_world import OPERATORS, Look, Method, NotCertain, World, function_of
from fastload.transforms.colour_steps import random_recolour
from fastload.transforms.handed_on import function_that_runs
from fastload.transforms.known_classes import keep_originals, why_altered
from fastload.transforms.read_code import run
from fastload.transforms.replaced_functions import reach

_MOST_WAYS = 4
# What draws a number from 0 to 1, and what draws one between two others.
_DRAWS: dict[Any, tuple[str, str]] = {
    random.random: ("python", "one"),
    random.uniform: ("python", "between"),
    np.random.random: ("numpy", "one"),
    np.random.random_sample: ("numpy", "one"),
    np.random.rand: ("numpy", "one"),
    np.random.uniform: ("numpy", "between"),
}
_UNIFORM = random.Random.uniform.__code__
_OF_NUMBERS = ("+", "-", "*", "/", "<", "<=", ">", ">=")
_SIGNS = {"<": (False, False), "<=": (True, False), ">": (True, True), ">=": (False, True)}  # inclusive, turned round
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_PILLOWS = reach(
    PIL.ImageOps.solarize,
    PIL.ImageOps.invert,
    PIL.ImageOps.posterize,
    PIL.ImageOps.autocontrast,
    PIL.ImageOps.equalize,
    PIL.ImageOps.grayscale,
    F.to_tensor,
    F.pil_to_tensor,
    GaussianBlur,
    (PIL.Image.Image, "filter"),
    (PIL.Image.Image, "convert"),
)


@dataclass
class Drawn:
    """A number that is drawn: between 0 and 1 if ``high`` is None."""

    stream: str
    low: float = 0.0
    high: float | None = None
    of: Drawn | None = None  # the draw between 0 and 1 that it was computed from


@dataclass
class Blur:
    """Pillow's GaussianBlur filter; its radius is drawn, or a number."""

    radius: Drawn | float


@dataclass
class Program:
    """What a callable does to an image.

    Attributes:
        steps: a Blur, a change of colour, or a transform of torchvision that does the same and draws nothing.
        condition: what is drawn first; the steps are done if it is below ``p``, or equals it if ``inclusive``.
        looks: what this rests on.
    """

    steps: list[Any]
    condition: Drawn | None = None
    p: float = 1.0
    inclusive: bool = False
    looks: list[Look] = field(default_factory=list)


@dataclass
class _Condition:
    drawn: Drawn
    p: float
    inclusive: bool
    turned: bool


@dataclass
class _Times:
    """What was drawn between 0 and 1, times a number."""

    drawn: Drawn
    factor: float


class _Image:
    """What the callable is given, or what a step has made of it; of no ``mode`` once it is a tensor."""

    def __init__(self, mode: str) -> None:
        self.mode = mode


def program_of(transform: Any, *, is_gray: bool = False) -> Program:
    """What it does to an image of Pillow's, RGB or gray.

    Raises:
        NotCertain: that cannot be told.
    """
    if _PILLOWS.what_changed():
        raise NotCertain("Pillow is not what it was")
    mode = "L" if is_gray else "RGB"
    first = _Changing([True] * _MOST_WAYS, mode)
    events = first.run(transform)
    looks = [*first.looks, (_PILLOWS.holds, True), (lambda: random.Random.uniform.__code__, _UNIFORM)]
    conditions = [event for event in events if isinstance(event, _Condition)]
    if not conditions:
        return Program(_steps_of(events), looks=looks)
    condition = conditions[0]
    if len(events) < 2 or events[0] is not condition.drawn or events[1] is not condition:
        raise NotCertain("something comes before the condition")
    second = _Changing([False], mode)
    others = second.run(transform)
    ways = [_steps_of(events[2:]), _steps_of(others[2:])]
    done, left = reversed(ways) if condition.turned else ways
    if left or not done:
        raise NotCertain("something is done in either case, or only above a number")
    return Program(done, condition.drawn, condition.p, condition.inclusive, [*looks, *second.looks])


def _steps_of(events: list[Any]) -> list[Any]:
    """Of what was drawn and done; each number is drawn for the step behind it."""
    steps = [event for event in events if not isinstance(event, (Drawn, _Condition))]
    drawn = [event for event in events if isinstance(event, Drawn)]
    used = [step.radius for step in steps if isinstance(step, Blur) and isinstance(step.radius, Drawn)]
    if any(isinstance(event, _Condition) for event in events):
        raise NotCertain("it has two conditions")
    if len(drawn) != len(used) or any(one is not (other.of or other) for one, other in zip(drawn, used, strict=True)):
        raise NotCertain("it draws for something else")
    return steps


class _Changing(World):
    """The newest image may be changed by Pillow; conditions on what is drawn turn out as ``script`` says."""

    def __init__(self, script: list[bool], mode: str) -> None:
        super().__init__()
        self._script = script
        self._current = _Image(mode)
        self._events: list[Any] = []

    def run(self, transform: Any) -> list[Any]:
        """What is drawn and done, in order."""
        called = _inner_function(transform, self)
        if any(called is one for one in _CHANGES):
            self.call(called, [self._current], {}, 0)
            return self._events
        function, args, kwargs = function_that_runs(called, self)
        if run(function, [*args, self._current], kwargs, self) is not self._current:
            raise NotCertain("it gives something else")
        return self._events

    def attribute(self, thing: Any, name: str) -> Any:
        if isinstance(thing, _Image):
            return thing.mode if name == "mode" and thing.mode else Method(thing, name)
        return super().attribute(thing, name)

    def operate(self, sign: str, left: Any, right: Any) -> Any:
        if sign == "[]" and type(left) in (list, tuple) and type(right) is int and 0 <= right < len(left):
            return self.saw(lambda: left[right])
        if isinstance(right, Drawn) and sign in _TURNED:
            left, right, sign = right, left, _TURNED[sign]
        if isinstance(left, Drawn) and left.high is None and sign in _SIGNS and type(right) in (int, float):
            inclusive, turned = _SIGNS[sign]
            return _Condition(left, float(right), inclusive, turned)
        computed = _computed(sign, left, right) or _computed(sign, right, left)
        if computed is not None:
            return computed
        numbers = type(left) in (int, float) and type(right) in (int, float)
        if numbers and sign in _OF_NUMBERS:
            return OPERATORS[sign](left, right)
        if any(isinstance(one, (Drawn, Blur, _Condition, _Image, _Times)) for one in (left, right)):
            raise NotCertain("an operator")
        return super().operate(sign, left, right)

    def truth(self, value: Any) -> bool:
        if not isinstance(value, _Condition):
            return super().truth(value)
        if not self._script:
            raise NotCertain("a second condition")
        self._events.append(value)
        return self._script.pop(0)

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any], depth: int) -> Any:
        if isinstance(function, Method):
            return self._of_image(function, args, kwargs)
        if function is GaussianBlur:
            given = self._bound(args, kwargs, radius=2)
            return Blur(self._radius(given["radius"]))
        if function is isinstance and len(args) == 2 and args[0] is self._current and self._current.mode:
            return _is_one_of(args[1])
        for draws, (stream, what) in _DRAWS.items():
            if function is draws:
                return self._draw(stream, what, args, kwargs)
        for changes, made in _CHANGES.items():
            if function is changes:
                return self._change(made, args, kwargs)
        if type(function) in (FunctionType, MethodType):
            inner, before, named = function_of(function, self.saw)
            return run(inner, [*before, *args], {**named, **kwargs}, self, depth)
        raise NotCertain("a call")

    def _draw(self, stream: str, what: str, args: list[Any], kwargs: dict[str, Any]) -> Drawn:
        if kwargs or len(args) != (2 if what == "between" else 0):
            raise NotCertain("how it draws")
        if what == "between" and not all(type(one) in (int, float) for one in args):
            raise NotCertain("how it draws")
        drawn = Drawn(stream, float(args[0]), float(args[1])) if args else Drawn(stream)
        self._events.append(drawn)
        return drawn

    def _of_image(self, method: Method, args: list[Any], kwargs: dict[str, Any]) -> _Image:
        if method.thing is not self._current:
            raise NotCertain("another image")
        if method.name == "filter":
            given = self._bound(args, kwargs, filter=None)["filter"]
            if not isinstance(given, Blur):
                raise NotCertain("another filter")
            return self._changed(given, self._current.mode)
        if method.name == "convert" and not kwargs and len(args) == 1 and args[0] in ("RGB", "L"):
            return self._changed(v2.RGB() if args[0] == "RGB" else v1.Grayscale(1), args[0])
        raise NotCertain("a method of the image")

    def _change(self, made: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> _Image:
        if not args or args[0] is not self._current:
            raise NotCertain("another image")
        given = [*args[1:], *kwargs.values()]
        if not all(type(one) in (int, float) for one in given):
            raise NotCertain("an argument")
        try:
            step = made(*args[1:], **kwargs)
        except TypeError:
            raise NotCertain("an argument") from None
        is_grayscale, is_image = isinstance(step, v1.Grayscale), not isinstance(step, (v1.ToTensor, v1.PILToTensor))
        return self._changed(step, ("L" if is_grayscale else self._current.mode) if is_image else "")

    def _changed(self, step: Any, mode: str) -> _Image:
        self._events.append(step)
        self._current = _Image(mode)
        return self._current

    def _radius(self, radius: Any) -> Drawn | float:
        if isinstance(radius, Drawn) and radius.high is not None:
            ends = (radius.low, radius.high)
        elif type(radius) in (int, float):
            ends = (radius, radius)
        else:
            raise NotCertain("a radius")
        if not all(0 <= end <= _MOST_RADIUS for end in ends) or not pillow_blurs_as_the_engine():
            raise NotCertain("a radius")
        return radius if isinstance(radius, Drawn) else float(radius)

    def _bound(self, args: list[Any], kwargs: dict[str, Any], **default: Any) -> dict[str, Any]:
        """Of a call with one argument."""
        (name,) = default
        if len(args) + len(kwargs) > 1 or not set(kwargs) <= {name}:
            raise NotCertain("its arguments")
        return {name: args[0]} if args else {**default, **kwargs}


_MOST_RADIUS = 100


def _computed(sign: str, drawn: Any, number: Any) -> Any:
    """Of a draw between 0 and 1 times a number and one more the draw between two numbers, where that is rounded alike."""
    if type(number) not in (int, float):
        return None
    if sign == "*" and isinstance(drawn, Drawn) and drawn.high is None:
        return _Times(drawn, float(number))
    if sign == "+" and isinstance(drawn, _Times) and (number + drawn.factor) - number == drawn.factor:
        return Drawn(drawn.drawn.stream, float(number), number + drawn.factor, drawn.drawn)
    return None


def _is_one_of(kinds: Any) -> bool:
    """Whether an image of Pillow's is of one of these classes."""
    several = kinds if type(kinds) is tuple else (kinds,)
    if not all(any(kind is one for one in (PIL.Image.Image, torch.Tensor, np.ndarray)) for kind in several):
        raise NotCertain("a class")
    return any(kind is PIL.Image.Image for kind in several)


def _inner_function(transform: Any, world: World) -> Any:
    """torchvision's Lambda calls a function; of another type it is the transform itself."""
    if type(transform) not in (v1.Lambda, v2.Lambda) or why_altered(transform):
        return transform
    if isinstance(transform, v2.Lambda) and world.saw(lambda: transform.types) not in ((object,), (PIL.Image.Image,)):
        raise NotCertain("it is for other types")
    return world.saw(lambda: transform.lambd)


# Functions of an image -> transforms of torchvision that do the same, each time.
_CHANGES: dict[Any, Callable[..., Any]] = {
    PIL.ImageOps.solarize: lambda threshold=128: _change_of(v1.RandomSolarize(threshold)),
    PIL.ImageOps.invert: lambda: _change_of(v1.RandomInvert()),
    PIL.ImageOps.posterize: lambda bits: _change_of(v1.RandomPosterize(bits)),
    PIL.ImageOps.autocontrast: lambda: _change_of(v1.RandomAutocontrast()),
    PIL.ImageOps.equalize: lambda: _change_of(v1.RandomEqualize()),
    PIL.ImageOps.grayscale: lambda: v1.Grayscale(1),
    F.to_tensor: lambda: v1.ToTensor(),
    F.pil_to_tensor: lambda: v1.PILToTensor(),
}


def _change_of(transform: Any) -> _core.Recolour:
    try:
        return random_recolour(transform, is_gray=False).recolour
    except NotNative as reason:
        raise NotCertain(str(reason)) from reason


keep_originals([v1.Lambda, v2.Lambda])
