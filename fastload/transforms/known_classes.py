"""Which classes of torchvision's and timm's are known, and whether an object still does what its class came with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastload.transforms.replaced_functions import reach
from fastload.transforms.static_attributes import of_class, own_of

_kept: set[type] = set()


def keep_originals(kinds: Iterable[type]) -> None:
    """Notes what these classes of torchvision's are; to be called when they are imported."""
    for kind in kinds:
        reach(kind)
        _kept.add(kind)


def kept_originals() -> frozenset[type]:
    """All classes that :func:`keep_originals` was given."""
    return frozenset(_kept)


# What a class may define that takes no part in a call of its objects.
_BESIDE_CALLS = frozenset(
    (
        *(
            "__init__",
            "__repr__",
            "extra_repr",
            "__doc__",
            "__module__",
            "__qualname__",
            "__annotations__",
            "__annotate__",
        ),
        *("__annotate_func__", "__annotations_cache__", "__static_attributes__", "__firstlineno__", "__dict__"),
        *("__weakref__", "__parameters__", "__orig_bases__", "__type_params__"),
    )
)


def library_class(kind: type) -> type:
    """Of a subclass that adds a constructor and nothing else to a class of :func:`kept_originals`, that class; else itself."""
    known = next((base for base in kind.__mro__ if base in _kept), kind)
    if known is kind:
        return kind
    place = kind.__mro__.index(known)
    added = {name for base in kind.__mro__[:place] for name in vars(base)} - _BESIDE_CALLS
    if kind.__mro__[place:] != known.__mro__ or not all(_is_inherited(kind, known, name) for name in added):
        return kind
    return known


def _is_inherited(kind: type, known: type, name: str) -> bool:
    """Whether it is the same as in a base class: torchvision gives some of its methods to all subclasses."""
    one, other = (getattr(of_class(each, name), "__func__", of_class(each, name)) for each in (kind, known))
    return one is other


def as_of_library(transform: Any) -> Any:
    """An object of the library's class with the very attributes of one of such a subclass; any other as it is."""
    kind = library_class(type(transform))
    own = own_of(transform)
    if kind is type(transform) or own is None:
        return transform
    made: Any = object.__new__(kind)
    object.__setattr__(made, "__dict__", own)
    return made


def why_altered(transform: Any) -> str:
    """Why a transform does not do what its type does, or the type not what torchvision made it do; empty if it does."""
    own = own_of(transform) or {}
    if any(own.get(name) for name in ("_forward_hooks", "_forward_pre_hooks")):
        return "hooks hang on it"
    kind: type = type(transform)
    if kind not in _kept:
        return ""
    replaced = next((name for name in own if hasattr(kind, name)), None)
    return f"its {replaced} was replaced" if replaced else reach(kind).what_changed()
