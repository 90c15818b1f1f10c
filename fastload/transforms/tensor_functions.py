"""A function of a program that computes each value of a tensor from the value before alone: ``lambda t: t * 2 - 1``.

Told from its code: arithmetic with numbers, and conversions to another floating-point type. Any such function is a table.
"""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any

import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload.transforms.code_world import OPERATORS, Look, Method, NotCertain, World, function_of
from fastload.transforms.handed_on import function_that_runs
from fastload.transforms.read_code import run
from fastload.transforms.replaced_functions import reach

_SIGNS = {"+": "add", "-": "sub", "*": "mul", "/": "truediv"}
_METHODS = (
    *("add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_", "neg", "clamp", "clamp_", "clip", "clone", "detach"),
    *("to", "float", "half", "double", "bfloat16"),
)
_OF_TORCH = reach(
    *((torch.Tensor, name) for name in _METHODS),
    (torch.Tensor, "__neg__"),
    (torch.Tensor, "reciprocal"),  # what a number divided by a tensor is made of
    *((torch.Tensor, f"__{prefix}{name}__") for name in _SIGNS.values() for prefix in ("", "r", "i")),
)


def point_wise_looks(transform: Any) -> list[Look] | None:
    """What the knowledge rests on that it is such a function; None: it may be another."""
    world = _Arithmetic()
    try:
        if _OF_TORCH.what_changed():
            return None
        called = transform
        if type(transform) in (v1.Lambda, v2.Lambda):
            if isinstance(transform, v2.Lambda) and transform.types != (object,):
                return None
            called = world.saw(lambda: transform.lambd)
        function, args, kwargs = function_that_runs(called, world)
        if not isinstance(run(function, [*args, _Tensor()], kwargs, world), _Tensor):
            return None
    except NotCertain:
        return None
    return [*world.looks, (_OF_TORCH.holds, True)]


class _Tensor:
    """What the function is given, or another tensor of its shape."""


class _Arithmetic(World):
    """Of tensors and numbers."""

    def attribute(self, thing: Any, name: str) -> Any:
        if isinstance(thing, _Tensor):
            return Method(thing, name)
        return super().attribute(thing, name)

    def operate(self, sign: str, left: Any, right: Any) -> Any:
        if sign in _SIGNS and all(isinstance(one, _Tensor) or type(one) in (int, float) for one in (left, right)):
            if isinstance(left, _Tensor) or isinstance(right, _Tensor):
                return _Tensor()
            return OPERATORS[sign](left, right)
        if isinstance(left, _Tensor) or isinstance(right, _Tensor):
            raise NotCertain("an operator")
        return super().operate(sign, left, right)

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any], depth: int) -> Any:
        if isinstance(function, Method):
            if not isinstance(function.thing, _Tensor) or function.name not in _METHODS:
                raise NotCertain("a method")
            given = [*args, *kwargs.values()]
            if not all(map(_is_harmless, given)):
                raise NotCertain("an argument")
            if function.name == "to" and any(type(one) is int for one in given):
                raise NotCertain("a device")
            # torch's vectors and its single values round alpha times another number differently in short formats.
            if function.name.rstrip("_") in ("add", "sub") and (kwargs or len(args) != 1):
                raise NotCertain("alpha")
            return _Tensor()
        if isinstance(function, (FunctionType, MethodType)):
            inner, before, named = function_of(function, self.saw)
            return run(inner, [*before, *args], {**named, **kwargs}, self, depth)
        raise NotCertain("a call")


def _is_harmless(value: Any) -> bool:
    # To integers a value that they cannot hold becomes what the processor makes of it.
    return type(value) in (int, float) or (isinstance(value, torch.dtype) and value.is_floating_point)
