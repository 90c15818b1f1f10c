"""Lazy images: Pillow's own ``Image`` without a core, on a class that has learnt to make it when it is asked for.

Why no subclass: code in wide use asks ``type(image) is PIL.Image.Image`` (assertions, tables by class), which no subclass can pass
and no hook can answer. So a lazy image *is* a ``PIL.Image.Image``, or the ``JpegImageFile`` that Pillow opened, whose ``__dict__``
holds a plan in the place of the core. Two things are added to Pillow's class:

* an attribute of the core's name. It has only ``__get__``, so that an image that has its core never comes here; of a lazy image it
  makes the core, and from then on that image is like any other. All of Pillow that is not named below therefore works as it is.
* the methods that can be noted (``convert``, ``crop``, ``resize``, ``transpose``, ``copy``), a file's ``load``, which everybody
  calls first and few for its result, ``__array_interface__``, which needs no core, and ``close``. Each asks for a plan and, where
  there is none, does what it always did: one look into a dictionary.

They are there from the first lazy image on. :func:`take_away` takes them away as soon as there is no lazy image any more.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import PIL
import PIL.Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from fastload.images.first_use import begin, has_begun, read_at_once
from fastload.images.plan import Plan, Source, plan_of_nothing

_MAJORS = range(10, 14)  # of Pillow, that are known inside
_PLAN = "_fastload_plan"
_CORE = "_im" if isinstance(getattr(PIL.Image.Image, "im", None), property) else "im"

_KINDS = frozenset((PIL.Image.Image, JpegImageFile))  # another class's own load() wants to be called
_RGB = sys.intern("RGB")
_lock = threading.RLock()
_forks = 0  # that led here
# Class, name, what it had of its own (None: nothing), what it gave, what it has now.
_taught: list[tuple[type, str, Any, Any, Any]] = []
_sources: weakref.WeakSet[Source] = weakref.WeakSet()  # of all lazy images
_wanted = False
_handed_out: weakref.WeakValueDictionary[int, _Pixels] = weakref.WeakValueDictionary()  # by its image, which it holds


class _Unused:
    """In the place of the plan of a file that was opened and not used so far."""

    __slots__ = ("_forks", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._forks = _forks

    def first_use(self) -> Any:
        """A lock that one thread at a time has of this image."""
        if self._forks != _forks:
            with _lock:
                if self._forks != _forks:  # whoever holds it is not here
                    self._lock, self._forks = threading.RLock(), _forks
        return self._lock


@functools.cache
def why_pillow_is_unknown() -> str:
    """Why there are no lazy images with the installed Pillow; empty if there are."""
    version = PIL.__version__
    if int(version.partition(".")[0]) not in _MAJORS or ".post" in version:
        return f"Pillow {version} is not known: images are lazy with Pillow {_MAJORS[0]} to {_MAJORS[-1]}"
    return ""


def make_lazy(image: JpegImageFile) -> None:
    """From its first use on, if it is a plain JPEG, it is a lazy image."""
    _teach()
    vars(image)[_PLAN] = _Unused()


def is_noticed(image: Any) -> bool:
    """Whether it is a lazy image, or one that will be judged at its first use."""
    return isinstance(image, PIL.Image.Image) and _PLAN in vars(image)


def plan_of(image: PIL.Image.Image) -> Plan | None:
    """The plan of a lazy image; None: it is none, or is no more. A file has its first use here."""
    space = vars(image)
    plan = space.get(_PLAN)
    if plan is None:
        return None
    if type(plan) is _Unused:
        return _begin(image, plan)
    if _CORE in space:
        names = list(space)
        if names.index(_PLAN) < names.index(_CORE):
            space.pop(_PLAN, None)  # somebody has given it other pixels
            return None
        del space[_CORE]  # somebody has given it all that a lazy image has
    if type(image) not in _KINDS or "load" in space:
        return None
    return plan if space["_size"] == plan.size and space["_mode"] == plan.mode else None


def is_lazy(image: Any) -> bool:
    """Whether an image of Pillow's has no pixels so far, and needs none to be changed in the ways that can be noted."""
    return is_noticed(image) and plan_of(image) is not None


_BLANK = {name: value for name, value in vars(PIL.Image.Image()).items() if name != _CORE}


def image_of(plan: Plan, info: dict[Any, Any]) -> PIL.Image.Image:
    """A new lazy image."""
    image = PIL.Image.Image.__new__(PIL.Image.Image)
    image.__dict__.update(_BLANK, _size=plan.size, _mode=plan.mode, info=info, _fastload_plan=plan)
    return image


def give_back_descriptor(image: Any) -> None:
    """Of a file that was opened by its path and not used so far: from here on its bytes are in memory, if they are not many."""
    unused = vars(image).get(_PLAN)
    if type(unused) is _Unused:
        with unused.first_use():
            if vars(image).get(_PLAN) is unused:
                read_at_once(image)


def _begin(image: Any, unused: _Unused) -> Plan | None:
    space = vars(image)
    with unused.first_use():
        if space.get(_PLAN) is not unused:  # another thread came first
            return plan_of(image)
        is_ours = space.get(_CORE) is None and type(image) is JpegImageFile and "load" not in space
        plan = begin(image) if is_ours else None
        if plan is None:
            space.pop(_PLAN, None)
            return None
        with _lock:
            _teach()
            _sources.add(plan.source)
        space.pop(_CORE, None)
        has_begun(image, **{_PLAN: plan})
        return plan


class _Core:
    """The core of an image that has none."""

    def __get__(self, image: Any, kind: type) -> Any:
        space: dict[str, Any] = {} if image is None else vars(image)
        if type(space.get(_PLAN)) is _Unused:
            plan_of(image)  # another thread has its first use and is about to put the plan there
        plan = space.get(_PLAN)
        if type(plan) is Plan:
            core = space.setdefault(_CORE, plan.core())  # of two threads that make one both get the first
            pixels = _handed_out.get(id(image))
            if pixels is not None:
                pixels.are_of(plan, core)
            space.pop(_PLAN, None)
            return core
        if _CORE in space:
            return space[_CORE]  # another thread has made it since it was looked for
        owner = f"type object {kind.__name__!r}" if image is None else f"{kind.__name__!r} object"
        raise AttributeError(f"{owner} has no attribute {_CORE!r}")


class _Pixels:
    """What ``load`` gives of an image that has no core yet: what Pillow gives, asked for when it is used. It is of that core, as
    Pillow's is: also once the image was closed, or was given another one."""

    def __init__(self, image: PIL.Image.Image, plan: Plan) -> None:
        self._image = image
        self._plan = plan
        self._core: Any = None
        self._readonly: Any = 0

    def are_of(self, plan: Plan, core: Any) -> None:
        """The image has its core, by that plan."""
        if plan is self._plan:
            self._core = core

    def _access(self) -> Any:
        if self._core is None:
            with _lock:
                if self._core is None and vars(self._image).get(_PLAN) is self._plan:
                    _ = self._image.im  # which tells are_of()
                    self._readonly = self._image.readonly
                if self._core is None:
                    self._core = self._plan.core()
        return self._core.pixel_access(self._readonly)

    def __getitem__(self, at: Any) -> Any:
        return self._access()[at]

    def __setitem__(self, at: Any, colour: Any) -> None:
        self._access()[at] = colour


def _pixels_of(image: PIL.Image.Image, plan: Plan) -> _Pixels:
    """The same again for as long as somebody has it, so that the image's core finds it."""
    with _lock:
        pixels = _handed_out.get(id(image))
        if pixels is None or pixels._plan is not plan:
            pixels = _handed_out[id(image)] = _Pixels(image, plan)
    return pixels


def _noted(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    note = getattr(Plan, name)

    @functools.wraps(plain)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _PLAN in self.__dict__:
            made = _after(self, note, args, kwargs)
            if made is not None:
                return image_of(made, _info_of(self))
        return plain(self, *args, **kwargs)

    return method


if hasattr(PIL.Image.Image, "_copy_info"):

    def _info_of(image: Any) -> dict[Any, Any]:
        copied: dict[Any, Any] = image._copy_info()
        return copied

else:

    def _info_of(image: Any) -> dict[Any, Any]:
        return {**image.info}


def _after(image: Any, note: Callable[..., Plan | None], args: Any, kwargs: Any) -> Plan | None:
    """The plan of the image that a method makes; None: Pillow shall, or says what is wrong."""
    if note is not Plan.convert or kwargs or len(args) != 1 or args[0] is not _RGB:  # which is always noted
        try:
            if (
                type(vars(image).get(_PLAN)) is _Unused
                and note(plan_of_nothing(image.size, image.mode), *args, **kwargs) is None
            ):
                return None  # Pillow may refuse it before it loads: so far the file was not used
        except Exception:
            return None
    plan = plan_of(image)
    if plan is None or "transparency" in image.info:
        return None
    try:
        return note(plan, *args, **kwargs)
    except Exception:
        return None


def _load(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def load(self: Any) -> Any:
        plan = plan_of(self) if _PLAN in self.__dict__ else None
        return plain(self) if plan is None else _pixels_of(self, plan)

    return load


def _load_of_others(plain: Callable[..., Any]) -> Callable[..., Any]:
    """An image of a program's own class may have been given all that a lazy one has, beside a core of its own."""

    @functools.wraps(plain)
    def load(self: Any) -> Any:
        if _PLAN in self.__dict__:
            plan_of(self)
        return plain(self)

    return load


def _close(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def close(self: Any) -> None:
        plan = self.__dict__.get(_PLAN)
        if plan is not None:
            with plan.first_use() if type(plan) is _Unused else _lock:
                vars(self).setdefault(_CORE, None)
                vars(self).pop(_PLAN, None)
        plain(self)

    return close


def _array_interface(plain: property) -> property:
    def __array_interface__(self: Any) -> dict[str, Any]:
        plan = plan_of(self) if _PLAN in self.__dict__ else None
        if plan is None:
            return plain.fget(self)  # type: ignore[misc, no-any-return]
        width, height = plan.size
        shape = (height, width, 3) if plan.mode == "RGB" else (height, width)
        return {"version": 3, "shape": shape, "typestr": "|u1", "data": plan.packed()}

    return property(__array_interface__, plain.fset, plain.fdel, plain.__doc__)


def _teach() -> None:
    """Pillow's classes, if they do not know it."""
    if _taught:
        return
    with _lock:
        if _taught:
            return
        base = PIL.Image.Image
        for name in ("copy", "convert", "crop", "resize", "transpose", "filter", "point"):
            if _is_pillows(vars(base)[name]):  # what somebody has put there wants to be called
                _put(base, name, _noted(name, vars(base)[name]))
        if _is_pillows(vars(base)["load"]):
            _put(base, "load", _load_of_others(vars(base)["load"]))
        _put(base, "close", _close(vars(base)["close"]))
        _put(base, "__array_interface__", _array_interface(vars(base)["__array_interface__"]))
        _put(JpegImageFile, "load", _load(ImageFile.load))
        _put(base, _CORE, _Core())


def _is_pillows(method: Any) -> bool:
    code = getattr(method, "__code__", None)
    return code is not None and code.co_filename == PIL.Image.new.__code__.co_filename


def _put(kind: type, name: str, ours: Any) -> None:
    there = vars(kind).get(name)
    was = getattr(kind, name, None)
    setattr(kind, name, ours)
    _taught.append((kind, name, there, was, ours))
    tell(was, ours)


def tell(was: Any, now: Any) -> None:
    """Whoever looks whether Pillow is the one that it was, if there is one in this process: ours stands for Pillow's."""
    stands_for = getattr(sys.modules.get("fastload.transforms"), "stands_for", None)
    if stands_for is not None and was is not None:
        stands_for(was, now)


def want(wanted: bool) -> None:
    """Whether Pillow's classes shall go on knowing lazy images while there are none; they learn it from the first. (Of tiny images
    of other formats the attribute alone would take a twentieth of the time.)"""
    global _wanted
    with _lock:
        _wanted = wanted
    if not wanted:
        take_away()


def take_away() -> None:
    """Pillow's classes are as they were: now, or when the last lazy image is gone. What others have put over ours stays."""
    with _lock:
        if _wanted or not _taught:
            return
        left = list(_sources)
        if left:
            for source in left:
                weakref.finalize(source, take_away).atexit = False
            return
        while _taught:
            kind, name, there, was, ours = _taught.pop()
            if vars(kind).get(name) is ours:
                if there is None:
                    delattr(kind, name)
                else:
                    setattr(kind, name, there)
            tell(ours, was)


def _in_a_forked_child() -> None:
    global _lock, _forks
    _lock = threading.RLock()  # whoever held it is not here
    _forks += 1


os.register_at_fork(after_in_child=_in_a_forked_child)
