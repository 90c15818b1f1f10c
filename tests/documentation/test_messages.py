"""docs/troubleshooting.md quotes what fastload really says."""

from __future__ import annotations

import ast
import functools
import re

from code_blocks import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
ANY = "…"


@functools.cache
def texts() -> list[str]:
    """Every text of the sources; in the place of a value in it stands ANY."""
    found = [
        text for path in sorted((ROOT / "fastload").rglob("*.py")) for text in _python_texts(path.read_text("utf-8"))
    ]
    for path in sorted((ROOT / "csrc").rglob("*.cpp")) + sorted((ROOT / "csrc").rglob("*.h")):
        joined = re.sub(r'"\s*\n\s*"', "", path.read_text("utf-8"))
        found += re.findall(r'"((?:[^"\\\n]|\\.)+)"', joined)
    return [" ".join(text.split()) for text in found]


def _python_texts(source: str):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ANY
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{[a-z_]*\}", ANY, node.value)


def is_said(message: str) -> bool:
    """Whether a text of the sources is the message, with something for each ANY in it."""
    parts = [part for part in (" ".join(part.split()) for part in message.split(ANY)) if part]
    longest = max(parts, key=len)
    return any(longest in text and _has_in_order(text, parts) for text in texts())


def _has_in_order(text: str, parts: list[str]) -> bool:
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def quoted() -> list[str]:
    """The messages of the page: code in the first column of its tables."""
    section, found = "", []
    for line in PAGE.read_text("utf-8").split("\n"):
        section = line if line.startswith("## ") else section
        if line.startswith("| `") and section != "## Installing":
            found += re.findall(r"`([^`]+)`", line.split(" | ")[0])
    return found


def test_the_page_quotes_messages():
    assert len(quoted()) > 50 and len(set(quoted())) == len(quoted())


def test_fastload_says_what_the_page_quotes():
    assert [message for message in quoted() if len(message.replace(ANY, "").strip(" :;,.()=")) < 6] == [], (
        "they say nothing"
    )
    assert [message for message in quoted() if not is_said(message)] == []


def test_what_nobody_says_is_found():
    assert not is_said("the loader … is tired")
    assert not is_said("DataLoader timed out before … seconds")
