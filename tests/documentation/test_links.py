"""Links among the files of the documentation lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import links
from code_blocks import PAGES, ROOT

TEXTS = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md"]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.parent.name + "-" + page.stem)
def test_links_to_files_and_headings(page):
    assert links.broken(page) == []


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# Other\n\n## A `heading`: 1\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md) [b](other.md#a-heading-1) [c](#here) ![d](no.svg)\n\n```\n[e](code.md)\n```\n")
    assert links.broken(page) == ["#here", "no.svg"]


def test_every_page_is_in_the_navigation():
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= set(re.findall(r"[\w-]+\.md", nav))


def test_every_page_is_led_to():
    """From another page, so that readers find it."""
    targets = [target for page in TEXTS for target in links.targets(page.read_text("utf-8"))]
    led_to = {Path(target.partition("#")[0]).name for target in targets}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - led_to == set()


def test_files_that_a_page_names_are_there():
    lost = []
    for page in PAGES:
        named = re.findall(r"`((?:tests|docs|benchmarks|packaging|requirements)/[\w./-]*)`", page.read_text("utf-8"))
        lost += [f"{page.name}: {name}" for name in named if not (ROOT / name).exists()]
    assert lost == ["CONTRIBUTING.md: tests/datasets"]  # of which it says that it should not be
