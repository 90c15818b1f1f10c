"""A command as somebody runs it at a terminal: Ctrl-C reaches it and all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from children import environment, interruptible


@contextlib.contextmanager
def at_a_terminal(
    command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The process, which leads a session of its own; nothing of that is left where the ``with`` statement ends."""
    with interruptible():
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=cwd,
            env=environment() if env is None else env,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    """Of a process :func:`at_a_terminal`."""
    os.killpg(process.pid, signal.SIGINT)
