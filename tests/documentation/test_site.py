"""The site is built without a warning, and its pages are right in a browser. Slow: `make docs docs-look` do the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import children
from code_blocks import ROOT

PYTHON = ROOT / ".venv-docs" / "bin" / "python"


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="make docs sets up what it needs")
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_the_site_is_built_and_right_in_a_browser(tmp_path):
    import look

    site = tmp_path / "site"
    built = children.run(PYTHON, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", site, cwd=ROOT)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = {path.name for path in site.glob("*.html")}
    assert {f"{page.stem}.html" for page in (ROOT / "docs").glob("*.md")} <= pages
    assert look.look(site) == []


def test_nothing_in_the_settings_of_the_site_asks_another_host():
    text = Path(ROOT / "mkdocs.yml").read_text("utf-8")
    assert "font: false" in text and "http" not in text
