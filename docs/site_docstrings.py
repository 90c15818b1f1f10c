"""The docstrings of the package as the site shows them: roles become code, and what stands under "Example" is code.

``mkdocs.yml`` names this file as an extension of griffe, which reads the sources.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|attr|mod):`~?([^`]+)`")
_EXAMPLE = re.compile(r"^( *)Example:(:?)\n((?:\1 .*\n|\n)*(?:\1 .*\n?))", re.MULTILINE)


def shown(text: str) -> str:
    """A docstring as Markdown."""
    return _EXAMPLE.sub(_as_code, _ROLE.sub(r"`\1`", text).replace("``", "`"))


def _as_code(found: re.Match[str]) -> str:
    return f"Example:\n\n```python\n{textwrap.dedent(found[3]).strip()}\n```\n"


class Shown(griffe.Extension):
    def on_object(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is not None and not obj.is_alias:
            obj.docstring.value = shown(obj.docstring.value)
