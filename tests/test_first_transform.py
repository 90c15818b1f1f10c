"""CONTRIBUTING.md's first transform, done as it is written there, on a copy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def section() -> str:
    return re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)[1].removeprefix(
        "Your first transform\n"
    )


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", section(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def copy(tmp_path):
    """What is in the checkout and may be changed, with the core as it is built."""
    left_out = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("fastload", "tests", "pyproject.toml"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out, symlinks=True)
        else:
            shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def applied(change: str, copy: Path) -> None:
    done = subprocess.run(["git", "apply", "--recount", "-"], input=change, text=True, cwd=copy, capture_output=True)
    assert done.returncode == 0, done.stderr


def outcome(copy: Path) -> subprocess.CompletedProcess[str]:
    """The command of the page, with this interpreter."""
    (command,) = fenced("sh")
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = command.replace("python", sys.executable, 1)
    return subprocess.run(["bash", "-c", command], cwd=copy, env=environment, capture_output=True, text=True)


def test_its_changes_fit(copy):
    test, change = fenced("diff")
    applied(test, copy)
    applied(change, copy)
    assert (copy / "fastload/transforms/program_steps.py").read_text().count("F.invert") == 2


@pytest.mark.slow
def test_first_it_fails_then_it_passes(copy):
    test, change = fenced("diff")
    applied(test, copy)
    before = outcome(copy)
    (reason,) = re.findall(r"It fails, and says why: `(.*)`", section())
    assert before.returncode == 1 and reason in before.stdout and "1 failed" in before.stdout, before.stdout
    applied(change, copy)
    after = outcome(copy)
    assert after.returncode == 0 and "1 passed" in after.stdout, after.stdout
