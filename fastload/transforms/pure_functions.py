"""Whether a function of a program only computes a value of its argument, so that nobody can tell where, when or whether it runs.

It draws no random numbers, changes nothing and asks nothing that may change. Told from its code, for arguments that are numbers or
texts; what is not known for certain is not pure.
"""

from __future__ import annotations

from types import BuiltinMethodType, FunctionType, MethodType, MethodWrapperType, ModuleType
from typing import Any

import numpy as np
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload.transforms.code_world import OPERATORS, Look, Method, NotCertain, World, function_of
from fastload.transforms.known_classes import keep_originals, why_altered
from fastload.transforms.read_code import run

_MOST_WAYS = 64  # through a function with conditions
_HOLDERS = (dict, list, tuple, str)
_PLAIN = (int, float, str, bool, type(None))
_OF_NUMBERS = (int, float, str, bool, abs, min, max, round, len)
_OF_TORCH = (
    *(torch.tensor, torch.as_tensor, torch.zeros, torch.ones, torch.full, torch.eye, torch.arange),
    *(torch.nn.functional.one_hot, torch.LongTensor, torch.FloatTensor),
    *(np.array, np.asarray, np.eye, np.zeros, np.int64, np.float32, np.float64),
)
_OF_HOLDERS = ("get", "index", "__getitem__", "count")
_OF_TENSORS = {
    *("scatter_", "scatter", "float", "long", "int", "double", "half", "bool", "to", "type", "clone", "item", "astype"),
    *("view", "reshape", "unsqueeze", "squeeze", "flatten", "numpy", "fill_", "add", "sub", "mul", "div"),
}


def why_impure(function: Any, *, in_workers: bool = False) -> tuple[str, list[Look]]:
    """Why a function may do more than to compute a value of its argument, and what that rests on; empty if it does not.

    ``in_workers``: stock would call it in worker processes. They have a copy of all that it reads, of the time when they began,
    so that it may read nothing that could be something else later.
    """
    looks: list[Look] = []
    while type(function) in (v1.Lambda, v2.Lambda) and not why_altered(function):
        holder, function = function, function.lambd
        looks.append((lambda holder=holder: holder.lambd, function))  # type: ignore[misc]
    if any(function is one for one in (*_OF_NUMBERS, *_OF_TORCH)) or _is_look_up(function, in_workers=in_workers):
        return "", looks
    script: list[bool] = []
    for _ in range(_MOST_WAYS):
        world = _Computing(script, in_workers=in_workers)
        try:
            inner, args, kwargs = function_of(function, world.saw)
            given = _Unknown("plain")
            if run(inner, [*args, given], kwargs, world) is given and not world.taken:
                raise NotCertain("it computes nothing")
        except NotCertain as reason:
            return str(reason), []
        looks += world.looks
        # The next way: the last condition that was true is false now.
        script = world.taken
        while script and not script[-1]:
            script = script[:-1]
        if not script:
            return "", looks
        script = [*script[:-1], False]
    return "it has too many conditions", []


def _is_look_up(function: Any, *, in_workers: bool) -> bool:
    """Whether it is the method of a dictionary, list or text that looks something up."""
    if not isinstance(function, (BuiltinMethodType, MethodWrapperType)):
        return False
    holder = function.__self__
    return type(holder) in _HOLDERS and function.__name__ in _OF_HOLDERS and not (in_workers and not _is_fixed(holder))


def _is_fixed(value: Any) -> bool:
    """Whether nobody can change what it holds."""
    return type(value) in _PLAIN or (type(value) is tuple and all(map(_is_fixed, value)))


class _Unknown:
    """A value that is not known: a plain one, a new tensor or array, or something that somebody holds."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Computing(World):
    """Conditions turn out as ``script`` says, and then to be true.

    Attributes:
        taken: how they did.
    """

    def __init__(self, script: list[bool], *, in_workers: bool) -> None:
        super().__init__()
        self._script = script
        self._in_workers = in_workers
        self.taken: list[bool] = []

    def attribute(self, thing: Any, name: str) -> Any:
        if isinstance(thing, _Unknown):
            return Method(thing, name)
        return self.found(super().attribute(thing, name))

    def found(self, value: Any) -> Any:
        known = isinstance(value, (ModuleType, Method, torch.dtype)) or any(
            value is one for one in (*_OF_NUMBERS, *_OF_TORCH)
        )
        if self._in_workers and not known:
            raise NotCertain("it reads what may change")
        return value

    def truth(self, value: Any) -> bool:
        if not isinstance(value, _Unknown):
            return super().truth(value)
        if value.kind != "plain":
            raise NotCertain("a condition")
        number = len(self.taken)
        self.taken.append(self._script[number] if number < len(self._script) else True)
        return self.taken[-1]

    def operate(self, sign: str, left: Any, right: Any) -> Any:
        unknown = [one for one in (left, right) if isinstance(one, _Unknown)]
        if not unknown:
            if sign == "[]" and type(left) in _HOLDERS and type(right) in _PLAIN:
                self._look_into(left)
                return _Unknown("held")
            return super().operate(sign, left, right)
        if any(one.kind == "held" for one in unknown):
            raise NotCertain("an operator")
        if sign in ("[]", "in"):
            holder, key = (left, right) if sign == "[]" else (right, left)
            if not isinstance(key, _Unknown) or not (
                type(holder) in _HOLDERS or type(holder) in (np.ndarray, torch.Tensor)
            ):
                raise NotCertain("a look-up")
            self._look_into(holder)
            return _Unknown("plain" if sign == "in" else "held")
        if sign == "is":
            return _Unknown("plain")
        others = [one for one in (left, right) if not isinstance(one, _Unknown)]
        if sign not in OPERATORS or not all(type(one) in _PLAIN for one in others):
            raise NotCertain("an operator")
        return _Unknown("new" if any(one.kind == "new" for one in unknown) else "plain")

    def _look_into(self, holder: Any) -> None:
        if self._in_workers and not _is_fixed(holder):
            raise NotCertain("it reads what may change")

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any], depth: int) -> Any:
        given = [*args, *kwargs.values()]
        if isinstance(function, FunctionType | MethodType) and not any(function is one for one in _OF_TORCH):
            inner, before, named = function_of(function, self.saw)
            return run(inner, [*before, *args], {**named, **kwargs}, self, depth)
        if not all(self._is_harmless(one) for one in given):
            raise NotCertain("an argument")
        if isinstance(function, Method):
            thing = function.thing
            if isinstance(thing, _Unknown) and thing.kind == "new" and function.name in _OF_TENSORS:
                return _Unknown("new")
            if isinstance(thing, _Unknown) and thing.kind == "plain" and not function.name.startswith("_"):
                return _Unknown("plain")  # of numbers and texts all methods are pure
            if type(thing) in _HOLDERS and function.name in _OF_HOLDERS:
                self._look_into(thing)
                return _Unknown("held")
            raise NotCertain(f"{function.name}()")
        if any(function is one for one in _OF_NUMBERS):
            return _Unknown("plain")
        if any(function is one for one in _OF_TORCH):
            return _Unknown("new")
        raise NotCertain("a call")

    def _is_harmless(self, value: Any) -> bool:
        if isinstance(value, _Unknown):
            return value.kind != "held"
        if type(value) in (list, tuple):
            return all(map(self._is_harmless, value))
        return type(value) in (*_PLAIN, torch.dtype) or value is np.float32 or value is np.int64


keep_originals([v1.Lambda, v2.Lambda])
