"""Draws the map of the house in docs/architecture.md from the code: which file imports which, what each is for.

``python docs/map.py`` writes it anew; tests/test_structure.py fails where it is not what the code says, where an arrow runs up, and
where there is a circle.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"

# From the ground up: a wing imports only from those before it. The one without a name is the public face, in `fastload` itself.
WINGS = (
    "machine",
    "reports",
    "transforms",
    "engine",
    "images",
    "remote",
    "shards",
    "datasets",
    "entries",
    "resume",
    "batches",
    "gpu",
    "",
    "conversion",
    "diagnosis",
    "commands",
)
# The same for the core; the words that all rooms share lie in csrc itself, under all of them, and the bindings on top.
FLOORS = (
    "words",
    "io",
    "shards",
    "index",
    "random",
    "image",
    "recipe",
    "jpeg",
    "cache",
    "entries",
    "device",
    "engine",
    "bindings",
)

Graph = dict[str, set[str]]


def python_files() -> dict[str, Path]:
    """Every module of the package by its dotted name below ``fastload``; the package itself is ``__init__``."""
    files = sorted((ROOT / "fastload").rglob("*.py"))
    return {".".join(path.relative_to(ROOT / "fastload").with_suffix("").parts): path for path in files}


def python_graph() -> Graph:
    """Which modules each module imports, wherever in the file and for whatever purpose."""
    files = python_files()
    return {name: set(_imported(name, ast.parse(path.read_text()), files)) - {name} for name, path in files.items()}


def _imported(importer: str, tree: ast.Module, files: dict[str, Path]) -> Iterator[str]:
    def module(name: str) -> str | None:
        return next((known for known in (name, f"{name}.__init__") if known in files), None)

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("fastload."):
                    name = alias.name.removeprefix("fastload.")
                    yield "_core" if name == "_core" else module(name) or _unknown(importer, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "fastload":
            base = node.module.removeprefix("fastload").removeprefix(".")
            for alias in node.names:
                name = f"{base}.{alias.name}".removeprefix(".")
                found = "_core" if name == "_core" or base == "_core" else module(name)
                yield found or (module(base) if base else "__init__") or _unknown(importer, name)
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError(f"{importer}: imports in this house are absolute")


def _unknown(importer: str, name: str) -> str:
    raise ValueError(f"{importer} imports {name}, which is not there")


def wing_of(module: str) -> str:
    """The folder that a module lies in; the public face is ''. ``python -m fastload`` is the command."""
    if module == "__main__":
        return "commands"
    return module.partition(".")[0] if "." in module else ""


def cpp_files() -> dict[str, Path]:
    """Every source and header of the core, by its path below ``csrc``."""
    return {
        str(path.relative_to(ROOT / "csrc")): path
        for path in sorted((ROOT / "csrc").rglob("*"))
        if path.suffix in (".h", ".cpp")
    }


def cpp_graph() -> Graph:
    """Which headers of the core each file includes."""
    files = cpp_files()
    included = {
        name: set(re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE)) for name, path in files.items()
    }
    return {name: includes & files.keys() for name, includes in included.items()}


def floor_of(file: str) -> str:
    """The folder that a file of the core lies in; files in csrc itself are the words that all share, or the bindings."""
    folder = file.rpartition("/")[0]
    return folder or ("bindings" if file.startswith("bindings") else "words")


def circle(graph: Graph) -> list[str]:
    """The modules of one circle of imports; empty if there is none."""
    done: set[str] = set()

    def walk(node: str, way: list[str]) -> list[str]:
        if node in way:
            return way[way.index(node) :]
        if node in done or node not in graph:
            return []
        for other in sorted(graph[node]):
            if found := walk(other, [*way, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := walk(node, []))), [])


def _first_line(path: Path) -> str:
    """What a file says that it is for."""
    text = path.read_text()
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]
    comment = re.match(r"// \S+: (.*?)(?=\n(?!//)|\n//\s*\n)", text, re.DOTALL)
    return " ".join(comment.group(1).replace("\n//", " ").split()).split(". ")[0].rstrip(".") if comment else ""


def drawn() -> str:
    """The map as Markdown."""
    graph, files = python_graph(), python_files()
    lines = ["### Python: wings, from the ground up", ""]
    for wing in WINGS:
        inside = [name for name in files if wing_of(name) == wing]
        below = sorted(
            {wing_of(other) for name in inside for other in graph[name] if other != "_core"} - {wing}, key=WINGS.index
        )
        core = any("_core" in graph[name] for name in inside)
        named = [f"`{other}/`" if other else "the public face" for other in below] + ["`_core`"] * core
        title = f"`fastload/{wing}/`" if wing else "`fastload/` (the public face)"
        lines += [
            f"#### {title}",
            "",
            f"Imports from: {', '.join(named) or 'nothing in the house'}.",
            "",
            "| file | what is in it | imports, in its own wing |",
            "|---|---|---|",
        ]
        for name in inside:
            own = sorted(
                other.rpartition(".")[2] for other in graph[name] if wing_of(other) == wing and other != "_core"
            )
            if name.endswith("__init__") and wing:
                own = ["all that is public in it"]
            lines.append(
                f"| `{(name.partition('.')[2] or name).replace('.', '/')}.py` | {_first_line(files[name])} | {', '.join(own)} |"
            )
        lines.append("")
    lines += [
        "### C++: floors, from the ground up",
        "",
        "| floor | includes from | headers: what each turns into what |",
        "|---|---|---|",
    ]
    includes, sources = cpp_graph(), cpp_files()
    for floor in FLOORS:
        inside = [name for name in sources if floor_of(name) == floor]
        below = sorted({floor_of(other) for name in inside for other in includes[name]} - {floor}, key=FLOORS.index)
        headers = [
            f"`{name.rpartition('/')[2]}`: {_first_line(sources[name])}"
            for name in inside
            if name.endswith(".h") and _first_line(sources[name])
        ]
        name = f"`csrc/`: {floor}" if floor in ("words", "bindings") else f"`csrc/{floor}/`"
        lines.append(f"| {name} | {', '.join(below) or 'nothing'} | {'<br>'.join(headers)} |")
    return "\n".join(lines) + "\n"


BEGIN, END = "<!-- the map: written by docs/map.py -->\n", "<!-- end of the map -->\n"


def page() -> str:
    """The page with the map as the code is now."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    return before + BEGIN + drawn() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page())
