"""Whether there is a driver of NVIDIA's, told without its library."""

from __future__ import annotations

from pathlib import Path


def has_gpu(root: Path = Path("/")) -> bool:
    """Whether the driver's devices are there."""
    return any((root / "dev").glob("nvidia[0-9]*"))
