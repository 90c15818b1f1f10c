"""NVIDIA DALI, imported when it is used: whether it is there, and what it says when it fails."""

from __future__ import annotations

import importlib.util
from typing import Any

from fastload.engine import end_first

INSTALL = 'pip install "fastload-torch[dali]"'


def why_missing() -> str:
    """Why DALI cannot be used here; empty if it seems to be installed. Imports nothing."""
    try:
        found = importlib.util.find_spec("nvidia.dali") is not None
    except ModuleNotFoundError:
        found = False
    return "" if found else f"NVIDIA DALI is not installed: {INSTALL}"


def unusable(failure: Exception) -> RuntimeError:
    """The error for a user whose DALI cannot be used at all."""
    error = RuntimeError(f"NVIDIA DALI does not work here: {last_line(failure)}")
    error.__cause__ = failure
    return error


def import_dali() -> tuple[Any, Any, Any]:
    """DALI, its ``fn`` and its ``types``; RuntimeError where they cannot be imported."""
    try:
        from nvidia import dali
        from nvidia.dali import fn, types
    except ImportError as error:
        raise RuntimeError(f"NVIDIA DALI cannot be imported ({error}): {INSTALL}") from error
    end_first()  # DALI shuts its pipelines down at the end, and fails where one is still being made
    return dali, fn, types


def last_line(error: BaseException) -> str:
    """Of what DALI says, what matters."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Current pipeline object")]
    return lines[-1] if lines else type(error).__name__
