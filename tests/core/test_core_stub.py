"""fastload/_core.pyi is what `make stubs` makes of the built module: names, members, parameters, documents, and types.

Of types the module says less than the stub, where it says but ``object`` or ``tuple``: that far they agree, and the file's stay.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import fastload
import stub_types
import stubs
from fastload import _core

PATH = Path(fastload.__file__).parent / "_core.pyi"
STUB = ast.parse(PATH.read_text())
# What pybind11 gives to every class, and to every enum, without a signature that anyone wrote; CPython 3.12, two to a buffer.
OF_ALL = {"__module__", "__doc__", "__weakref__", "_pybind11_conduit_v1_", "__buffer__", "__release_buffer__"}
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


ALIASES = {
    node.targets[0].id: node.value
    for node in STUB.body
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
}


def type_of(node: ast.expr) -> stub_types.Type:
    return stub_types.read(node, ALIASES)


def types(function: ast.FunctionDef) -> dict[str, stub_types.Type]:
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
    return [
        f"{name}: {given[name]} is not {one}"
        for name, one in types(said).items()
        if not stub_types.agree(given[name], one)
    ]


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
            assert stub_types.agree(given, type_of(wanted)), f"{name}.{member}: {given} is not {ast.unparse(wanted)}"
        elif isinstance(said, ast.FunctionDef):
            assert disagreements(said, getattr(getattr(_core, name), member)) == [], f"{name}.{member}"


def built_property(value: property) -> stub_types.Type:
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
    assert stub_types.agree(given, said) == is_same


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


def has(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(program) is None, reason=f"{program} is not installed")


@has("ruff")
def test_the_file_is_what_make_stubs_writes():
    assert stubs.formatted(stubs.stub(_core, PATH.read_text())) == PATH.read_text(), "run: make stubs"


# What mypy says of every class of pybind11's: of the metaclass, and of constructors that nobody wrote.
OF_EVERY_CLASS = re.compile(r"metaclass differs|__init__ is inconsistent, stub does not have \*(\*kw)?args parameter")


@has("mypy")
def test_mypy_finds_the_stub_true_of_the_module():
    options = ["--concise", "--ignore-missing-stub", "--ignore-disjoint-bases", "--mypy-config-file", "pyproject.toml"]
    command = [sys.executable, "-m", "mypy.stubtest", "fastload._core", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PATH.parents[1])
    lines = done.stdout.splitlines()
    assert any("metaclass differs" in line for line in lines), done.stdout + done.stderr  # it has looked
    assert [line for line in lines if not OF_EVERY_CLASS.search(line)] == []


@pytest.mark.parametrize(
    ("signature", "stub"),
    [
        ("typing.SupportsInt | typing.SupportsIndex", "int"),
        ("typing.SupportsFloat | typing.SupportsIndex | None", "float | None"),
        ("collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]", "Sequence[int]"),
        ("fastload._core.Cache | None", "Cache | None"),
        (
            "collections.abc.Sequence[tuple[os.PathLike | str | bytes, str | None]]",
            "Sequence[tuple[_Path, str | None]]",
        ),
        ('typing.Annotated[collections.abc.Sequence[str], "FixedSize(2)"]', "Sequence[str]"),
        ("typing.Annotated[numpy.typing.ArrayLike, numpy.uint8]", "npt.ArrayLike"),
        ("numpy.typing.NDArray[numpy.int16]", "npt.NDArray[np.int16]"),
        ("numpy.ndarray", "npt.NDArray[Any]"),
        ("collections.abc.Callable[[int, str], bytes | None]", "Callable[[int, str], bytes | None]"),
        ("collections.abc.Callable[..., bool]", "Callable[..., bool]"),
        ("typing_extensions.Buffer", "_Memory"),
        ("tuple[list, dict]", "tuple[list[Any], dict[Any, Any]]"),
        ("object", "Any"),
    ],
)
def test_types_are_written_as_a_reader_would(signature, stub):
    assert stub_types.written(ast.parse(signature, mode="eval").body) == stub


def stub_of(*functions: str, before: str = "") -> str:
    """Of a module as pybind11 makes one: the signatures are in the docstrings."""
    made = ModuleType("made")
    vars(made).update({text.partition("(")[0]: SimpleNamespace(__doc__=text) for text in functions})
    return stubs.stub(made, before)


def test_defaults_and_documents_are_the_modules():
    made = stub_of("read(at: int, cache: str = None, *, how: str = 'all') -> bytes\n\nThe bytes.")
    said = 'def read(at: int, cache: str | None = None, *, how: str = \'all\') -> bytes:\n    """The bytes."""\n'
    assert made.strip() == said.strip()


def test_a_class_that_was_bound_later_is_named_as_python_names_it():
    made = stub_of("open(by: fastload::cache::Cache = <Leave.bytes: 1>) -> fastload::io::Reader")
    assert made.strip() == "def open(by: Cache = Leave.bytes) -> Reader: ..."


def test_what_the_file_says_more_closely_stays_and_what_is_not_so_goes():
    before = """import this

_Box = tuple[int, int]

# Of boxes
def first(of: list[_Box], by: str) -> dict[str, int]: ...
def gone() -> int: ...
"""
    made = stub_of("first(of: list, by: int, more: bool) -> dict", "second() -> _Box", before=before)
    assert made.splitlines() == [
        "import this",
        "",
        "_Box = tuple[int, int]",
        "",
        "def first(of: list[_Box], by: int, more: bool) -> dict[str, int]: ...",
        "",
        "def second() -> _Box: ...",
    ]
