"""Types as pybind11's signatures and fastload/_core.pyi write them: read, compared, and written as a reader would."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

# What may be there, each as its name and the types in its brackets.
Type = list[tuple[str, list[Any]]]
Aliases = Mapping[str, ast.expr]

# Of which pybind11 says no more, and what a stub says in their place.
OPEN = {
    "object": "Any",
    "dict": "dict[Any, Any]",
    "list": "list[Any]",
    "tuple": "tuple[Any, ...]",
    "Callable": "Callable[..., Any]",
    "ndarray": "npt.NDArray[Any]",
    "ArrayLike": "npt.ArrayLike",
    "Buffer": "_Memory",
}
SEQUENCES = {"Sequence", "list", "tuple"}
NUMBERS = {"SupportsInt": "int", "SupportsFloat": "float"}  # each is said beside SupportsIndex


def read(node: ast.expr, aliases: Aliases) -> Type:
    if isinstance(node, ast.BinOp):
        return read(node.left, aliases) + read(node.right, aliases)
    if isinstance(node, ast.Constant):
        return [("None", [])]
    name, parts = _name_and_parts(node)
    if name == "Annotated":  # of a fixed length, of a dtype
        return read(parts[0], aliases)
    if name in aliases:
        return read(aliases[name], aliases)
    if name == "SupportsIndex":
        return []
    inside = [read(part, aliases) for part in parts if not isinstance(part, ast.List | ast.Constant)]
    return [(NUMBERS.get(name, name), inside)]


def agree(given: Type, said: Type) -> bool:
    """Whether the module's type and the stub's can be the same. That a class may be None, the module does not always say."""
    if any(name in OPEN and not inside for name, inside in given):
        return True
    said_beside = [one for one in said if one[0] != "None"] if ("None", []) not in given else said
    return all(any(_agree_as(one, other) for one in given) for other in said_beside) and all(
        any(_agree_as(one, other) for other in said) for one in given
    )


def _agree_as(given: tuple[str, list[Any]], said: tuple[str, list[Any]]) -> bool:
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


def written(node: ast.expr) -> str:
    """A type of a signature, as a stub has it that imports names of `typing`, and NumPy as `np` and `npt`."""
    if isinstance(node, ast.Constant):
        return ast.unparse(node)
    if isinstance(node, ast.BinOp):
        parts = f"{written(node.left)} | {written(node.right)}".split(" | ")
        either = " | ".join(dict.fromkeys(part for part in parts if part != "SupportsIndex"))
        return either.replace("PathLike | str | bytes", "_Path")
    if isinstance(node, ast.List):
        return f"[{', '.join(map(written, node.elts))}]"
    name, parts = _name_and_parts(node)
    if name == "Annotated":
        return written(parts[0])
    if not parts:
        whole = ast.unparse(node)
        return whole.replace("numpy.", "np.") if _is_dtype(whole) else OPEN.get(name, NUMBERS.get(name, name))
    return f"{name.replace('NDArray', 'npt.NDArray')}[{', '.join(map(written, parts))}]"


def _is_dtype(text: str) -> bool:
    return text.startswith("numpy.") and text.count(".") == 1 and text != "numpy.ndarray"


def _name_and_parts(node: ast.expr) -> tuple[str, list[ast.expr]]:
    """Without the module that it is of; and what is in its brackets."""
    if not isinstance(node, ast.Subscript):
        return ast.unparse(node).rpartition(".")[2], []
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return ast.unparse(node.value).rpartition(".")[2], parts
