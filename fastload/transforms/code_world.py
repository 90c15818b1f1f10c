"""What the values in a program's code mean to who reads it: names, attributes, calls, operators, conditions."""

from __future__ import annotations

import functools
import operator
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch

from fastload.transforms.static_attributes import is_descriptor, missing, of_class, own_of

Look = tuple[Callable[[], Any], Any]  # into what a reading rests on, and what was seen
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "[]": operator.getitem,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class NotCertain(Exception):
    """What the code does cannot be told from it."""


class World:
    """What values mean to who reads the code; and what the reading rests on.

    Attributes:
        looks: functions without arguments, and what each gave.
        lists: that the code has made.
    """

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.lists: list[list[Any]] = []

    def saw(self, look: Callable[[], Any]) -> Any:
        """What it gives; the reading rests on that."""
        value = look()
        self.looks.append((look, value))
        return value

    def found(self, value: Any) -> Any:
        """The value of a global name, or of a variable of a function around, where anybody may put another."""
        return value

    def attribute(self, thing: Any, name: str) -> Any:
        """Of a value."""
        if isinstance(thing, Super):
            return thing.method(name, self.saw)
        return attribute_of(thing, name, self.saw)

    def enter(self, thing: Any) -> Any:
        """What a ``with`` statement names."""
        raise NotCertain("with")

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any], depth: int) -> Any:
        """What a call gives."""
        raise NotCertain("a call")

    def unpacked(self, value: Any) -> list[Any]:
        """What a value holds, where the code takes it apart: ``one, other = value``, ``function(*value)``."""
        raise NotCertain("a value that is taken apart")

    def operate(self, sign: str, left: Any, right: Any) -> Any:
        """What an operator gives. Of integers and texts alone, but for "is"."""
        if any(isinstance(one, Method) or one is TEXT for one in (left, right)):
            raise NotCertain("a value that is not known")
        if sign == "is":
            return left is right
        if sign == "in" and type(left) is str and type(right) is tuple and all(type(one) is str for one in right):
            return left in right
        if sign in OPERATORS and type(left) in (int, bool, str) and type(right) in (int, bool, str):
            return OPERATORS[sign](left, right)
        raise NotCertain("an operator")

    def truth(self, value: Any) -> bool:
        """Of a condition."""
        if type(value) in (bool, int, str, type(None)):
            return bool(value)
        raise NotCertain("a condition")


def still_holds(looks: Sequence[Look]) -> bool:
    """Whether all that a reading rests on is as it was."""
    try:
        return all(look() is value for look, value in looks)
    except Exception:
        return False


class Method:
    """A method of a built-in type's object, or of a value that is not known."""

    def __init__(self, thing: Any, name: str) -> None:
        self.thing, self.name = thing, name


TEXT = object()  # some text


def function_of(thing: Any, saw: Callable[[Callable[[], Any]], Any]) -> tuple[FunctionType, list[Any], dict[str, Any]]:
    """The function that calling ``thing`` runs, and what it is given before all else.

    Raises:
        NotCertain: none is known.
    """
    if type(thing) is functools.partial:
        function, args, kwargs = function_of(saw(lambda: thing.func), saw)
        return function, [*args, *saw(lambda: thing.args)], {**kwargs, **entries(saw(lambda: thing.keywords), saw)}
    if type(thing) is FunctionType:
        return thing, [], {}
    if type(thing) is MethodType:
        function, args, kwargs = function_of(thing.__func__, saw)
        return function, [*args, thing.__self__], kwargs
    kind = saw(lambda: type(thing))
    called = saw(lambda: of_class(kind, "__call__"))
    if type(called) is FunctionType:
        return called, [thing], {}
    raise NotCertain("it has no __call__ in Python")


def entries(mapping: dict[str, Any], saw: Callable[[Callable[[], Any]], Any]) -> dict[str, Any]:
    """What a dictionary that anybody may change holds."""
    if type(mapping) is not dict:
        raise NotCertain("no plain dictionary")
    saw(lambda: len(mapping))
    return {name: saw(functools.partial(mapping.get, name, missing)) for name in [*mapping]}


class Super:
    """What ``super()`` gives in a method of ``kind``."""

    def __init__(self, kind: Any, thing: Any) -> None:
        self.kind, self.thing = kind, thing

    def method(self, name: str, saw: Callable[[Callable[[], Any]], Any]) -> MethodType:
        """A method of a base class.

        Raises:
            NotCertain: there is none in Python.
        """
        order = type(self.thing).__mro__
        if self.kind not in order:
            raise NotCertain("super")
        for base in order[order.index(self.kind) + 1 :]:
            found = saw(lambda base=base: vars(base).get(name, missing))  # type: ignore[misc]
            if type(found) is FunctionType:
                return MethodType(found, self.thing)
            if found is not missing:
                break
        raise NotCertain(f"no {name} of a base class")


def attribute_of(thing: Any, name: str, saw: Callable[[Callable[[], Any]], Any]) -> Any:
    """An attribute as Python would find it, where that runs no code of anybody's; methods are bound.

    Raises:
        NotCertain: code would run, or there is none.
    """
    kind = type(thing)
    if kind is ModuleType:
        value = saw(lambda: vars(thing).get(name, missing))
        if value is missing:
            raise NotCertain(f"the module has no {name}")
        return value
    if kind in (list, dict, tuple, str):
        return Method(thing, name)
    if kind is FunctionType and of_class(FunctionType, name) is missing:
        value = saw(lambda: vars(thing).get(name, missing))
        if value is not missing:
            return value
    plain = saw(lambda: of_class(kind, "__getattribute__")) is of_class(object, "__getattribute__")
    if not plain or issubclass(kind, FunctionType | type):
        raise NotCertain("an attribute")
    of_kind = saw(lambda: of_class(kind, name))
    if is_descriptor(of_kind, "__set__", "__delete__"):
        raise NotCertain("a property")
    own = own_of(thing)
    if own is None:
        raise NotCertain("its attributes")
    saw(lambda: own_of(thing))
    value = saw(lambda: own.get(name, missing))
    if value is not missing:
        return value
    if type(of_kind) is FunctionType:
        return MethodType(of_kind, thing)
    if of_kind is not missing and not is_descriptor(of_kind, "__get__"):
        return of_kind
    held: Any = own.get("_modules")  # where torch's modules have theirs, in order up to torch 2.4
    if of_kind is missing and type(held) in (dict, OrderedDict) and name in held:
        if of_class(kind, "__getattr__") is not of_class(torch.nn.Module, "__getattr__"):
            raise NotCertain("an attribute")
        modules: dict[str, Any] = held
        return saw(lambda: modules.get(name, missing))
    raise NotCertain(f"no {name}")
