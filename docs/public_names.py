"""The page of public names: each with its signature, where it is tested and where it is described.

``python docs/public_names.py`` writes docs/public-names.json and docs/public-names.md anew. A name or a signature that has
changed since wants a line in CHANGELOG.md first; tests/documentation/test_public_names.py fails where one of these is missing.
Names and signatures are read from the sources, nothing is imported but the commands.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from links import slug

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "docs" / "public-names.json"
PAGE = ROOT / "docs" / "public-names.md"
# What of the modules below `fastload` is described to users. The rest of them is the house's own.
MODULES = {
    "fastload.conversion": [
        "BadSampleError",
        "ConversionError",
        "Finding",
        "RefusedError",
        "SourceInfo",
        "Verification",
        "convert",
        "describe",
        "open_damaged",
        "verify_samples",
        "write_preview",
    ],
    "fastload.datasets": ["open_source"],
    "fastload.diagnosis": ["lightning_callback", "log_stats", "stats_figures", "trainer_callback"],
    "fastload.shards": ["Record"],
}
VARIABLES = {
    "FASTLOAD_REMOTE_CACHE": "a folder",
    "FASTLOAD_REMOTE_CACHE_BYTES": "a size, 10G",
    "FASTLOAD_REMOTE_REQUESTS": "a number, 256",
    "FASTLOAD_REMOTE_SECONDS": "seconds, 60",
}
# Methods of torchvision's classes and of the protocols of Python, which ours only fill in.
_NOT_OURS = {"find_classes", "make_dataset"}
# Pages that name everything, or nothing for users.
_NO_PROSE = {
    "api.md",
    "architecture.md",
    "compatibility.md",
    "index-file.md",
    "entries-file.md",
    "json.md",
    "public-names.md",
}
# Public by their place alone.
_INNER = {"fastload.ImageFiles.described", "fastload.ImageFiles.targets", "fastload.TooManyErrors.after"}
_GROUPS = (
    ("Names of `fastload`", lambda name: name.startswith("fastload.") and name.count(".") == 1),
    (
        "Their methods",
        lambda name: name.startswith("fastload.") and not name.startswith(tuple(f"{m}." for m in MODULES)),
    ),
    ("Names of modules below it", lambda name: name.startswith("fastload.")),
    ("Commands", lambda name: name.startswith("fastload ")),
    ("Variables of the environment", lambda name: True),
)


@functools.cache
def _tree(module: str) -> ast.Module:
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in tree.body:
        yield node
        if isinstance(node, ast.If):  # TYPE_CHECKING
            yield from node.body


def definition(module: str, name: str) -> tuple[str, ast.ClassDef | ast.FunctionDef]:
    """The class or function that a module has under a name, and the module that defines it."""
    for node in _statements(_tree(module)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fastload"):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return definition(node.module, alias.name)
    raise LookupError(f"{module} has no {name}")


def _arguments(function: ast.FunctionDef, *, bound: bool) -> str:
    given = function.args
    if bound:
        first = given.posonlyargs or given.args
        given = ast.arguments(
            given.posonlyargs[1:] if given.posonlyargs else [],
            given.args if given.posonlyargs else first[1:],
            given.vararg,
            given.kwonlyargs,
            given.kw_defaults,
            given.kwarg,
            given.defaults,
        )
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"({ast.unparse(given)}){returns}"


def _marks(node: ast.FunctionDef) -> set[str]:
    return {ast.unparse(mark) for mark in node.decorator_list}


def _method(node: ast.FunctionDef) -> str:
    if "property" in _marks(node):
        return f": {ast.unparse(node.returns) if node.returns else 'Any'}"
    return _arguments(node, bound="staticmethod" not in _marks(node))


def _fields(node: ast.ClassDef) -> str:
    """What a data class, a named tuple or an error holds."""
    given = [
        f"{ast.unparse(part.target)}: {ast.unparse(part.annotation)}"
        + (f" = {ast.unparse(part.value)}" if part.value else "")
        for part in node.body
        if isinstance(part, ast.AnnAssign) and not ast.unparse(part.target).startswith("_")
    ]
    return f"({', '.join(given)})" if given else ""


def _of_class(module: str, node: ast.ClassDef) -> tuple[str, dict[str, str]]:
    """Its own signature, and those of its public methods."""
    functions = {part.name: part for part in node.body if isinstance(part, ast.FunctionDef)}
    own = _arguments(functions["__init__"], bound=True).removesuffix(" -> None") if "__init__" in functions else ""
    methods = {
        name: _method(function)
        for name, function in functions.items()
        if not name.startswith("_")
        and name not in _NOT_OURS
        and not any(".setter" in mark for mark in _marks(function))
    }
    bases = [ast.unparse(base).partition("[")[0] for base in node.bases]
    if not own and not (own := _fields(node)):
        for base in bases:
            try:
                own = own or _of_class(*definition(module, base))[0]
            except LookupError:
                continue
    return own, methods


def _of_python() -> Iterator[tuple[str, str]]:
    homes = next(
        ast.literal_eval(node.value)
        for node in _tree("fastload").body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES"
    )
    named = {f"fastload.{name}": (f"fastload.{home}", name) for name, home in homes.items()}
    named |= {f"{module}.{name}": (module, name) for module, names in MODULES.items() for name in names}
    for full, (module, name) in named.items():
        where, node = definition(module, name)
        if isinstance(node, ast.FunctionDef):
            yield full, _arguments(node, bound=False)
        else:
            own, methods = _of_class(where, node)
            yield full, own
            for method, signature in methods.items():
                yield f"{full}.{method}", signature


def _of_commands() -> Iterator[tuple[str, str]]:
    import click

    sys.path[:0] = [str(ROOT)]
    try:
        from fastload.commands import main
    finally:
        del sys.path[0]

    def form(parameter: Any) -> str:
        if isinstance(parameter, click.Argument):
            name = (parameter.metavar or parameter.human_readable_name.upper()).removesuffix("...")
            return (name if parameter.required else f"[{name}]") + ("..." if parameter.nargs == -1 else "")
        names = "/".join(parameter.opts)
        if parameter.is_flag:
            return f"[{names}]"
        kind = parameter.type
        value = (
            "|".join(kind.choices)
            if isinstance(kind, click.Choice)
            else parameter.metavar or kind.name.split()[0].upper()
        )
        return f"{names} {value}" if parameter.required else f"[{names} {value}]"

    for name, command in main.commands.items():
        yield f"fastload {name}", " ".join(form(parameter) for parameter in command.params)


def signatures() -> dict[str, str]:
    """Every public name, and its signature as the sources have it."""
    found = {**dict(_of_python()), **dict(_of_commands()), **VARIABLES}
    return {name: found[name] for name in sorted(found) if name not in _INNER and not name.endswith(".as_dict")}


def _call(name: str) -> str:
    """A pattern for a method, or another attribute, of a class."""
    last = re.escape(name.rpartition(".")[2])
    is_property = listed().get(name, {}).get("signature", "").startswith(":")
    return rf"[.`]{last}\b" if is_property else rf"[.`]{last}\("


def _is_method(name: str) -> bool:
    return name.startswith("fastload.") and name.count(".") == 2 and name.rpartition(".")[0] not in MODULES


def uses(name: str, text: str) -> bool:
    """Whether a test uses a name."""
    last = name.rpartition(" " if " " in name else ".")[2]
    if " " in name:
        return re.search(rf"""["'](fastload )?{last}["' ]""", text) is not None
    if not name.startswith("fastload."):
        return name in text
    if _is_method(name):
        owner = name.split(".")[1]
        return re.search(rf"\b{owner}\b", text) is not None and re.search(_call(name), text) is not None
    if name.count(".") == 1:
        return re.search(rf"\bfastload\.{last}\b|from fastload import [^\n]*\b{last}\b", text) is not None
    return name.rpartition(".")[0] in text and re.search(rf"\b{last}\b", text) is not None


def describes(name: str, line: str) -> bool:
    """Whether a line of a page names it, as code."""
    last = re.escape(name.rpartition(" " if " " in name else ".")[2])
    if " " in name:
        return re.search(rf"\bfastload {last}\b", line) is not None
    if _is_method(name):
        return re.search(_call(name), line) is not None
    if name.startswith("fastload.") and name.count(".") == 1:
        return re.search(rf"\bfastload\.{last}\b|`{last}[`(]|from fastload import .*\b{last}\b", line) is not None
    return re.search(rf"[`.]{last}\b(?=[`(\s,;=.\[\]]|$)", line) is not None


def _tests() -> dict[str, str]:
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return {
        str(path.relative_to(ROOT)): path.read_text("utf-8") for path in files if path.name != "test_public_names.py"
    }


def _pages() -> dict[str, list[str]]:
    files = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in _NO_PROSE]
    return {path.name: path.read_text("utf-8").split("\n") for path in files}


def _test_of(name: str, before: str | None, tests: dict[str, str]) -> str | None:
    """The file that it is tested in: the one that was, or the one that is called so or has it most often."""
    if before in tests and uses(name, tests[before]):
        return before
    last = re.split(r"[ .]", name)[-1]
    found = [path for path, text in tests.items() if uses(name, text)]
    word = last.lower().replace("_", "")

    def fits(path: str) -> tuple[bool, bool, int]:
        stem = Path(path).stem.removeprefix("test_").replace("_", "")
        return stem == word, word in stem or (len(stem) > 4 and stem in word), tests[path].count(last)

    return max(found, key=fits, default=None)


def _docs_of(name: str, before: str | None, pages: dict[str, list[str]]) -> str | None:
    """``page.md#heading`` of the first line that describes it, on the page where it was, or on the one that names it most often."""
    counts = {page: sum(describes(name, line) for line in lines) for page, lines in pages.items()}
    page = (before or "").partition("#")[0]
    if not counts.get(page):
        page = max(counts, key=lambda page: counts[page])
    if not counts[page]:
        return None
    anchor = ""
    for line in pages[page]:
        if line.startswith("## "):
            anchor = "#" + slug(line.removeprefix("## "))
        if describes(name, line):
            return page + anchor
    return None


def changelog_lines(name: str) -> list[str]:
    """Digests of the changelog's lines on what is unreleased that name it, as code."""
    last = re.escape(name.rpartition(" " if " " in name else ".")[2])
    text = (ROOT / "CHANGELOG.md").read_text("utf-8").partition("\n## Unreleased\n")[2].partition("\n## ")[0]
    lines = re.split(r"\n(?=\* )", text)
    said = [
        line
        for line in lines
        if any(re.search(rf"(?<!\w){last}(?!\w)", code) for code in re.findall(r"`([^`]*)`", line))
    ]
    return sorted(hashlib.sha256(" ".join(line.split()).encode()).hexdigest()[:12] for line in said)


def listed() -> dict[str, dict[str, Any]]:
    """The list as it is kept."""
    return json.loads(LIST.read_text("utf-8")) if LIST.exists() else {}


def unsaid(before: dict[str, dict[str, Any]], now: dict[str, str]) -> list[str]:
    """Each change of a name or a signature since ``before`` of which the changelog says nothing, and what to do."""
    found = []
    for name in sorted({*before, *now}):
        was, is_now = before.get(name, {}).get("signature"), now.get(name)
        if was == is_now or set(changelog_lines(name)) - set(before.get(name, {}).get("said", [])):
            continue
        change = (
            f"is new: {is_now}" if was is None else "has gone" if is_now is None else f"was {was}\n    and is {is_now}"
        )
        last = name.removeprefix("fastload.")
        found.append(f"{name} {change}\n    write a line that names `{last}` under Unreleased in CHANGELOG.md")
    return found


def made() -> dict[str, dict[str, Any]]:
    """The list as it is to be kept."""
    before, tests, pages = listed(), _tests(), _pages()
    return {
        name: {
            "signature": signature,
            "test": _test_of(name, before.get(name, {}).get("test"), tests),
            "docs": _docs_of(name, before.get(name, {}).get("docs"), pages),
            "said": changelog_lines(name),
        }
        for name, signature in signatures().items()
    }


def page(names: dict[str, dict[str, Any]]) -> str:
    """The page of a list."""
    lines = [
        "# Public names",
        "",
        "What programs may rest on. A change of one of these has its line in the [changelog](../CHANGELOG.md); all else in the",
        "package is its own affair. `python docs/public_names.py` writes this page from the sources, and a test fails where a name",
        "has no test, no description, or has changed without a line in the changelog. [Python](api.md) has the texts of the",
        "classes and functions.",
    ]
    left = dict(names)
    for title, belongs in _GROUPS:
        inside = {name: left.pop(name) for name in list(left) if belongs(name)}
        lines += ["", f"## {title}", ""]
        for name, about in inside.items():
            docs, test = about["docs"] or "", about["test"] or ""
            lines += [
                f"* **`{name}`**" + (f" `{about['signature']}`" if about["signature"] else ""),
                f"  <br>[{docs.partition('#')[0].removesuffix('.md')}]({docs}) · `{test}`",
            ]
    return "\n".join(lines) + "\n"


def main() -> int:
    before, names = listed(), made()
    if before and (found := unsaid(before, signatures())):
        print("\n".join(found))
        return 1
    lacking = [
        f"{name} has no {what}" for name, about in names.items() for what in ("test", "docs") if about[what] is None
    ]
    LIST.write_text(json.dumps(names, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(names), "utf-8")
    print("\n".join(lacking) or f"{len(names)} names: {PAGE.relative_to(ROOT)}")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
