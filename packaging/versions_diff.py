"""`versions_diff.py PINNED`: which packages here are of another version than the requirements file PINNED says?

A table in Markdown, as a workflow's summary shows it.
"""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pinned(path: Path) -> dict[str, str]:
    """The versions of a requirements file and of those that it names."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            found |= pinned(path.parent / line.removeprefix("-r ").strip())
        elif line:
            requirement = Requirement(line)
            for one in requirement.specifier:
                if one.operator == "==":
                    found[canonicalize_name(requirement.name)] = one.version
    return found


def table(versions: dict[str, str], installed: dict[str, str]) -> str:
    changed = [
        f"| {name} | {version} | {installed[name]} |"
        for name, version in sorted(versions.items())
        if name in installed and installed[name].partition("+")[0] != version
    ]
    if not changed:
        return "Nothing is newer than what is pinned."
    return "\n".join(["| package | pinned | here |", "|---|---|---|", *changed])


def main(path: str) -> None:
    installed = {canonicalize_name(one.metadata["Name"]): one.version for one in importlib.metadata.distributions()}
    print(table(pinned(Path(path)), installed))


if __name__ == "__main__":
    main(*sys.argv[1:])
