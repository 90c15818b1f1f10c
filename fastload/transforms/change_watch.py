"""Whether what transforms were read from is still what it was.

Transforms may be changed in place at any time: a size for progressive or multi-scale training, a mean, a list of transforms. A
reading therefore remembers every value that it may rest on, and compares them before each use: objects by identity, what can be
changed in place (lists, dictionaries, arrays, tensors) by what it holds, all the way down.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence, Set
from operator import is_
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

from fastload import _core
from fastload.transforms import torch_modes
from fastload.transforms.code_world import Look, still_holds
from fastload.transforms.known_classes import library_class
from fastload.transforms.replaced_functions import together
from fastload.transforms.static_attributes import missing, of_class, own_of

_NEVER_CHANGED = (
    *(
        int,
        float,
        complex,
        str,
        bytes,
        type(None),
        range,
        enum.Enum,
        type,
        FunctionType,
        BuiltinFunctionType,
        ModuleType,
    ),
    *(torch.dtype, torch.device, torch.Size, torch.memory_format, torch.layout),
)


class Watch:
    """Some objects, some settings and some functions as they are now.

    Args:
        roots: objects; also what they hold.
        apart: objects that are only to stay the same ones, whatever they hold.
        kinds: classes whose methods count where an object is of one.
        looks: what the code of a program was read from, as ``read_code`` has it.
    """

    def __init__(
        self,
        roots: Iterable[Any],
        apart: Iterable[Any] = (),
        kinds: Set[type] = frozenset(),
        looks: Sequence[Look] = (),
    ) -> None:
        self._looks = looks
        self._modes = torch_modes.now()
        self._seen = {id(thing): thing for thing in apart}  # held, so that an id stays its own
        self._kinds: list[tuple[Any, type]] = []
        self._dicts: list[tuple[dict[Any, Any], list[Any], list[Any]]] = []
        self._empty: list[Any] = []
        self._lists: list[tuple[list[Any], list[Any]]] = []
        self._others: list[tuple[Any, Any]] = []
        for root in roots:
            self._add(root)
        of_library = {kind: library_class(kind) for _, kind in self._kinds}
        found = [kind for kind, base in of_library.items() if base in kinds]
        self._reach = together(frozenset(of_library[kind] for kind in found))
        # An attribute that a class gets may hide an object's, or stand in for one that is not there.
        spaces = {base: vars(base) for kind in found for base in kind.__mro__[:-1]}.values()
        self._spaces = [(space, [*space.values()]) for space in spaces]
        for _, values in self._spaces:
            for value in values:
                if isinstance(value, (list, torch.Tensor, np.ndarray)):
                    self._add(value)
        self._classes = found
        self._ordered = [
            one for one in self._dicts if type(one[0]) is not dict
        ]  # may keep an order beside what they hold
        self._as_they_are: _core.AsTheyAre | None = None

    def holds(self) -> bool:
        """Whether nothing has changed. A few microseconds for the usual transforms."""
        return (
            self._modes == torch_modes.now()
            and self.objects_hold()
            and self._reach.holds()
            and still_holds(self._looks)
        )

    def objects_hold(self) -> bool:
        """Whether the objects are as they were: at once, where nothing in them was touched since they were found to be."""
        if self._as_they_are is None or not self._as_they_are.hold():
            now = _core.AsTheyAre(
                [thing for thing, _ in self._kinds],
                self._classes,
                [mapping for mapping, _, _ in self._dicts if type(mapping) is dict],
                [sequence for sequence, _ in self._lists],
                self._empty,
            )  # before they are looked at
            if not self._hold_one_by_one():
                return False
            self._as_they_are = now
        return _are_alike(self._ordered) and all(_contents(thing) == contents for thing, contents in self._others)

    def _hold_one_by_one(self) -> bool:
        if any(self._empty):
            return False
        for thing, kind in self._kinds:
            if type(thing) is not kind:
                return False
        for space, values in self._spaces:
            if len(space) != len(values) or not all(map(is_, space.values(), values)):
                return False
        if not _are_alike(self._dicts):
            return False
        return all(len(sequence) == len(items) and all(map(is_, sequence, items)) for sequence, items in self._lists)

    def _add(self, thing: Any) -> None:
        if id(thing) in self._seen or isinstance(thing, _NEVER_CHANGED):
            return
        self._seen[id(thing)] = thing
        inner: Iterable[Any] = ()
        if isinstance(thing, (dict, set)) and not thing:
            self._empty.append(thing)
        elif isinstance(thing, dict):
            inner = list(thing.values())
            self._dicts.append((thing, [*thing], inner))
        elif isinstance(thing, list):
            inner = list(thing)
            self._lists.append((thing, inner))
        elif isinstance(thing, tuple):
            inner = thing
        elif (own := _attributes(thing)) is not None and not isinstance(thing, (torch.Tensor, Sequence)):
            self._kinds.append((thing, type(thing)))
            inner = [own]
        else:
            contents = _contents(thing)
            if contents is not None:
                self._others.append((thing, contents))
        for part in inner:
            self._add(part)


def _are_alike(dicts: list[tuple[dict[Any, Any], list[Any], list[Any]]]) -> bool:
    """Whether dictionaries hold these keys and these very values."""
    return all([*mapping] == keys and all(map(is_, mapping.values(), values)) for mapping, keys, values in dicts)


def _attributes(thing: Any) -> dict[str, Any] | None:
    return None if of_class(type(thing), "__dict__") is missing else own_of(thing)


def _contents(thing: Any) -> Any:
    """Of what is no list and no dictionary, but may be changed in place, to be compared; None if that is not known."""
    if isinstance(thing, torch.Tensor):
        if thing.is_meta:
            return None
        return (
            thing.dtype,
            thing.device,
            thing.shape,
            thing.detach().cpu().contiguous().view(-1).view(torch.uint8).tolist(),
        )
    if isinstance(thing, np.ndarray):
        return thing.dtype, thing.shape, thing.tobytes()
    if isinstance(thing, Mapping):
        return [*thing.items()]
    if isinstance(thing, Set):
        return frozenset(thing)
    if isinstance(thing, Sequence):
        return [*thing]
    return None
