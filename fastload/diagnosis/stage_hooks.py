"""Which calls are stages: transforms by name, decoding, pools that are made inside an item. Only while a batch is being made.

Nothing of torchvision or Pillow stays replaced between two batches of a process that may also have native loaders: these look
whether the functions that stock would call are still the ones that the libraries came with.
"""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing.pool
import operator
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from fastload.diagnosis.fetch_stages import DECODE, POOL, TRANSFORM
from fastload.diagnosis.patches import Patches
from fastload.diagnosis.stage_clock import running, timed

# Functions that read and decode a picture, by the module that has them.
_DECODERS = {
    "torchvision.io": ("decode_image", "decode_jpeg", "decode_png", "decode_webp", "read_image"),
    "cv2": ("imread", "imdecode"),
    "skimage.io": ("imread",),
    "imageio": ("imread",),
    "simplejpeg": ("decode_jpeg",),
    "turbojpeg": (),
    "torchcodec.decoders": ("decode_image", "decode_jpeg"),
}

_COMPOSES = 16  # known at a time: a data set may make a new one for each item


def name_of(thing: Any) -> str:
    """What a person would call a function, a method or an object that is called; a Lambda or RandomApply with what is in it."""
    own = getattr(thing, "__dict__", {})
    inside = [own["lambd"]] if callable(own.get("lambd")) else own.get("transforms")
    if isinstance(inside, list) and not isinstance(thing, type):
        return f"{type(thing).__qualname__}({', '.join(map(name_of, inside))})"
    while hasattr(thing, "func") and not hasattr(thing, "__qualname__"):  # functools.partial
        thing = thing.func
    name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
    return str(name).replace("<locals>.", "")


class StageHooks:
    """Of one process.

    Args:
        dataset: whose transforms are looked for.
        native: the samples are made natively: the libraries' own functions stay what they are.
    """

    def __init__(self, dataset: Any, *, native: bool) -> None:
        self._patches = Patches()
        if native:
            self._native_tails()
        else:
            self._composes()
            self._decoders(dataset)
            self._own_transforms(dataset)
        self._pools()
        self._patches.undo()

    def leave_in_place(self) -> None:
        """To the end of the process."""
        self._patches.again()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While this lasts."""
        self._patches.again()
        try:
            yield
        finally:
            self._patches.undo()

    def _composes(self) -> None:
        for module, kind, method in (
            ("torchvision.transforms.transforms", "Compose", "__call__"),
            ("torchvision.transforms.v2._container", "Compose", "forward"),
        ):
            owner = getattr(sys.modules.get(module), kind, None)
            if owner is not None:
                self._patches.wrap(owner, method, _step_by_step)

    def _native_tails(self) -> None:
        from fastload.transforms import Reading

        def make(steps_after: Callable[..., Any]) -> Callable[..., Any]:
            def steps(self: Any, transform: Any) -> Iterator[Any]:
                for step in steps_after(self, transform):
                    yield timed(TRANSFORM + name_of(step), step)

            return steps

        self._patches.wrap(Reading, "steps_after", make)

    def _decoders(self, dataset: Any) -> None:
        known: dict[int, str] = {}
        for module, names in _DECODERS.items():
            for name in names:
                function = getattr(sys.modules.get(module), name, None)
                if function is not None:
                    known[id(function)] = name
                    self._patches.wrap(sys.modules[module], name, lambda f: timed(DECODE, f))
        if "PIL.Image" in sys.modules:
            import PIL.Image
            import PIL.ImageFile

            known[id(PIL.Image.open)] = "open"
            self._patches.wrap(PIL.Image, "open", lambda f: timed(DECODE, f))
            self._patches.wrap(PIL.ImageFile.ImageFile, "load", lambda f: _method(DECODE, f))
        for layer in layers(dataset):  # names that its module imported
            its_module = sys.modules.get(type(layer).__module__)
            for name, value in list(vars(its_module).items()) if its_module is not None else ():
                if id(value) in known and callable(value):
                    self._patches.wrap(its_module, name, lambda f: timed(DECODE, f))

    def _own_transforms(self, dataset: Any) -> None:
        """A transform that stands alone, not in a Compose."""
        for layer in layers(dataset):
            for attribute in ("transform", "transforms", "target_transform", "augment", "augmentation"):
                value = getattr(layer, "__dict__", {}).get(attribute)
                kind = type(value)
                if not callable(value) or kind.__module__.startswith(("torchvision.", "fastload.")):
                    continue
                name = TRANSFORM + name_of(value)
                if "__call__" in vars(kind) and kind.__flags__ & 1 << 9:  # a class of Python's
                    self._patches.wrap(kind, "__call__", functools.partial(_method, name))
                elif hasattr(value, "__code__"):
                    self._patches.wrap(layer, attribute, functools.partial(timed, name))

    def _pools(self) -> None:
        for owner, names in (
            (multiprocessing.pool.Pool, ("__init__", "map", "starmap", "apply", "terminate", "close", "join")),
            (concurrent.futures.ThreadPoolExecutor, ("map", "submit", "shutdown")),
            (concurrent.futures.ProcessPoolExecutor, ("map", "submit", "shutdown")),
            (concurrent.futures.Future, ("result",)),
            (threading.Thread, ("start", "join")),
            (multiprocessing.process.BaseProcess, ("start",)),
        ):
            for name in names:
                self._patches.wrap(owner, name, lambda f: _method(POOL, f))


def layers(dataset: Any) -> list[Any]:
    """A data set and those that it is made of: Subset, ConcatDataset, wrappers with a ``dataset``."""
    found: list[Any] = []
    look = [dataset]
    while look and len(found) < 16:
        layer = look.pop(0)
        found.append(layer)
        own = getattr(layer, "__dict__", {})
        look += [own["dataset"]] if "dataset" in own else []
        look += list(own["datasets"])[:4] if isinstance(own.get("datasets"), (list, tuple)) else []
    return found


def _method(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    call = timed(name, function)
    return lambda *args, **kwargs: call(*args, **kwargs)


def _step_by_step(original: Callable[..., Any]) -> Callable[..., Any]:
    """A Compose's own loop, over transforms whose calls are stages."""
    known: dict[int, tuple[Any, list[Any], SimpleNamespace]] = {}  # Compose, its steps, and these as stages

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if running() is None:
            return original(self, *args, **kwargs)
        found = known.get(id(self))
        if found is None or not _are_the_same([found[0], *found[1]], [self, *self.transforms]):
            if len(known) >= _COMPOSES:
                known.clear()
            steps = [timed(TRANSFORM + name_of(step), step) for step in self.transforms]
            found = known[id(self)] = self, list(self.transforms), SimpleNamespace(transforms=steps)
        return original(found[2], *args, **kwargs)

    return call


def _are_the_same(these: list[Any], those: list[Any]) -> bool:
    return len(these) == len(those) and all(map(operator.is_, these, those))
