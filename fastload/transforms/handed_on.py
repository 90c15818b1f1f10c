"""A callable of a program that only hands its image on to transforms -> these, where its code says so for certain.

Such are the presets of torchvision's references, which many projects copied: a class that holds a Compose and calls it. Further
forms are functions, lambdas, methods and modules, and several transforms one after the other.
"""

from __future__ import annotations

import functools
from types import FunctionType, MethodType
from typing import Any

import torch

from fastload.transforms.code_world import Look, NotCertain, World, attribute_of, function_of, still_holds
from fastload.transforms.known_classes import library_class
from fastload.transforms.read_code import run
from fastload.transforms.static_attributes import has_hooks, inherits, of_class, own_of
from fastload.transforms.timm_transforms import conversion_of_timm

_OF_LIBRARIES = ("torchvision", "torch")  # whose classes are known, or are not read


class Trail:
    """What a reading of transforms went through, so that the same need not be read again.

    Attributes:
        known: by id each callable that was read, what that rested on, and what it hands on to; None: something else.
    """

    def __init__(self) -> None:
        self.known: dict[int, tuple[Any, list[Look], list[Any] | None]] = {}

    @property
    def looks(self) -> list[Look]:
        """What the reading rests on beside the transforms."""
        return [look for _, looks, steps in self.known.values() if steps is not None for look in looks]

    @property
    def callables(self) -> list[Any]:
        """Those that hand on."""
        return [transform for transform, _, steps in self.known.values() if steps is not None]

    @property
    def inner(self) -> list[Any]:
        """What they hand on to."""
        return [step for _, _, steps in self.known.values() for step in steps or ()]


def handed_on(transform: Any, trail: Trail | None = None) -> list[Any] | None:
    """The transforms to which ``transform`` hands its image, one after the other; None: it does something else, or who knows."""
    known = trail.known.get(id(transform)) if trail is not None else None
    if known is not None and still_holds(known[1]):
        return known[2]
    world = _Handing()
    steps = None
    try:
        function, args, kwargs = function_that_runs(transform, world)
        world.current = image = _Image()
        given = run(function, [*args, image], kwargs, world)
        # Code of the program may change what comes after it: the steps are known only where none runs before the last.
        if given is world.current and all(map(is_of_torchvision, world.steps[:-1])):
            steps = world.steps or None
    except NotCertain:
        pass
    if trail is not None:
        trail.known[id(transform)] = transform, world.looks, steps  # held, so that an id stays its own
    return steps


class _Image:
    """What a callable is given, or what a transform has made of it."""


class _Handing(World):
    """Calls are known that hand the newest image on."""

    def __init__(self) -> None:
        super().__init__()
        self.current: _Image
        self.steps: list[Any] = []

    def attribute(self, thing: Any, name: str) -> Any:
        if isinstance(thing, _Image):
            raise NotCertain("an attribute of the image")
        return super().attribute(thing, name)

    def operate(self, sign: str, left: Any, right: Any) -> Any:
        if isinstance(left, _Image) or isinstance(right, _Image):
            raise NotCertain("what the image is")
        return super().operate(sign, left, right)

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any], depth: int) -> Any:
        if (
            kwargs
            or len(args) != 1
            or args[0] is not self.current
            or isinstance(function, type)
            or not callable(function)
        ):
            raise NotCertain("a call")
        self.steps.append(function)
        self.current = _Image()
        return self.current


def function_that_runs(transform: Any, world: World) -> tuple[FunctionType, list[Any], dict[str, Any]]:
    """The function that a call runs, and what it is given before the image.

    Raises:
        NotCertain: it is of torchvision or torch, or none is known.
    """
    kind = type(transform)
    home = transform.__module__ if kind is FunctionType else kind.__module__
    if not isinstance(home, str) or home.partition(".")[0] in _OF_LIBRARIES:
        raise NotCertain("of a library")
    if not issubclass(kind, torch.nn.Module) or of_class(kind, "__call__") is not _OF_MODULES:
        return function_of(transform, world.saw)
    own = own_of(transform)
    if own is None or has_hooks(own):
        raise NotCertain("hooks hang on it")
    world.saw(lambda: own_of(transform))
    world.saw(lambda: has_hooks(own))
    if not world.saw(lambda: inherits(kind, torch.nn.Module, *_CALLS) and not any(map(own.get, _CALLS))):
        raise NotCertain("it is called in another way")
    return function_of(attribute_of(transform, "forward", world.saw), world.saw)


_OF_MODULES = of_class(torch.nn.Module, "__call__")
_CALLS = ("__call__", "_wrapped_call_impl", "_call_impl", "_compiled_call_impl", "_slow_forward")


def is_of_torchvision(transform: Any, depth: int = 0) -> bool:
    """Whether no code of the program runs in a transform: it is of one of the libraries' classes, and so is all that it holds."""
    kind = library_class(type(transform))
    if kind.__module__.partition(".")[0] not in _OF_LIBRARIES and conversion_of_timm(kind) is None:
        return False
    own = own_of(transform)
    return own is not None and depth < _DEEPEST and all(_is_harmless(value, depth + 1) for value in own.values())


_DEEPEST = 20  # that transforms lie in one another


def _is_harmless(value: Any, depth: int) -> bool:
    """A value that a transform holds."""
    if isinstance(value, (list, tuple, set, dict)):
        held = [*value, *value.values()] if isinstance(value, dict) else value
        return depth < _DEEPEST and all(_is_harmless(one, depth + 1) for one in held)
    if isinstance(value, (FunctionType, MethodType, functools.partial)):
        return False
    return isinstance(value, type) or not callable(value) or is_of_torchvision(value, depth)
