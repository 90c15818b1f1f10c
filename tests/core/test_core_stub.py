"""fastload/_core.pyi says what the built module has: its names, each class's members, each function's parameters, and all types.

Of types the module says less than the stub, where it says but ``object`` or ``tuple``: that far they agree.
"""

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
NAMESPACES = r"\b(?:\w+::)+"
# (name, how it is given, whether it may be left out)
Parameters = list[tuple[str, str, bool]]


def parameters(function: ast.FunctionDef) -> Parameters:
    """Of a function as it is called: without the object that it is called of."""
    given = function.args
    by_position = [*given.posonlyargs, *given.args]
    required = len(by_position) - len(given.defaults)
    named = [
        (argument.arg, "position" if argument in given.args else "position only", i >= required)
        for i, argument in enumerate(by_position)
    ]
    named += [(extra.arg, "all others", True) for extra in (given.vararg, given.kwarg) if extra is not None]
    named += [
        (argument.arg, "keyword", default is not None)
        for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    return [one for one in named if one[0] != "self"]


def built(function: Any) -> ast.FunctionDef:
    """From the first line of what pybind11 writes into a docstring."""
    assert "Overloaded function" not in function.__doc__
    line = function.__doc__.splitlines()[0]
    line = re.sub(r"= <[^>]*>", "= ...", line)  # an object's repr is no Python,
    line = re.sub(NAMESPACES, "", line)  # nor is the name of a class that was bound later
    return ast.parse(f"def {line}: ...").body[0]


def signature(function: Any) -> Parameters:
    return parameters(built(function))


# A type: what may be there, each as its name and the types in its brackets.
Type = list[tuple[str, list[Any]]]
ALIASES = {
    node.targets[0].id: node.value
    for node in STUB.body
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
}
# Of which the module does not say more.
VAGUE = {"object", "dict", "list", "tuple", "Callable", "ndarray", "ArrayLike", "Buffer"}
SEQUENCES = {"Sequence", "list", "tuple"}
NUMBERS = {"SupportsInt": "int", "SupportsFloat": "float"}


def type_of(node: ast.expr) -> Type:
    if isinstance(node, ast.BinOp):
        return type_of(node.left) + type_of(node.right)
    if isinstance(node, ast.Constant):
        return [("None", [])]
    inside = node.slice if isinstance(node, ast.Subscript) else ast.Tuple([])
    parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    name = ast.unparse(node.value if isinstance(node, ast.Subscript) else node).rpartition(".")[2]
    if name == "Annotated":
        return type_of(parts[0])
    if name in ALIASES:
        return type_of(ALIASES[name])
    if name == "SupportsIndex":  # beside SupportsInt or SupportsFloat
        return []
    return [
        (NUMBERS.get(name, name), [type_of(part) for part in parts if not isinstance(part, ast.List | ast.Constant)])
    ]


def agree(given: Type, said: Type) -> bool:
    """Whether the module's type and the stub's can be the same. That a class may be None, the module does not always say."""
    if any(name in VAGUE and not inside for name, inside in given):
        return True
    said_beside = [one for one in said if one[0] != "None"] if ("None", []) not in given else said
    return all(any(agree_as(one, other) for one in given) for other in said_beside) and all(
        any(agree_as(one, other) for other in said) for one in given
    )


def agree_as(given: tuple[str, list[Any]], said: tuple[str, list[Any]]) -> bool:
    if said[0] == "Any" or (given[0] == "str" and said[0] == "bytes"):  # a string of C++ is made of either
        return True
    inside, said_inside = given[1], said[1]
    if given[0] == said[0] == "PathLike":  # of str or of bytes
        return True
    if given[0] != said[0]:
        if not {given[0], said[0]} <= SEQUENCES:
            return False
        if given[0] != "tuple":
            inside = inside * len(said_inside)
        elif said[0] != "tuple":
            said_inside = said_inside * len(inside)
    return len(inside) == len(said_inside) and all(map(agree, inside, said_inside))


def types(function: ast.FunctionDef) -> dict[str, Type]:
    """By parameter, and of what is returned."""
    given = function.args
    named = {
        one.arg: type_of(one.annotation)
        for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)
        if one.annotation
    }
    return {**named, "return": type_of(function.returns)}


def disagreements(said: ast.FunctionDef, function: Any) -> list[str]:
    given = types(built(function))
    return [f"{name}: {given[name]} is not {one}" for name, one in types(said).items() if not agree(given[name], one)]


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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_these_types(name):
    assert disagreements(FUNCTIONS[name], getattr(_core, name)) == []


@pytest.mark.parametrize("name", CLASSES)
def test_members_have_these_types(name):
    for member, value in built_members(name).items():
        said = members(CLASSES[name])[member]
        if isinstance(value, property):
            if is_class_variable(said):
                continue
            given = built_property(value)
            wanted = said.returns if isinstance(said, ast.FunctionDef) else said.annotation
            assert agree(given, type_of(wanted)), f"{name}.{member}: {given} is not {ast.unparse(wanted)}"
        elif isinstance(said, ast.FunctionDef):
            assert disagreements(said, getattr(getattr(_core, name), member)) == [], f"{name}.{member}"


def built_property(value: property) -> Type:
    """What its getter gives, which may have no name."""
    returns = value.fget.__doc__.splitlines()[0].rpartition(" -> ")[2]
    return type_of(ast.parse(re.sub(NAMESPACES, "", returns), mode="eval").body)


@pytest.mark.parametrize(
    ("given", "said", "is_same"),
    [
        ("typing.SupportsInt | typing.SupportsIndex", "int", True),
        ("typing.SupportsFloat | typing.SupportsIndex", "int", False),
        ("fastload._core.Cache", "Cache | None", True),
        ("fastload._core.Cache", "Reader", False),
        ("str | None", "str", False),
        ("str", "str | int", False),
        ("tuple[int, int]", "tuple[int, int, int]", False),
        ("tuple[int, int]", "tuple[int, str]", False),
        ("tuple[int, int]", "Sequence[int]", True),
        ("typing.Annotated[list[float], 'FixedSize(6)']", "list[float]", True),
        ("collections.abc.Sequence[str]", "Sequence[int]", False),
        ("collections.abc.Sequence[str]", "str", False),
        ("numpy.typing.NDArray[numpy.uint8]", "npt.NDArray[np.uint8]", True),
        ("numpy.typing.NDArray[numpy.uint8]", "npt.NDArray[np.int16]", False),
        ("bool", "int", False),
        ("object", "str | None", True),
    ],
)
def test_types_are_compared(given, said, is_same):
    given, said = (type_of(ast.parse(text, mode="eval").body) for text in (given, said))
    assert agree(given, said) == is_same


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
