"""fastload/_core.pyi says what the built module has: its names, each class's members, each function's parameters."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import fastload
from fastload import _core

STUB = ast.parse((Path(fastload.__file__).parent / "_core.pyi").read_text())
# What pybind11 gives to every class, and to every enum, without a signature that anyone wrote.
OF_ALL = {"__module__", "__doc__", "__weakref__", "_pybind11_conduit_v1_"}
OF_ENUMS = {"__entries", "__repr__", "__str__", "__eq__", "__ne__", "__getstate__", "__setstate__"}
OF_PICKLES = {"__getstate__", "__setstate__"}
# (name, how it is given, whether it may be left out)
Parameters = list[tuple[str, str, bool]]


def parameters(function: ast.FunctionDef) -> Parameters:
    """Of a function as it is called: without the object that it is called of."""
    given = function.args
    by_position = [*given.posonlyargs, *given.args]
    required = len(by_position) - len(given.defaults)
    named = [(argument.arg, "position", i >= required) for i, argument in enumerate(by_position)]
    named += [
        (argument.arg, "keyword", default is not None)
        for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    return [one for one in named if one[0] != "self"]


def signature(function: Any) -> Parameters:
    """From the first line of what pybind11 writes into a docstring."""
    line = function.__doc__.splitlines()[0]
    line = re.sub(r"= <[^>]*>", "= ...", line)  # an object's repr is no Python
    return parameters(ast.parse(f"def {line}: ...").body[0])


def is_property(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(mark, ast.Name) and mark.id == "property" for mark in node.decorator_list
    )


def members(node: ast.ClassDef) -> dict[str, ast.stmt]:
    """Of a class in the stub, those of its base in the stub with it."""
    found: dict[str, ast.stmt] = {}
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in CLASSES_AND_BASES:
            found |= members(CLASSES_AND_BASES[base.id])
    for member in node.body:
        if isinstance(member, ast.AnnAssign):
            found[member.target.id] = member
        elif isinstance(member, ast.FunctionDef):
            found[member.name] = member
    return found


def is_class_variable(member: ast.stmt) -> bool:
    return isinstance(member, ast.AnnAssign) and "ClassVar" in ast.unparse(member.annotation)


CLASSES_AND_BASES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
CLASSES = {name: node for name, node in CLASSES_AND_BASES.items() if not name.startswith("_")}
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}


def built_members(name: str) -> dict[str, Any]:
    kept = OF_ALL | (OF_ENUMS if "__members__" in vars(getattr(_core, name)) else OF_PICKLES)
    found = {member: value for member, value in vars(getattr(_core, name)).items() if member not in kept}
    # A class that cannot be made has object's, whose signature is nobody's.
    if type(found.get("__init__")).__name__ != "instancemethod":
        found.pop("__init__", None)
    return found


def test_the_stub_has_every_name_of_the_module_and_no_other():
    built = {name for name in vars(_core) if not name.startswith("__")}
    assert {*CLASSES, *FUNCTIONS} == built
    assert all(isinstance(getattr(_core, name), type) for name in CLASSES)
    assert not any(isinstance(getattr(_core, name), type) for name in FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_these_parameters(name):
    assert parameters(FUNCTIONS[name]) == signature(getattr(_core, name))


@pytest.mark.parametrize("name", CLASSES)
def test_classes_have_these_members(name):
    assert set(members(CLASSES[name])) == set(built_members(name))


@pytest.mark.parametrize("name", CLASSES)
def test_members_are_what_the_stub_says(name):
    for member, value in built_members(name).items():
        said = members(CLASSES[name])[member]
        if isinstance(value, property):
            settable = isinstance(said, ast.AnnAssign) and not is_class_variable(said)
            assert settable == (value.fset is not None), f"{name}.{member} can be set, or cannot"
            assert settable or is_property(said) or is_class_variable(said), f"{name}.{member} is a property"
        elif isinstance(value, getattr(_core, name)):
            assert is_class_variable(said), f"{name}.{member} is a value of the enum"
        else:
            assert isinstance(said, ast.FunctionDef) and not is_property(said), f"{name}.{member} is a method"
            bound = getattr(getattr(_core, name), member)
            assert parameters(said) == signature(bound), f"{name}.{member}"


@pytest.mark.parametrize("name", [name for name in CLASSES if "__members__" in vars(getattr(_core, name))])
def test_enums_have_these_values(name):
    said = {member for member, node in members(CLASSES[name]).items() if is_class_variable(node)} - {"__members__"}
    assert said == set(getattr(_core, name).__members__)
