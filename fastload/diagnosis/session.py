"""One profiled run: recorders go into a process here, and come out again."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from pathlib import Path

FOLDER_VARIABLE = "FASTLOAD_PROFILE"
"""Names a run's folder to the script's processes."""
SETTINGS = "settings.json"
"""In that folder: what its supervisor wants."""
OVER = "over"
"""In that folder, once enough is measured: the moment, on the machine's monotonic clock."""


def start_sampler(folder: str, pid: int) -> subprocess.Popen[bytes] | None:
    """The process that samples the machine; None where psutil is missing."""
    try:
        import psutil  # noqa: F401
    except ImportError:
        return None
    command = [sys.executable, str(Path(__file__).with_name("machine_sampler.py")), folder, str(pid)]
    environment = {name: value for name, value in os.environ.items() if name != FOLDER_VARIABLE}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )


def stop_sampler(sampler: subprocess.Popen[bytes] | None) -> None:
    """It writes its last line and ends."""
    if sampler is None:
        return
    assert sampler.stdin is not None
    sampler.stdin.close()
    try:
        sampler.wait(timeout=10)
    except subprocess.TimeoutExpired:
        sampler.kill()
        sampler.wait()


def wait_for(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Until it has ended, or so many seconds are over; ``Popen.wait`` with a limit would look for it a hundred times a second."""
    try:
        file = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # another system, or a kernel that has none
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return
    try:
        select.select([file], [], [], seconds)
    finally:
        os.close(file)
