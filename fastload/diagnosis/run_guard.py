"""``python -I -S run_guard.py FOLDER``: outlives who supervises a run. Where that is killed, what it had stopped goes on, what it
had set aside ends, and the run's folder goes.

A process of its own session, of Python's standard library alone. Its input is a pipe: a line ``SIGNAL PID`` is what is to be
done in the end, a line ``over`` takes all of them back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class RunGuard:
    """The supervisor's end of it.

    Args:
        folder: of the run; the supervisor removes it too, where it ends as it should.
    """

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def in_the_end(self, number: signal.Signals, process: int) -> None:
        """Sends a signal to a process, if this one is gone before it says ``over``; told before the process is touched."""
        self._say(f"{int(number)} {process}")

    def over(self) -> None:
        """Nothing is to be done any more but for the folder."""
        self._say("over")

    def close(self) -> None:
        """Waits until the folder is gone."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # somebody killed it
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()


def guard(folder: Path, lines: Iterable[str]) -> None:
    """Until the lines end; then what they say."""
    last: list[tuple[int, int]] = []
    for line in lines:
        if line == "over\n":
            last.clear()
        elif line.endswith("\n"):  # whole
            number, process = map(int, line.split())
            last.append((number, process))
    for kind in ("spare", "trial"):
        for path in folder.glob(f"{kind}-*"):
            _send(-int(path.name.rpartition("-")[2]), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
    for number, process in reversed(last):
        _send(process, number)


def _send(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    guard(Path(sys.argv[1]), sys.stdin)
