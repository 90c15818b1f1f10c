"""``make release-check VERSION=x``: whether a release of that version is ready, as it lies here; every check in a line.

Looked at are the version, the changelog, the tree, the built files in ``dist`` (names, sizes, licences, SBOM) and the pages.
Exit status: 0 it is ready, 1 something is missing, 2 that is no version.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "docs"))
import check_wheel  # noqa: E402
import expected_files  # noqa: E402
import links  # noqa: E402

NAME = "fastload_torch"


class NotReady(Exception):
    """What is missing, in words."""


def version(root: Path, wanted: str) -> str:
    """fastload/version.py says it."""
    found = re.search(r'__version__ = "(.*)"', (root / "fastload" / "version.py").read_text())
    if found is None or found[1] != wanted:
        raise NotReady(f"fastload/version.py says {found and found[1]}")
    return "fastload/version.py"


def changelog(root: Path, wanted: str) -> str:
    """It is the newest version of the changelog, has entries, and nothing is left as unreleased."""
    sections = re.split(r"^## ", (root / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    entries = {name.strip(): text.strip() for name, _, text in (one.partition("\n") for one in sections)}
    if entries.pop("Unreleased", ""):
        raise NotReady("there are changes under Unreleased")
    newest = next(iter(entries), None)
    if newest is None or newest.split()[0] != wanted:
        raise NotReady(f"the newest version in CHANGELOG.md is {newest}")
    if not re.match(r"\* \S", entries[newest]):
        raise NotReady(f"CHANGELOG.md says nothing of {wanted}")
    return f"CHANGELOG.md, {entries[newest].count(chr(10) + '* ') + 1} changes"


def tree(root: Path, wanted: str) -> str:
    """All is committed, and the version is not tagged yet, or with this very commit."""
    if changed := _git(root, "status", "--porcelain"):
        raise NotReady(f"not committed: {changed.splitlines()[0].strip()}")
    head = _git(root, "rev-parse", "HEAD")
    tag = f"v{wanted}"
    if _git(root, "tag", "--list", tag) and _git(root, "rev-list", "-n1", tag) != head:
        raise NotReady(f"{tag} is another commit")
    return f"commit {head[:10]}"


def _git(root: Path, *command: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True)
    if done.returncode:
        raise NotReady(f"git: {done.stderr.strip()}")
    return done.stdout.strip()


def source(root: Path, wanted: str) -> str:
    """The sdist is there, and its metadata are of the version."""
    path = root / "dist" / f"{NAME}-{wanted}.tar.gz"
    if not path.exists():
        raise NotReady(f"{path.relative_to(root)} is not there")
    with tarfile.open(path) as archive:
        metadata = archive.extractfile(f"{NAME}-{wanted}/PKG-INFO")
        found = re.search(r"^Version: (.*)$", metadata.read().decode() if metadata else "", re.MULTILINE)
    if found is None or found[1] != wanted:
        raise NotReady(f"{path.name} says that it is {found and found[1]}")
    return path.name


def wheels(root: Path, wanted: str) -> str:
    """There are all wheels that pyproject.toml asks for, of this version alone, and each may be published."""
    dist = root / "dist"
    found = sorted(dist.glob("*.whl"))
    for path in found:
        if not path.name.startswith(f"{NAME}-{wanted}-"):
            raise NotReady(f"dist has {path.name}, too")
        if problems := check_wheel.problems(path):
            raise NotReady(f"{path.name}: {'; '.join(problems)}")
    lacking = expected_files.difference(dist, expected_files.asked_for(root))
    if lacking := [one for one in lacking if one != "missing: sdist"]:  # of which `source` says more
        raise NotReady("; ".join(lacking))
    return f"{len(found)} wheels, {max(path.stat().st_size for path in found):,} bytes at most"


def documentation(root: Path, wanted: str) -> str:
    """The pages are there, and each link to a file or a heading leads to one."""
    pages = [root / "README.md", root / "CONTRIBUTING.md", root / "SECURITY.md", *sorted((root / "docs").rglob("*.md"))]
    for page in pages:
        if not page.exists():
            raise NotReady(f"{page.relative_to(root)} is not there")
        for link in links.broken(page):
            raise NotReady(f"{page.relative_to(root)} links to {link}, which is not there")
    return f"{len(pages)} pages"


CHECKS: dict[str, Callable[[Path, str], str]] = {
    "version": version,
    "changelog": changelog,
    "tree": tree,
    "source": source,
    "wheels": wheels,
    "documentation": documentation,
}


def main(arguments: list[str], root: Path = ROOT) -> int:
    if len(arguments) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", arguments[0]):
        print("make release-check VERSION=1.2.3")
        return 2
    wrong = 0
    for name, check in CHECKS.items():
        try:
            print(f"ready    {name:<14} {check(root, arguments[0])}")
        except NotReady as reason:
            wrong += 1
            print(f"missing  {name:<14} {reason}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
