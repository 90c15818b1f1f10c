"""What a build lacks is named, with what to install: with ``--no-build-isolation`` nobody has seen to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def setup(*arguments: object, **environment: str) -> str:
    """What setup.py says as it ends with status 1."""
    command = [sys.executable, str(ROOT / "setup.py"), "-q", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr.strip().splitlines()[-1]


def needs() -> list[str]:
    """As pyproject.toml names them."""
    (listed,) = re.findall(
        r'^requires = \[(.*)\]\nbuild-backend = "setuptools', (ROOT / "pyproject.toml").read_text(), re.M
    )
    return re.findall(r'"([^"]*)"', listed)


def is_named(said: str) -> bool:
    """As a command that a shell takes: all of them, quoted where it must be."""
    return said.endswith("pip install " + " ".join(f"'{one}'" if ">" in one else one for one in needs()))


@pytest.mark.parametrize("version", ["65.5.0", "76.1"])
def test_an_old_setuptools(tmp_path, version):
    (tmp_path / "setuptools.py").write_text(f"__version__ = {version!r}\n")
    said = setup("--version", PYTHONPATH=str(tmp_path))
    assert said.startswith(f"fastload is built by setuptools 77 or newer, and this is {version}. ") and is_named(said)
    assert "setuptools>=77" in needs()


def test_no_cmake(tmp_path):
    said = setup("build_ext", "--build-lib", tmp_path / "lib", "--build-temp", tmp_path / "temp", PATH=str(tmp_path))
    assert said.startswith(
        "fastload's core is built with cmake and ninja, not found here (an activated environment's are). "
    ) and is_named(said)
    assert not list(tmp_path.iterdir())
