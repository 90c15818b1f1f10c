"""How far long work is: a bar on a terminal (with the library rich), plain lines elsewhere; always on the standard error."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

_LINE_EVERY_S = 5.0


class ProgressBar:
    """A context manager; ``show`` is called as often as one likes."""

    def __init__(self) -> None:
        self._bar = _bar() if sys.stderr is not None and sys.stderr.isatty() else None
        self._task: Any = None
        self._step = ""
        self._shown = time.monotonic()

    def show(self, step: str, done: int, of: int, text: str) -> None:
        """``done`` of so many, and what else there is to say."""
        if self._bar is not None:
            self._bar.start()  # only now: an index may have been made before, with a line of its own
            if step != self._step:
                self._task = self._bar.add_task(step, total=of)
            self._bar.update(self._task, completed=done, total=of, text=text)
        elif time.monotonic() >= self._shown + _LINE_EVERY_S:
            self._shown = time.monotonic()
            click.echo(f"{step}: {100 * done // max(of, 1)} %, {text}", err=True)
        self._step = step

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar() -> Any:
    """None without the library."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    except ImportError:
        return None
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[text]}"))
    return Progress(*columns, console=Console(stderr=True))


def rate(samples: int, size: int, seconds: float, samples_left: int) -> str:
    """Images and megabytes a second, and the time that is left at this speed."""
    if samples == 0 or seconds <= 0:
        return ""
    left = int(samples_left * seconds / samples)
    clock = f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
    return f"{samples / seconds:,.0f} images/s, {size / seconds / 1e6:,.0f} MB/s, {clock} left"
