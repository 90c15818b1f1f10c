"""Triton's kernels on the CPU, in its interpreter, which has to be chosen before Triton is imported."""

from __future__ import annotations

import sys
import textwrap

import pytest

from children import environment, run


def check_equal(script: str) -> None:
    """Runs a script in an interpreter of its own; it asserts what it wants, and prints "equal" behind that."""
    pytest.importorskip("triton")
    done = run(sys.executable, "-c", textwrap.dedent(script), env=environment(TRITON_INTERPRET="1"))
    assert done.stdout == "equal\n", done.stderr
