"""`expected_files.py DIR`: has DIR the sdist and each wheel that [tool.cibuildwheel] of pyproject.toml asks for, and no more?"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from packaging.utils import parse_sdist_filename, parse_wheel_filename

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
MACHINES = ("x86_64", "aarch64")  # of the workflow's runners, one each


def expected(configuration: dict[str, Any]) -> set[str]:
    """`sdist`, and `ABI MACHINE` of each wheel."""
    builds = configuration["tool"]["cibuildwheel"]["build"]
    abis = [re.fullmatch(r"(cp\d+t?)-manylinux\*", build)[1] for build in builds]
    return {"sdist", *(f"{abi} {machine}" for abi in abis for machine in MACHINES)}


def asked_for(root: Path) -> set[str]:
    """What the project in a folder asks for."""
    return expected(tomllib.loads((root / "pyproject.toml").read_text()))


def kind(name: str) -> str:
    """Of a file, as `expected` names it."""
    if name.endswith(".tar.gz"):
        parse_sdist_filename(name)
        return "sdist"
    tag = sorted(parse_wheel_filename(name)[3], key=str)[0]
    machine = next((machine for machine in MACHINES if tag.platform.endswith(machine)), tag.platform)
    return f"{tag.abi} {machine}"


def difference(folder: Path, wanted: set[str]) -> list[str]:
    """What is missing, and what nobody asked for."""
    kinds = {path.name: kind(path.name) for path in (folder.iterdir() if folder.exists() else ())}
    missing = [f"missing: {one}" for one in sorted(wanted - set(kinds.values()))]
    twice = [name for name, of_name in kinds.items() if list(kinds.values()).count(of_name) > 1]
    return missing + [
        f"not asked for: {name}" for name, of_name in sorted(kinds.items()) if of_name not in wanted or name in twice
    ]


def main(folder: str) -> int:
    wanted = asked_for(ROOT)
    found = difference(Path(folder), wanted)
    print("\n".join(found) if found else f"all {len(wanted)} files are there")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
