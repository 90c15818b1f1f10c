"""Ctrl-C while a script stands still for experiments is for these: at the script's processes it waits, and goes by later."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from types import FrameType


def let_it_go_by(folder: str | Path) -> None:
    """In a process of the script, in its main thread: one SIGINT that :func:`mark` saw is nothing; others are what they were."""
    before = signal.getsignal(signal.SIGINT)
    if before in (signal.SIG_IGN, None):
        return

    def interrupted(number: int, frame: FrameType | None) -> None:
        try:
            os.unlink(_name(folder, os.getpid()))
            return
        except OSError:
            pass
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    with contextlib.suppress(ValueError):  # another thread
        signal.signal(signal.SIGINT, interrupted)


def mark(folder: Path, processes: list[int]) -> None:
    """Of processes that stand still, those at which a SIGINT waits."""
    for process in processes:
        with contextlib.suppress(OSError, IndexError):
            pending = Path(f"/proc/{process}/status").read_text().split("\nShdPnd:")[1].split()[0]
            if int(pending, 16) >> (signal.SIGINT - 1) & 1:
                _name(folder, process).touch()


def _name(folder: str | Path, process: int) -> Path:
    return Path(folder) / f"interrupted-{process}"
