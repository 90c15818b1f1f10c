"""The code blocks of the documentation: where they stand, what is run of them, and why the rest is not.

A page's Python blocks run in their order, in one namespace, in a folder with a small set of photos:

* ``<!-- set-up`` … ``-->`` holds Python that runs there and is not shown;
* ``<!-- not run: REASON -->`` above a block: it is compiled, or its options are looked at, and that is all;
* ``<!-- status 1: REASON -->`` above a block of commands: the status that its last one ends with;
* ``python title="train.py"``: a file of that name, for the commands that follow;
* a block of ``text`` below one of Python is what that one prints; ``…`` stands for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^( *)(`{3,})(\w*)(?: +title=\"([^\"]+)\")?\s*$")
_ABOUT = re.compile(r"^<!-- (not run|status (\d+)): (\S.*\S) -->$")


@dataclass(frozen=True)
class Block:
    """``line``: of its first line of code. ``why_not``: why it is not run. ``status``: of its last command."""

    page: Path
    line: int
    language: str
    title: str | None
    code: str
    why_not: str | None = None
    status: int = 0

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """All of a page, in their order."""
    return [*_blocks(page, page.read_text("utf-8").split("\n"))]


def _blocks(page: Path, lines: list[str]) -> Iterator[Block]:
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if lines[number] == "<!-- set-up":
            end = lines.index("-->", number)
            yield Block(page, number + 2, "set-up", None, "\n".join(lines[number + 1 : end]))
            number = end
        elif lines[number].lstrip().startswith("```"):
            assert fence is not None, f"{page.name}:{number + 1}: no fence that is known: {lines[number]}"
            indent, ticks, language, title = fence.groups()
            end = next(n for n in range(number + 1, len(lines)) if lines[n] == indent + ticks)
            code = "\n".join(line.removeprefix(indent) for line in lines[number + 1 : end])
            about = _ABOUT.match(lines[number - 1].strip()) if number else None
            why_not = about[3] if about and about[1] == "not run" else None
            status = int(about[2]) if about and about[2] else 0
            yield Block(page, number + 2, language, title, code, why_not, status)
            number = end
        number += 1


def commands_of(block: Block) -> Iterator[str]:
    """The command lines of a block of ``sh``, or of ``console``, where a ``$`` stands before each."""
    lines = re.sub(r"\\\n *", "", block.code).split("\n")
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            yield line
