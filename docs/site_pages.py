"""What mkdocs does with the pages: the front page, the changelog and the contributors' page are the files at the root, as they are.

``mkdocs.yml`` names this file as a hook. Pages are written so that their links work among the files of a checkout; here they become
links among the pages of the site, and what no page has becomes plain text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
AT_ROOT = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_PICTURE = re.compile(r"(!\[[^\]]*\]\()docs/")
_FENCED = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
# In a table's code a bar is written with a backslash, as GitHub wants it; here it is shown as it stands.
_ROW, _CODE = re.compile(r"^\|.*\|$", re.MULTILINE), re.compile(r"`[^`\n]+`")
# For the tests of the code blocks: tests/documentation/code_blocks.py.
_ABOUT_BLOCKS = re.compile(r"^<!-- (?:set-up\n|not run: |status \d+: ).*?-->\n", re.MULTILINE | re.DOTALL)


def on_files(files: Any, config: Any) -> Any:
    """Puts the files at the root among the pages."""
    for name, page in AT_ROOT.items():
        text = _PICTURE.sub(r"\1", (ROOT / name).read_text("utf-8"))
        files.append(File.generated(config, page, content=_with_links(text, "")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page without what is for its tests, and with the site's links."""
    text = _ABOUT_BLOCKS.sub("", markdown)
    text = _ROW.sub(lambda row: _CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0]), text)
    return text if page.file.src_uri in AT_ROOT.values() else _with_links(text, "docs")


def _with_links(text: str, folder: str) -> str:
    """``folder``: where the page lies, below the root."""
    parts = _FENCED.split(text)
    parts[::2] = [_LINK.sub(lambda found: _link(found[1], found[2], folder), part) for part in parts[::2]]
    return "".join(parts)


def _link(text: str, target: str, folder: str) -> str:
    path, mark, anchor = target.partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return f"[{text}]({target})"
    place = posixpath.normpath(posixpath.join(folder, path))
    if place in AT_ROOT:
        return f"[{text}]({AT_ROOT[place]}{mark}{anchor})"
    if place.startswith("docs/"):
        return f"[{text}]({place.removeprefix('docs/')}{mark}{anchor})"
    return text
