"""A function of a program as it is at this moment, whatever its program does to it later."""

from __future__ import annotations

import copy
import functools
from types import CellType, FunctionType, MethodType
from typing import Any

import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload.transforms.code_world import NotCertain, function_of


def as_it_is_now(function: Any) -> Any:
    """What a worker process that begins now would have of a function that only computes (``why_impure(in_workers=True)``)."""
    if type(function) in (v1.Lambda, v2.Lambda):
        copied = copy.copy(function)
        copied.lambd = as_it_is_now(function.lambd)
        return copied
    try:
        inner, args, kwargs = function_of(function, lambda look: look())
    except NotCertain:
        return function  # a built-in one
    return functools.partial(_copy(inner), *map(_held, args), **{name: _held(value) for name, value in kwargs.items()})


def _held(value: Any) -> Any:
    return as_it_is_now(value) if isinstance(value, FunctionType | MethodType) else value


def _copy(function: FunctionType) -> FunctionType:
    names, cells = dict(function.__globals__), tuple(map(_cell, function.__closure__ or ()))
    copied = FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells)
    copied.__kwdefaults__ = function.__kwdefaults__ and dict(function.__kwdefaults__)
    return copied


def _cell(cell: CellType) -> CellType:
    try:
        return CellType(cell.cell_contents)
    except ValueError:  # it has no value yet
        return CellType()
