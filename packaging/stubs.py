"""``make stubs``: writes fastload/_core.pyi anew, of the signatures that pybind11 wrote into the built module.

Names, parameters, defaults and documents are the module's, and so are types; where the file says a type more closely than the
module, whose signatures have ``object`` and ``list``, that stays. So does what stands before the first name; names of the file's
own behind it go to the end.
"""

from __future__ import annotations

import ast
import ctypes
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import stub_types

STUB = Path(__file__).resolve().parents[1] / "fastload" / "_core.pyi"

# What pybind11 gives to classes and to enums without anyone having said so.
OF_ALL = {"__module__", "__doc__", "__weakref__", "_pybind11_conduit_v1_", "__getstate__", "__setstate__"}
# Of which a base says that any index will do.
NARROWER = {"__reduce_ex__": "  # type: ignore[override]"}
_WIDTH = 112  # of documents: ruff does not break them


class Stub:
    """A file of types: how it begins, names of its own, and the types that it says, each by its way (``Engine.submit.sources``)."""

    def __init__(self, text: str, names: set[str]) -> None:
        self.aliases: dict[str, ast.expr] = {}
        self.types: dict[str, ast.expr] = {}
        tree = ast.parse(text)
        self.head, self.tail = text, ""
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in names:
                if not self.types:
                    self.head = "\n".join(text.splitlines()[: node.lineno - 1])
                self._read(node, "")
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.aliases[node.targets[0].id] = node.value
                self.tail += f"{ast.get_source_segment(text, node)}\n" if self.types else ""
        # A comment over the first name is that name's.
        self.head = re.sub(r"\n+(#[^\n]*\n*)*\Z", "\n", self.head)

    def _read(self, node: ast.stmt, way: str) -> None:
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                self._read(member, f"{node.name}.")
        elif isinstance(node, ast.AnnAssign):
            self.types[f"{way}{ast.unparse(node.target)}"] = node.annotation
        elif isinstance(node, ast.FunctionDef):
            arguments = node.args
            for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                if one.annotation is not None:
                    self.types[f"{way}{node.name}.{one.arg}"] = one.annotation
            if node.returns is not None:
                self.types[f"{way}{node.name}"] = node.returns

    def type_at(self, way: str, given: ast.expr) -> str:
        """What the file says there, where that is what the module says; else what the module says."""
        said = self.types.get(way)
        if said is not None and stub_types.agree(self._read_type(given), self._read_type(said)):
            return ast.unparse(said)
        return stub_types.written(given)

    def _read_type(self, node: ast.expr) -> stub_types.Type:
        return stub_types.read(node, self.aliases)


def signature(line: str) -> ast.FunctionDef:
    """The first line of a docstring, as Python."""
    # An enum's value has a repr that is none, a class that was bound later its name in C++.
    line = re.sub(r"<(\w+\.\w+): -?\d+>", r"\1", line)
    line = re.sub(r"= <[^>]*>", "= ...", line)
    line = re.sub(r"\b(?:\w+::)+", "", line)
    (function,) = ast.parse(f"def {line}: ...").body
    assert isinstance(function, ast.FunctionDef) and function.returns is not None
    return function


def parameters(given: ast.arguments, way: str, stub: Stub, *, is_method: bool) -> str:
    def one(argument: ast.arg, default: ast.expr | None) -> str:
        assert argument.annotation is not None
        kind = stub.type_at(f"{way}.{argument.arg}", argument.annotation)
        if default is None:
            return f"{argument.arg}: {kind}"
        if ast.unparse(default) == "None" and not {"None", "Any"} & set(kind.split(" | ")):
            kind += " | None"
        return f"{argument.arg}: {kind} = {ast.unparse(default)}"

    required: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults))
    both = list(zip(given.args, required + given.defaults, strict=True))
    said = [*(["self"] if is_method else []), *(one(*each) for each in both[is_method:])]
    if given.kwonlyargs:
        said += ["*", *map(one, given.kwonlyargs, given.kw_defaults)]
    return ", ".join(said)


def document(text: str | None, indent: str) -> list[str]:
    lines = textwrap.wrap(" ".join((text or "").split()), _WIDTH - len(indent))
    if not lines:
        return []
    if len(lines) == 1:
        return [f'{indent}"""{lines[0]}"""']
    return [f'{indent}"""{lines[0]}', *(indent + line for line in lines[1:]), f'{indent}"""']


def function(way: str, text: str, stub: Stub, *, indent: str = "", is_method: bool = False) -> list[str]:
    """Of what pybind11 writes into a docstring: the signature, and behind an empty line what was said."""
    line, _, doc = text.partition("\n")
    node = signature(line)
    assert node.returns is not None
    name = way.rpartition(".")[2]
    given = parameters(node.args, way, stub, is_method=is_method)
    said = document(doc, indent + "    ")
    head = f"{indent}def {name}({given}) -> {stub.type_at(way, node.returns)}:"
    return [f"{head}{'' if said else ' ...'}{NARROWER.get(name, '')}", *said]


def attribute(way: str, member: property, stub: Stub) -> list[str]:
    text = member.fget.__doc__ or ""
    returns = signature("get" + text[text.index("(") :].partition("\n")[0]).returns
    assert returns is not None
    name, kind = way.rpartition(".")[2], stub.type_at(way, returns)
    if member.fset is not None:
        return [f"    {name}: {kind}", *document(member.__doc__, "    ")]
    said = document(member.__doc__, "        ")
    return ["    @property", f"    def {name}(self) -> {kind}:{'' if said else ' ...'}", *said]


def members(name: str, cls: type, stub: Stub) -> Iterator[str]:
    for member_name, member in vars(cls).items():
        way = f"{name}.{member_name}"
        if member_name in OF_ALL:
            continue
        if isinstance(member, property):
            yield from attribute(way, member, stub)
        elif isinstance(member, staticmethod):
            yield "    @staticmethod"
            yield from function(way, member.__func__.__doc__ or "", stub, indent="    ")
        elif type(member).__name__ == "instancemethod":  # any other is Python's own: a constructor that nobody wrote
            yield from function(way, member.__doc__ or "", stub, indent="    ", is_method=True)


def class_(name: str, cls: type, stub: Stub) -> Iterator[str]:
    doc = (cls.__doc__ or "").partition("\n\n")[0]
    if "__members__" in vars(cls):
        yield f"class {name}(_Enum):"
        entries: dict[str, tuple[Any, str | None]] = vars(cls)["__entries"]
        yield from document("" if doc.startswith("Members:") else doc, "    ")
        yield from (f"    {one}: ClassVar[{name}]{f'  # {said}' if said else ''}" for one, (_, said) in entries.items())
        return
    yield f"class {name}{bases(cls)}:"
    yield from document(doc, "    ") + list(members(name, cls, stub)) or ["    ..."]


def bases(cls: type) -> str:
    if issubclass(cls, BaseException):
        return f"({cls.__bases__[0].__name__})"
    # Python before 3.12 does not say of a class that its objects are buffers; C does of an object, be it an empty one.
    is_buffer = ctypes.pythonapi.PyObject_CheckBuffer(ctypes.py_object(cls.__new__(cls)))
    return "(Buffer)" if is_buffer else ""


def stub(module: ModuleType, before: str) -> str:
    """The module's stub, not formatted, as it follows on the one that there was ``before``."""
    names = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    old = Stub(before, set(names))
    parts = [old.head]
    for name, value in names.items():
        lines = class_(name, value, old) if isinstance(value, type) else function(name, value.__doc__, old)
        parts.append("\n".join(lines) + "\n")
    return "\n".join([*parts, old.tail]) if old.tail else "\n".join(parts)


def formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUB), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=STUB.parent).stdout


def main() -> None:
    from fastload import _core

    STUB.write_text(formatted(stub(_core, STUB.read_text())))


if __name__ == "__main__":
    main()
