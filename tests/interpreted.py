"""Triton's kernels on the CPU, in its interpreter, which has to be chosen before Triton is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def check_equal(script: str) -> None:
    """Runs a script in a process of its own; it asserts what it wants, and prints "equal" behind that."""
    pytest.importorskip("triton")
    tests = Path(__file__).parent
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, timeout=110
    )
    assert done.stdout == "equal\n", done.stderr
