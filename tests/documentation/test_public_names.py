"""Each public name has a signature that is known, a test and a description; a change of one has its line in the changelog."""

from __future__ import annotations

import importlib
import inspect

import pytest

import fastload
import public_names as names
from code_blocks import ROOT

LISTED = names.listed()


def test_the_list_is_that_of_the_sources():
    now = names.signatures()
    unsaid = names.unsaid(LISTED, now)
    assert unsaid == [], "\n".join([*unsaid, "then run: python docs/public_names.py"])
    changed = [name for name in {*now, *LISTED} if now.get(name) != LISTED.get(name, {}).get("signature")]
    assert changed == [], "the changelog says so; run: python docs/public_names.py"


def test_the_page_is_that_of_the_list():
    assert names.PAGE.read_text("utf-8") == names.page(LISTED), "run: python docs/public_names.py"


def test_all_that_fastload_has_is_listed():
    assert {name for name in fastload.__all__ if name != "__version__"} == {
        name.removeprefix("fastload.") for name in LISTED if name.startswith("fastload.") and name.count(".") == 1
    }
    for module, inside in names.MODULES.items():
        assert set(inside) <= set(importlib.import_module(module).__all__)


def test_each_name_has_a_test_and_a_description():
    lacking = []
    for name, about in LISTED.items():
        test, docs = about["test"], about["docs"]
        if test is None or not (ROOT / test).is_file() or not names.uses(name, (ROOT / test).read_text("utf-8")):
            lacking.append(f"{name} has no test")
        page = ROOT / "docs" / (docs or "nowhere").partition("#")[0]
        if not page.is_file() or not any(names.describes(name, line) for line in page.read_text("utf-8").split("\n")):
            lacking.append(f"{name} has no description")
    assert lacking == [], "write them, then run: python docs/public_names.py"


@pytest.mark.parametrize("name", ["fastload.DataLoader", "fastload.open", "fastload.convert", "fastload.install"])
def test_signatures_are_those_that_python_has(name):
    name = name.replace("fastload.convert", "fastload.conversion.convert")
    module, _, last = name.rpartition(".")
    known = inspect.signature(getattr(importlib.import_module(module), last))
    for parameter in known.parameters.values():
        default = "" if parameter.default is inspect.Parameter.empty else "="
        assert f"{parameter.name}: " in LISTED[name]["signature"], parameter
        assert default in LISTED[name]["signature"]


def test_a_change_without_a_line_is_found(monkeypatch):
    before = {name: dict(about) for name, about in LISTED.items()}
    now = {name: about["signature"] for name, about in LISTED.items()}
    monkeypatch.setattr(names, "changelog_lines", lambda name: before.get(name, {}).get("said", []))
    assert names.unsaid(before, now) == []
    now["fastload.install"] = "(*, pictures: bool=True) -> None"
    now["fastload.close"] = now.pop("fastload.open")
    (new, changed, gone) = names.unsaid(before, now)
    assert "fastload.close is new" in new and "`close`" in new
    assert "fastload.install was (*, images" in changed and "CHANGELOG.md" in changed
    assert "fastload.open has gone" in gone
    monkeypatch.setattr(names, "changelog_lines", lambda name: ["a line that was not there"])
    assert names.unsaid(before, now) == []


def test_lines_of_the_changelog_are_found_by_the_name_as_code(monkeypatch, tmp_path):
    monkeypatch.setattr(names, "ROOT", tmp_path)
    text = "# C\n\n## Unreleased\n\n* `fastload.open(file)`: lazy,\n  on two lines.\n* We open doors of `a` and install `b`.\n"
    text += "\n## 0.1.0\n\n* `fastload.install` is new, and so is `fastload.open`.\n"
    (tmp_path / "CHANGELOG.md").write_text(text)
    assert len(names.changelog_lines("fastload.open")) == 1
    assert names.changelog_lines("fastload.install") == []
