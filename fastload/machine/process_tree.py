"""The processes that a process has started, and those that these have: by the kernel's own lists, with no look at all others."""

from __future__ import annotations

import contextlib
import os


def processes_below(process: int) -> list[int]:
    """Each before those that it has started. Empty where the kernel keeps no such lists."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{process}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{process}/task/{task}/children", "rb") as children:
                for child in map(int, children.read().split()):
                    found += [child, *processes_below(child)]
    return found
