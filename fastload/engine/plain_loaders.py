"""Which ``loader=`` of a data set opens files as torchvision's does: torchvision's own, and Pillow behind another name.

``lambda path: Image.open(path).convert("RGB")``, with or without ``with open(path, "rb") as file``: told from its code.
"""

from __future__ import annotations

import builtins
import os
from types import FunctionType, MethodType
from typing import Any

import PIL.Image
from torchvision.datasets.folder import default_loader, pil_loader

from fastload.engine.sample_sources import load_sample
from fastload.transforms import Look, Method, NotCertain, World, function_of, reach, run

KNOWN = (default_loader, pil_loader, load_sample)
for _loader in KNOWN:
    reach(_loader)  # as it is when this is imported
_OPEN = PIL.Image.open


def opens_like(loader: Any) -> tuple[Any, list[Look]]:
    """The one of the known loaders that does the same, and what that rests on; None: it may do something else."""
    if any(loader is known for known in KNOWN):
        return loader, []
    world = _Opening()
    try:
        function, args, kwargs = function_of(loader, world.saw)
        given = run(function, [*args, _PATH], kwargs, world)
    except NotCertain:
        return None, []
    return (given.by, world.looks) if isinstance(given, _Pixels) else (None, [])


_PATH, _FILE, _IMAGE = object(), object(), object()  # a path, its file, and what Pillow opens of either


class _Pixels:
    """The RGB image, as ``by`` would have loaded it."""

    def __init__(self, by: Any) -> None:
        self.by = by


class _Opening(World):
    """Files are opened, and that is all."""

    def attribute(self, thing: Any, name: str) -> Any:
        if thing is _IMAGE:
            return Method(thing, name)
        return super().attribute(thing, name)

    def operate(self, sign: str, left: Any, right: Any) -> Any:
        if any(one is mine for one in (left, right) for mine in (_PATH, _FILE, _IMAGE)) or _Pixels in (
            type(left),
            type(right),
        ):
            raise NotCertain("what an image or its file is")
        return super().operate(sign, left, right)

    def enter(self, thing: Any) -> Any:
        if thing is _FILE or thing is _IMAGE or isinstance(thing, _Pixels):
            return thing
        return super().enter(thing)

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any], depth: int) -> Any:
        first = args[0] if args else None
        if isinstance(function, Method) and function.name == "convert" and [*args, *kwargs.items()] in _TO_RGB:
            return _Pixels(pil_loader)
        if isinstance(function, Method) and function.name == "load" and not args and not kwargs:
            return None
        if function is builtins.open and first is _PATH and [*args[1:], *kwargs.items()] in _TO_READ:
            return _FILE
        if (function is str or function is os.fspath) and len(args) == 1 and first is _PATH:
            return _PATH
        named = first is _PATH or first is _FILE
        if (function is _OPEN or function is PIL.Image.open) and len(args) == 1 and named and not kwargs:
            return _IMAGE
        if (function is pil_loader or function is default_loader) and len(args) == 1 and first is _PATH and not kwargs:
            return _Pixels(function)
        if isinstance(function, FunctionType | MethodType):
            inner, before, keywords = function_of(function, self.saw)
            return run(inner, [*before, *args], {**keywords, **kwargs}, self, depth)
        raise NotCertain("a call")


_TO_RGB = (["RGB"], [("mode", "RGB")])
_TO_READ = (["rb"], [("mode", "rb")])
