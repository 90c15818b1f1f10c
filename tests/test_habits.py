"""What contributors are promised: a line of help for each target, hooks that check what CI does, templates that parse."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()


# Rules that are no file's: "names: …", but not "name: VARIABLE := …".
RULES = re.findall(r"^([a-z][a-z -]*):(?!=)(?! *[A-Z]+ *:=)(.*)$", MAKEFILE, re.MULTILINE)
TARGETS = {name for names, _ in RULES for name in names.split()}


def test_every_target_has_its_line_of_help():
    assert [names for names, rest in RULES if not re.search(r" ## \S", rest)] == []
    said = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    )
    lines = dict(re.findall(r"^(\S+) +(\S.*)$", said.stdout, re.MULTILINE))
    assert said.returncode == 0 and lines.keys() == TARGETS
    known = subprocess.run(["make", "-pnq", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert set(re.search(r"^\.PHONY: (.*)$", known, re.MULTILINE)[1].split()) == TARGETS


def test_ci_and_the_pages_name_targets_that_are_there():
    named = set()
    for page in (".ci/run", "CONTRIBUTING.md", "README.md", ".github/pull_request_template.md"):
        for words in re.findall(r"(?:^|`)make ([a-z -]+)", (ROOT / page).read_text(), re.MULTILINE):
            named |= set(words.split())
    assert named and named <= TARGETS


def hooks():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    return {hook["id"]: hook for hook in repo["hooks"]}


def test_hooks_check_what_lint_does_with_the_same_versions():
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]
    programs = set(re.findall(r"\$\(BIN\)/([\w-]+)", lint))
    assert {hook["entry"].split()[0].rpartition("/")[2] for hook in hooks().values()} >= programs
    assert {"ruff", "mypy", "basedpyright", "check-jsonschema", "zizmor"} <= programs
    pinned = (ROOT / "requirements" / "test.txt").read_text().splitlines()
    for hook in hooks().values():
        for library in hook.get("additional_dependencies", []):
            assert library in pinned or library.startswith("clang-format=="), library


@pytest.mark.parametrize("name", ["other_batches.yml", "slow.yml"])
def test_forms_of_issues(name):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / name).read_text())
    assert form["name"] and form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_scripts_are_shell():
    """As bash reads them; and shellcheck, where it is installed."""
    scripts = sorted(
        [*ROOT.glob("packaging/*.sh"), *ROOT.glob("docker/*.sh"), *ROOT.glob("tests/*.sh"), ROOT / ".ci" / "run"]
    )
    assert len(scripts) > 5
    subprocess.run(["bash", "-n", *scripts], check=True)
    for script in scripts:
        assert re.search(r"^set -euo pipefail$", script.read_text(), re.MULTILINE), script
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-S", "warning", *scripts], check=True)
