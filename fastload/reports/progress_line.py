"""One line on a terminal that says how far a long piece of work is, how fast it goes and how long it will take."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

_SECONDS_BETWEEN = 0.1


class ProgressLine:
    """Counts work; writes its line to standard error where that is a terminal, and nothing where it is not.

    Args:
        what: is done, for the beginning of the line.
        total: of all units.
        unit: "images" or the like; "bytes" are written as MB and GB.
        stream: another place for the line.
    """

    def __init__(self, what: str, total: int, unit: str, stream: TextIO | None = None) -> None:
        self.done = 0
        self._what, self._total, self._unit = what, total, unit
        self._stream = sys.stderr if stream is None else stream
        self._shown = self._stream is not None and self._stream.isatty()
        self._begun = self._last = time.monotonic()

    def add(self, units: int = 1) -> None:
        """More is done."""
        self.done += units
        now = time.monotonic()
        if self._shown and now - self._last >= _SECONDS_BETWEEN:
            self._last = now
            self._stream.write(f"\r\033[K{self.text(now - self._begun)}")
            self._stream.flush()

    def text(self, seconds: float) -> str:
        """The line, ``seconds`` after the beginning."""
        rate = self.done / seconds if seconds > 0 else 0.0
        share = self.done / self._total if self._total else 1.0
        left = f", {_duration((self._total - self.done) / rate)} left" if rate else ""
        amounts = f"{self._amount(self.done)} of {self._amount(self._total)}, {self._amount(rate)}/s"
        return f"{self._what}: {share:.0%}, {amounts}{left}"

    def _amount(self, units: float) -> str:
        if self._unit != "bytes":
            return f"{units:,.0f} {self._unit}"
        return f"{units / 1e9:.2f} GB" if units >= 1e9 else f"{units / 1e6:.1f} MB"

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._stream.write("\r\033[K")
            self._stream.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
