"""One thing that ``fastload doctor`` looked at, and amounts as people read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What was looked at and what was found; with ``mend`` it is a finding.

    Attributes:
        name: of the check, one word or two joined; the same in every version.
        found: what is there, with its number.
        why: what a finding costs.
        mend: the command that mends it.
    """

    name: str
    found: str
    why: str = ""
    mend: str = ""

    @property
    def is_finding(self) -> bool:
        return bool(self.mend)


def in_bytes(count: float) -> str:
    """``1536`` -> ``1.5 KiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def in_time(seconds: float) -> str:
    """``0.0123`` -> ``12 ms``."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
