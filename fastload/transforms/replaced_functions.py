"""Whether the functions that stock would call are still the ones that torchvision, Pillow and torch came with.

Programs replace them: ``torchvision.datasets.folder.pil_loader``, ``PIL.Image.open``, a transform's ``get_params``, ``torch.rand``.
What stock would then call is not what the engine does, so that it is not native. What a function calls is read from its code: every
global and every attribute of a module or class that it names, and so on through torchvision and Pillow. That is more than it
calls, never less, but for names made up at run time.

What was replaced after this module was imported is another object. What was replaced before is recognised by its code, which lies
in no file of the library; there a function of the same library in the place of another, under its name, cannot be told.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import itertools
import os
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator
from operator import attrgetter, is_, itemgetter
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageFile
import PIL.JpegImagePlugin
import torch
import torchvision
from torchvision import tv_tensors
from torchvision.transforms.v2.functional import _utils as kernels

from fastload import _core

_FOLLOWED = ("torchvision", "PIL")  # what their functions name is looked at in turn
_LOOKED_INTO = (*_FOLLOWED, "torch", "math", "numpy", "random")  # modules whose attributes count
# Of what an expression gives a function's code does not say the type: its attributes are looked for in all of these.
_MET = (PIL.JpegImagePlugin.JpegImageFile, torch.Tensor, torch.Generator)
# What is called without being named: by ``torch.rand(1) < p``, and by numpy that makes an array of an image.
_UNNAMED = {
    "rand": ((torch.Tensor, "__lt__"), (torch.Tensor, "__ge__"), (torch.Tensor, "__bool__")),
    **dict.fromkeys(("array", "asarray"), ((PIL.Image.Image, "__array_interface__"),)),
}
_SEEN_BY_KERNELS = (PIL.Image.Image, torch.Tensor, tv_tensors.Image)
# Of a class, beside what is its own and not every module's.
_CALLED = ("__call__", "forward", "_call_impl", "_wrapped_call_impl", "__getattr__", "__getattribute__")

Place = tuple[Any, Any]  # (module, class or dictionary, name)
Key = tuple[int, Any]
_places: dict[Key, Any] = {}  # what lay there when it was first looked at
_where: dict[Key, Place] = {}
_codes: dict[FunctionType, CodeType] = {}
_changes = 0  # of what counts as the original
_missing = object()
_code_of = attrgetter("__code__")


class Reach:
    """What some functions or classes call, in every depth: places, and functions that were found in them."""

    def __init__(self, places: dict[Key, Place], functions: Iterable[FunctionType]) -> None:
        self.places = places
        self.functions = list(dict.fromkeys(functions))
        self._codes = [_codes[function] for function in self.functions]
        self._note()

    def _note(self) -> None:
        places = self.places
        self._changes = _changes
        by_owner: dict[int, list[Any]] = defaultdict(list)
        for owner, name in places:
            by_owner[owner].append(name)
        self._looks = []
        spaces: list[Any] = []
        for key, names in by_owner.items():
            owner = places[key, names[0]][0]
            names += names[:1] * (len(names) == 1)  # of one name alone it would get no tuple
            space = vars(owner) if isinstance(owner, ModuleType) else owner
            get = itemgetter(*names) if isinstance(space, dict) else attrgetter(*names)
            self._looks.append((get, space, tuple(_places[key, name] for name in names)))
            spaces.append(space)
        self._versions = _core.Versions(spaces)
        self._held: bytes | None = None  # their versions when all was in its place

    def holds(self) -> bool:
        """Whether all places hold what they held when :func:`reach` first saw them. Some 15 microseconds, which in the middle of an
        epoch, where none of it is in the processor's caches, are a hundred: so where Python numbers the states of classes and
        dictionaries it is not done again for the same numbers."""
        if self._changes != _changes:
            self._note()
        versions = self._versions.now()
        if versions is not None and versions == self._held:
            return _opens_jpegs_as_it_did()
        try:
            for get, space, known in self._looks:
                now = get(space)
                if now != known and not all(map(_are_one, now, known)):
                    return False
        except (AttributeError, KeyError):
            return False
        self._held = versions
        return _opens_jpegs_as_it_did()

    @functools.cached_property
    def _replaced_before(self) -> str:
        foreign = (
            _named(*place) for place in self.places.values() if not _is_of_library(_places[id(place[0]), place[1]])
        )
        functions = (f"{f.__module__}.{f.__qualname__}" for f in self.functions if not _is_of_library(f))
        return next(itertools.chain(foreign, functions), "")

    def what_changed(self) -> str:
        """Why this is not what the libraries came with; empty if it is."""
        if self._replaced_before:
            return f"{self._replaced_before} was replaced"
        if not self.holds():
            for key, place in self.places.items():
                if not _are_one(_now(*place), _places[key]):
                    return f"{_named(*place)} was replaced"
            return "Pillow opens JPEGs with another plugin"
        if not all(map(is_, map(_code_of, self.functions), self._codes)):
            changed = next(function for function in self.functions if function.__code__ is not _codes[function])
            return f"the code of {changed.__module__}.{changed.__qualname__} was replaced"
        return ""


@functools.cache
def reach(*roots: Any) -> Reach:
    """What functions, the methods of classes, or what lies in places ``(class, name)`` calls.

    What is there when it is first asked for is taken for the original, so that the package asks when it is imported.
    """
    places: dict[Key, Place] = {}
    functions: dict[FunctionType, None] = {}
    kinds = [root for root in roots if isinstance(root, type)]
    todo = [root for root in roots if isinstance(root, FunctionType)]

    def found(owner: Any, name: Any) -> None:
        if (id(owner), name) not in places:
            places[id(owner), name] = owner, name
            _where[id(owner), name] = owner, name
            value = _places.setdefault((id(owner), name), _now(owner, name))
            if _home(value) in _FOLLOWED:
                todo.extend(_functions_of(value))

    for root in roots:
        if isinstance(root, tuple):
            found(*root)
    for kind in kinds:
        for name in _code_attributes(kind) | _values_of(kind):
            if name in _CALLED or name not in _code_attributes(torch.nn.Module):
                found(kind, name)
    while todo:
        function = todo.pop()
        if function not in functions:
            functions[function] = None
            _codes.setdefault(function, function.__code__)
            for place in _named_in(function):
                found(*place)
            for kind in kinds:
                for name in _names(function.__code__):
                    if name in _code_attributes(kind):
                        found(kind, name)
    return Reach(places, functions)


@functools.cache
def together(roots: frozenset[Any]) -> Reach:
    """Of all of them."""
    reaches = [reach(root) for root in roots]
    places = {key: place for one in reaches for key, place in one.places.items()}
    return Reach(places, (function for one in reaches for function in one.functions))


@functools.cache
def _code_attributes(kind: type) -> frozenset[str]:
    names = {name for owner in kind.__mro__[:-1] for name in vars(owner)}
    return frozenset(n for n in names if (n in _CALLED or not hasattr(object, n)) and _is_code(getattr(kind, n, None)))


@functools.cache
def _values_of(kind: type) -> frozenset[str]:
    """The names of what torchvision's classes hold beside code, such as the types that they transform."""
    names = {name for owner in kind.__mro__ if _home(owner) in _FOLLOWED for name in vars(owner)}
    return frozenset(n for n in names if not n.startswith("__") and not _is_code(getattr(kind, n)))


@functools.cache
def _named_in(function: FunctionType) -> list[Place]:
    """The globals that a function names, and the attributes of modules and classes."""
    named: list[Place] = []
    names = _names(function.__code__)
    module = sys.modules.get(function.__module__)
    owners: list[Any] = []
    if module is not None and vars(module) is function.__globals__:
        for name in names:
            value = vars(module).get(name)
            if _is_code(value):
                named.append((module, name))
            if _can_be_looked_into(value):
                owners.append(value)
    for owner in owners:  # which grows: a module within a module
        for name in names:
            value = _now(owner, name)
            if _is_code(value) and (isinstance(owner, type) or name in vars(owner)):
                named.append((owner, name))
                if _can_be_looked_into(value) and not any(value is other for other in owners):
                    owners.append(value)
    for kind in _MET:
        named += [(kind, name) for name in names if name in _code_attributes(kind)]
    for name in names:
        named += _UNNAMED.get(name, ())
        if name in vars(builtins) and name not in function.__globals__:
            named.append((builtins, name))
    registry = kernels._KERNEL_REGISTRY.get(function, {})
    return named + [(registry, kind) for kind in _SEEN_BY_KERNELS if kind in registry]


@functools.cache
def _names(code: CodeType) -> tuple[str, ...]:
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(dict.fromkeys(_names(constant)))
    return tuple(names)


def _functions_of(value: Any) -> Iterator[FunctionType]:
    """The Python functions that calling ``value`` runs first."""
    if isinstance(value, property):
        value = value.fget
    if isinstance(value, MethodType):
        value = value.__func__
    if isinstance(value, type):
        for name in ("__init__", "__new__"):
            yield from _functions_of(getattr(value, name))
        return
    while isinstance(value, FunctionType):
        yield value
        for cell in value.__closure__ or ():
            inner = _contents(cell)
            if isinstance(inner, FunctionType) and inner is not getattr(value, "__wrapped__", None):
                yield inner
        value = getattr(value, "__wrapped__", None)


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _is_code(value: Any) -> bool:
    if isinstance(value, (type, ModuleType)):
        return _can_be_looked_into(value)
    return callable(value) or isinstance(value, property)


def _can_be_looked_into(value: Any) -> bool:
    if isinstance(value, ModuleType):
        package, _, within = value.__name__.partition(".")
        return package in _FOLLOWED or (package in _LOOKED_INTO and not within)
    return isinstance(value, type) and _home(value) in _FOLLOWED


def _home(value: Any) -> str:
    """The package that something is of."""
    value = getattr(value, "fget", value)
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return (name if isinstance(name, str) else "").partition(".")[0]


def _now(owner: Any, name: Any) -> Any:
    owner = (
        vars(owner) if isinstance(owner, ModuleType) else owner
    )  # not what a module would make, or warn about, when asked
    return owner.get(name, _missing) if isinstance(owner, dict) else getattr(owner, name, _missing)


def _named(owner: Any, name: Any) -> str:
    if isinstance(owner, dict):
        return f"torchvision's kernel for {name.__qualname__}"
    if isinstance(owner, type):
        return f"{owner.__module__}.{owner.__qualname__}.{name}"
    return f"{owner.__name__}.{name}"


def _is_of_library(value: Any) -> bool:
    """Whether a library made this, as far as can be told."""
    value = getattr(value, "fget", value)
    value = getattr(value, "__func__", value)
    if isinstance(value, functools._lru_cache_wrapper):
        value = value.__wrapped__
    if isinstance(value, FunctionType):
        made_up = _home(value).startswith("namedtuple_")  # the methods of a named tuple are of no file
        return made_up or _is_in_library(value.__code__.co_filename) or _is_its_modules_own(value)
    kind = value if isinstance(value, type) else type(value)
    package = kind.__module__.partition(".")[0]
    return (
        isinstance(value, ModuleType)
        or package in (*_LOOKED_INTO, "builtins", "io", "numpy", "typing")
        or package[:1] == "_"
    )


_LIBRARIES = (
    *(os.path.dirname(inspect.getfile(module)) + os.sep for module in (torch, torchvision, PIL, np)),
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
)
_STANDARD_LIBRARY = sysconfig.get_path("stdlib") + os.sep  # which decorates


def _is_in_library(file: str) -> bool:
    if file.startswith(_STANDARD_LIBRARY):  # which other packages may lie within
        return file[len(_STANDARD_LIBRARY) :].partition(os.sep)[0] not in ("site-packages", "dist-packages")
    timm = getattr(sys.modules.get("timm"), "__file__", None)  # where a program has imported it
    return file.startswith((*_LIBRARIES, "<frozen", *([os.path.dirname(timm) + os.sep] if timm else [])))


def _is_its_modules_own(function: FunctionType) -> bool:
    """Packed programs have other file names: those of most functions of the module."""
    if _home(function) not in (*_FOLLOWED, "torch"):
        return False
    own = [f for f in vars(sys.modules[function.__module__]).values() if isinstance(f, FunctionType)]
    files = [f.__code__.co_filename for f in own if f.__module__ == function.__module__]
    return files.count(function.__code__.co_filename) * 2 > len(files)


def _are_one(now: Any, known: Any) -> bool:
    """Whether they are the same, or one is ours and wraps the other: whoever replaced it for a while put the other one back."""
    return now is known or now == known or _wrapped_by_us(now) is _wrapped_by_us(known)


def _wrapped_by_us(value: Any) -> Any:
    while isinstance(value, FunctionType) and hasattr(value, "__wrapped__") and _is_ours(value):
        value = value.__wrapped__
    return value


def _is_ours(function: FunctionType) -> bool:
    return str(function.__globals__.get("__name__")).partition(".")[0] == __name__.partition(".")[0]


def stands_for(was: Any, now: Any) -> None:
    """From now on ``now`` is the original in the places that ``was`` has left: one is ours, and does what the other does."""
    global _changes, _plugins_then
    for key, place in _where.items():
        if _places[key] is was and _now(*place) is not was:
            _places[key] = now
    _plugins_then = tuple(now if plugin is was else plugin for plugin in _plugins_then)
    _changes += 1


def _jpeg_plugins() -> tuple[Any, ...]:
    """What decides who opens a file that is a JPEG, and who decodes it."""
    formats = PIL.Image.ID
    before = formats[: formats.index("JPEG") + 1] if "JPEG" in formats else formats[:]
    return before, PIL.Image.OPEN.get("JPEG"), PIL.Image.DECODERS.get("jpeg")


PIL.Image.preinit()  # as the first PIL.Image.open() does
_plugins_then = _jpeg_plugins()


def _opens_jpegs_as_it_did() -> bool:
    return _jpeg_plugins() == _plugins_then
