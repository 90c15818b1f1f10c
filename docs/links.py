"""The links of the documentation: ``python docs/links.py`` asks for each address outside of it, which CI does not.

Prints those that do not answer, with where they stand, and ends with status 1 if there is one.
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_SECONDS = 20


def targets(text: str) -> list[str]:
    """What a page of Markdown links to, in its order; code has no links."""
    return _LINK.findall(_CODE.sub("`", text))


def slug(heading: str) -> str:
    """The anchor of a heading."""
    plain = re.sub(r"\]\([^)]*\)", "", heading)
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", plain.lower()).strip())


def slugs(text: str) -> set[str]:
    """The anchors of a page."""
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", prose, re.MULTILINE)}


def broken(page: Path) -> list[str]:
    """The links of a page to files that are not there, and to headings that they do not have."""
    found = []
    for target in targets(page.read_text("utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        is_there = path.exists() and (not anchor or path.suffix != ".md" or anchor in slugs(path.read_text("utf-8")))
        if not is_there:
            found.append(target)
    return found


def outside() -> dict[str, list[str]]:
    """Each address outside, and the files that link to it."""
    found: dict[str, list[str]] = {}
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    for page in sorted(pages):
        for target in targets(page.read_text("utf-8")):
            if target.startswith(("http://", "https://")):
                found.setdefault(target, []).append(str(page.relative_to(ROOT)))
    return found


def trouble(url: str) -> str:
    """Why an address does not answer; empty if it does."""
    request = urllib.request.Request(url, headers={"User-Agent": "Mozilla/5.0"})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):
            return ""
    except (OSError, urllib.error.URLError, ValueError) as error:
        return str(error)


def main() -> int:
    found = outside()
    with ThreadPoolExecutor(8) as threads:
        answers = dict(zip(found, threads.map(trouble, found), strict=True))
    for url, why in answers.items():
        if why:
            print(f"{url} ({', '.join(found[url])}): {why}")
    print(f"{len(found)} addresses, {sum(map(bool, answers.values()))} without an answer")
    return 1 if any(answers.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
