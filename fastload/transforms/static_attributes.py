"""What an object and its class hold, looked up without running anybody's code: no ``__getattr__``, no property, no metaclass."""

from __future__ import annotations

from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MethodType
from typing import Any

missing: Any = object()
_MRO, _SPACE = type.__dict__["__mro__"], type.__dict__["__dict__"]


def of_class(kind: type, name: str) -> Any:
    """What the class or one of its bases has under a name, unbound; else :data:`missing`."""
    for base in _MRO.__get__(kind):
        space = _SPACE.__get__(base)
        if name in space:
            return space[name]
    return missing


MODULE_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def has_hooks(own: dict[str, Any]) -> bool:
    """Whether a torch module with these attributes calls somebody else when it is called."""
    return any(map(own.get, MODULE_HOOKS))


def own_of(thing: Any) -> dict[str, Any] | None:
    """The object's own attributes; None: nobody can say where its class keeps them."""
    place = of_class(type(thing), "__dict__")
    if place is missing:
        return {}
    own = place.__get__(thing, type(thing)) if type(place) is GetSetDescriptorType else None
    return own if type(own) is dict else None


def is_descriptor(value: Any, *methods: str) -> bool:
    """Whether its class has one of these methods."""
    return any(of_class(type(value), name) is not missing for name in methods)


def inherits(kind: type, base: type, *names: str) -> bool:
    """Whether under these names a class has what ``base`` has."""
    return all(of_class(kind, name) is of_class(base, name) for name in names)


def named(thing: Any) -> str:
    """A function's or class's name, or that of the object's type."""
    if type(thing) is MethodType:
        thing = thing.__self__
    own: Mapping[str, Any] = own_of(thing) or {}
    name = thing.__name__ if type(thing) in (FunctionType, BuiltinFunctionType, type) else own.get("__name__")
    return name if isinstance(name, str) else type(thing).__name__
