"""What a function of a program does, read from its code without running it, for those who must know for certain.

Its instructions are walked through with the values that are known. What names, attributes and calls mean is said by a
:class:`World`; whatever the walk meets that is not understood ends it with :class:`NotCertain`. Of Python 3.10 to 3.14.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import sys
from types import CodeType, FunctionType
from typing import Any

from fastload.transforms.code_world import Method, NotCertain, Super, World, entries
from fastload.transforms.putting_together import Putting
from fastload.transforms.static_attributes import missing

_MOST_STEPS = 20_000
_DEEPEST = 8
_NOTHING_DONE = {
    *("RESUME", "NOP", "CACHE", "PRECALL", "COPY_FREE_VARS", "EXTENDED_ARG", "NOT_TAKEN"),
    *("MAKE_CELL", "TO_BOOL", "POP_BLOCK"),
}
_NAMED_OPERATORS = {  # of Python 3.10
    **{f"BINARY_{name}": sign for name, sign in (("ADD", "+"), ("SUBTRACT", "-"), ("MULTIPLY", "*"), ("MODULO", "%"))},
    "BINARY_FLOOR_DIVIDE": "//",
    "BINARY_TRUE_DIVIDE": "/",
    "BINARY_POWER": "**",
    "BINARY_LSHIFT": "<<",
    "BINARY_RSHIFT": ">>",
    "BINARY_AND": "&",
    "BINARY_OR": "|",
    "BINARY_XOR": "^",
    "BINARY_SUBSCR": "[]",
}
_NULL = object()
_LEAVE = object()  # what ends a ``with`` statement


def run(function: FunctionType, args: list[Any], kwargs: dict[str, Any], world: World, depth: int = 0) -> Any:
    """What the function would give for such arguments.

    Raises:
        NotCertain: that cannot be told.
    """
    code = world.saw(lambda: function.__code__)
    if depth > _DEEPEST or _catches(code):
        raise NotCertain("it is too deep, or it catches errors")
    if code.co_flags & _ODD_FLAGS:
        raise NotCertain("it is no plain function")
    if type(function.__globals__) is not dict or getattr(function, "__builtins__", None) is not vars(builtins):
        raise NotCertain("its names are looked up in another way")
    try:
        return _Walk(function, code, world, depth).result(_bound(function, code, args, kwargs, world))
    except NotCertain:
        raise
    except Exception as error:  # as the function itself would, where it came there
        raise NotCertain(f"it fails with {type(error).__name__}") from None


_ODD_FLAGS = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)


def _bound(
    function: FunctionType, code: CodeType, args: list[Any], kwargs: dict[str, Any], world: World
) -> dict[str, Any]:
    """The local variables that a call begins with."""
    positional = code.co_varnames[: code.co_argcount]
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    defaults = world.saw(lambda: function.__defaults__) or ()
    kw_defaults = entries(world.saw(lambda: function.__kwdefaults__) or {}, world.saw)
    found: dict[str, Any] = dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=True))
    found.update(kw_defaults)
    for name in {*found} - {*kwargs} - {*positional[: len(args)]}:
        world.found(found[name])
    given = dict(zip(positional, args, strict=False))
    if len(args) > len(positional) or set(kwargs) - set(names[code.co_posonlyargcount :]) or set(given) & set(kwargs):
        raise NotCertain("its arguments")
    found.update(given)
    found.update(kwargs)
    if set(names) - set(found):
        raise NotCertain("its arguments")
    return found


@functools.lru_cache(1024)
def _instructions(code: CodeType) -> tuple[dict[int, int], list[dis.Instruction]]:
    listed = list(dis.get_instructions(code))
    return {one.offset: number for number, one in enumerate(listed)}, listed


@functools.lru_cache(1024)
def _catches(code: CodeType) -> bool:
    """Whether it has handlers of errors beside those of ``with``."""
    names = [one.opname for one in _instructions(code)[1]]
    has_no_table = sys.version_info < (3, 11)  # but SETUP_FINALLY, which is not understood
    return not has_no_table and names.count("PUSH_EXC_INFO") != names.count("WITH_EXCEPT_START")


class _Walk(Putting):
    """Through the instructions of one call."""

    def __init__(self, function: FunctionType, code: CodeType, world: World, depth: int) -> None:
        super().__init__(world)
        self.function, self.code, self.depth = function, code, depth
        self.places, self.listed = _instructions(code)
        self.names: dict[str, Any] = {}
        self.keywords: tuple[str, ...] = ()

    def result(self, names: dict[str, Any]) -> Any:
        self.names = names
        at = 0
        for _ in range(_MOST_STEPS):
            one = self.listed[at]
            name = one.opname
            if name in ("RETURN_VALUE", "RETURN_CONST"):
                return self.stack.pop() if name == "RETURN_VALUE" else one.argval
            at += 1
            target = None
            if "JUMP" in name or name == "FOR_ITER":
                target = self._jump(one)
            else:
                self._step(one)
            if target is not None:
                at = self.places[target]
                if name == "FOR_ITER":  # the iterator is off the stack already
                    while self.listed[at].opname in ("END_FOR", "POP_ITER") or (
                        self.listed[at].opname == "POP_TOP" and self.listed[at - 1].opname == "END_FOR"
                    ):
                        at += 1
        raise NotCertain("it takes too long")

    def _jump(self, one: dis.Instruction) -> int | None:
        """Where to, if it does."""
        name = one.opname
        if name == "FOR_ITER":
            value = next(self.stack[-1], missing)
            if value is missing:
                self.stack.pop()
                return int(one.argval)
            self.stack.append(value)
            return None
        if name in ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "JUMP_BACKWARD_NO_INTERRUPT"):
            return int(one.argval)
        value = self.stack[-1]
        if name.endswith(("IF_NONE", "IF_NOT_NONE")):
            jumps = (self.world.operate("is", value, None)) == name.endswith("IF_NONE")
        elif name.endswith(("IF_TRUE", "IF_FALSE", "IF_TRUE_OR_POP", "IF_FALSE_OR_POP")):
            jumps = self.world.truth(value) == ("IF_TRUE" in name)
        else:
            raise NotCertain(name)
        if not (name.endswith("OR_POP") and jumps):
            self.stack.pop()
        return int(one.argval) if jumps else None

    def _step(self, one: dis.Instruction) -> None:
        name, stack = one.opname, self.stack
        if name in _NOTHING_DONE:
            return
        method = getattr(self, f"_{name.lower()}", None)
        if method is not None:
            method(one)
        elif name in ("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW"):
            stack.append(self._local(one.argval))
        elif name in ("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"):
            stack += [self._local(variable) for variable in one.argval]
        elif name == "STORE_FAST" or (name == "STORE_DEREF" and one.argval in self.code.co_cellvars):
            self.names[one.argval] = stack.pop()
        elif name in ("LOAD_CONST", "LOAD_SMALL_INT"):
            stack.append(one.argval)
        elif name == "BINARY_OP":
            self._operate(one.argrepr.removesuffix("="))
        elif name in _NAMED_OPERATORS or name.replace("INPLACE", "BINARY") in _NAMED_OPERATORS:
            self._operate(_NAMED_OPERATORS[name.replace("INPLACE", "BINARY")])
        else:
            raise NotCertain(name)

    def _local(self, name: str) -> Any:
        if name not in self.names:
            raise NotCertain(f"{name} has no value")
        return self.names[name]

    def _operate(self, sign: str) -> None:
        right, left = self.stack.pop(), self.stack.pop()
        if sign == "[]" and any(left is mine for mine in self.world.lists) and type(right) is int:
            self.stack.append(left[right])
            return
        self.stack.append(self.world.operate(sign, left, right))

    def _store_fast_load_fast(self, one: dis.Instruction) -> None:
        self.names[one.argval[0]] = self.stack.pop()
        self.stack.append(self._local(one.argval[1]))

    def _store_fast_store_fast(self, one: dis.Instruction) -> None:
        for variable in one.argval:
            self.names[variable] = self.stack.pop()

    def _load_global(self, one: dis.Instruction) -> None:
        name, space = one.argval, self.function.__globals__
        value = self.world.saw(lambda: space.get(name, missing))
        if value is missing:
            value = self.world.saw(lambda: vars(builtins).get(name, missing))
        if value is missing:
            raise NotCertain(f"there is no {name}")
        self.world.found(value)
        if sys.version_info < (3, 11) or not (one.arg or 0) & 1:
            self.stack.append(value)
        else:
            self.stack += [_NULL, value] if sys.version_info < (3, 13) else [value, _NULL]

    def _load_deref(self, one: dis.Instruction) -> None:
        if one.argval in self.code.co_cellvars:
            self.stack.append(self._local(one.argval))
            return
        cell = (self.function.__closure__ or ())[self.code.co_freevars.index(one.argval)]
        try:
            self.stack.append(self.world.found(self.world.saw(lambda: cell.cell_contents)))
        except ValueError:
            raise NotCertain(f"{one.argval} has no value") from None

    def _load_attr(self, one: dis.Instruction) -> None:
        self.stack.append(self.world.attribute(self.stack.pop(), one.argval))
        if sys.version_info >= (3, 12) and one.arg is not None and one.arg & 1:
            self.stack.append(_NULL)

    def _load_super_attr(self, one: dis.Instruction) -> None:
        _, kind, thing = self._taken(3)
        self.stack.append(self.world.attribute(Super(kind, thing), one.argval))
        if (one.arg or 0) & 1:
            self.stack.append(_NULL)

    def _load_method(self, one: dis.Instruction) -> None:
        self._load_attr(one)
        self.stack.append(_NULL)

    def _push_null(self, one: dis.Instruction) -> None:
        self.stack.append(_NULL)

    def _pop_top(self, one: dis.Instruction) -> None:
        self.stack.pop()

    def _copy(self, one: dis.Instruction) -> None:
        assert one.arg is not None
        self.stack.append(self.stack[-one.arg])

    def _dup_top(self, one: dis.Instruction) -> None:
        self.stack.append(self.stack[-1])

    def _swap(self, one: dis.Instruction) -> None:
        assert one.arg is not None
        self.stack[-1], self.stack[-one.arg] = self.stack[-one.arg], self.stack[-1]

    def _rot_two(self, one: dis.Instruction) -> None:
        self.stack[-1], self.stack[-2] = self.stack[-2], self.stack[-1]

    def _kw_names(self, one: dis.Instruction) -> None:
        self.keywords = one.argval if isinstance(one.argval, tuple) else self.code.co_consts[one.arg or 0]

    def _call(self, one: dis.Instruction) -> None:
        self._called(one.arg or 0, slots=2)

    def _call_method(self, one: dis.Instruction) -> None:
        self._called(one.arg or 0, slots=2)

    def _call_function(self, one: dis.Instruction) -> None:
        self._called(one.arg or 0, slots=1)

    def _call_kw(self, one: dis.Instruction) -> None:
        self.keywords = self.stack.pop()
        self._called(one.arg or 0, slots=2)

    def _call_function_kw(self, one: dis.Instruction) -> None:
        self.keywords = self.stack.pop()
        self._called(one.arg or 0, slots=1)

    def _call_function_ex(self, one: dis.Instruction) -> None:
        """Of ``function(*values)`` alone."""
        if self.stack.pop() is not _NULL if sys.version_info >= (3, 14) else bool((one.arg or 0) & 1):
            raise NotCertain("a call with **")
        given = self.world.unpacked(self.stack.pop())
        self.stack += given
        self._called(len(given), slots=1 if sys.version_info < (3, 11) else 2)

    def _called(self, count: int, slots: int) -> None:
        stack = self.stack
        args = stack[len(stack) - count :]
        functions = [value for value in stack[len(stack) - count - slots : len(stack) - count] if value is not _NULL]
        del stack[len(stack) - count - slots :]
        keywords, self.keywords = self.keywords, ()
        if len(functions) == 2:
            args.insert(0, functions[1])
        if isinstance(functions[0], _Entering):
            stack.append(functions[0].thing)
            return
        if functions[0] is _LEAVE:
            stack.append(None)
            return
        if functions[0] is super:
            stack.append(self._super(args))
            return
        kwargs = dict(zip(keywords, args[len(args) - len(keywords) :], strict=True)) if keywords else {}
        args = args[: len(args) - len(keywords)]
        function = functions[0]
        if isinstance(function, Method) and any(function.thing is mine for mine in self.world.lists):
            if function.name != "append" or len(args) != 1:
                raise NotCertain("a method of a list")
            function.thing.append(args[0])
            stack.append(None)
            return
        stack.append(self.world.call(function, args, kwargs, self.depth + 1))

    def _super(self, args: list[Any]) -> Super:
        if not args and "__class__" in self.code.co_freevars and self.code.co_argcount:
            cell = (self.function.__closure__ or ())[self.code.co_freevars.index("__class__")]
            args = [cell.cell_contents, self._local(self.code.co_varnames[0])]
        if len(args) != 2:
            raise NotCertain("super")
        return Super(*args)

    def _before_with(self, one: dis.Instruction) -> None:
        self.stack += [_LEAVE, self.world.enter(self.stack.pop())]

    _setup_with = _before_with  # of Python 3.10

    def _load_special(self, one: dis.Instruction) -> None:
        thing = self.stack.pop()
        name = one.argval if isinstance(one.argval, str) else one.argrepr
        if name not in ("__enter__", "__exit__"):
            raise NotCertain(name)
        self.stack += [_LEAVE if name == "__exit__" else _Entering(self.world.enter(thing)), _NULL]

    def _compare_op(self, one: dis.Instruction) -> None:
        self._operate(one.argval)

    def _unary_negative(self, one: dis.Instruction) -> None:
        self.stack.append(self.world.operate("-", 0, self.stack.pop()))

    def _unary_not(self, one: dis.Instruction) -> None:
        self.stack.append(not self.world.truth(self.stack.pop()))

    def _is_op(self, one: dis.Instruction) -> None:
        right, left = self.stack.pop(), self.stack.pop()
        self.stack.append(self.world.operate("is", left, right) != bool(one.arg))

    def _contains_op(self, one: dis.Instruction) -> None:
        right, left = self.stack.pop(), self.stack.pop()
        found = self.world.operate("in", left, right)
        self.stack.append(self.world.operate("==", found, not one.arg))

    def _get_iter(self, one: dis.Instruction) -> None:
        if type(self.stack[-1]) is not range:
            raise NotCertain("a loop")
        self.stack[-1] = iter(self.stack[-1])

    def _import_name(self, one: dis.Instruction) -> None:
        names, level = self.stack.pop(), self.stack.pop()
        if level or one.argval not in sys.modules:
            raise NotCertain("an import")
        self.stack.append(sys.modules[one.argval if names else one.argval.partition(".")[0]])

    def _import_from(self, one: dis.Instruction) -> None:
        self.stack.append(self.world.attribute(self.stack[-1], one.argval))


class _Entering:
    """What begins a ``with`` statement of Python 3.14."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing
