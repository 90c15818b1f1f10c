"""A process forked when a loader is first used, as a worker would be: later it experiments with the data set as it was then."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import stat
import time
import warnings
from collections.abc import Callable
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from fastload.diagnosis.session import SETTINGS
from fastload.reports import start_time

_LOOK_EVERY_S = 0.1
_LOADERS = 3  # of one process; those after them go without experiments


def stand_by(folder: str, loader: Any, number: int, leave: Callable[[], None]) -> None:
    """Forks; the child waits for :func:`command` and ends with the run's folder or its supervisor.

    Args:
        leave: called in the child, which is not to be recorded.
    """
    from fastload.diagnosis.fetch_recorder import in_a_worker

    if number >= _LOADERS or not hasattr(os, "fork") or in_a_worker():
        return
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's about threads: this child does what a forked worker does
        pid = os.fork()
    if pid == 0:
        try:
            leave()
            _wait_and_experiment(Path(folder), loader, number, parent)
        finally:
            os._exit(0)


def _wait_and_experiment(folder: Path, loader: Any, number: int, parent: int) -> None:
    gc.freeze()
    os.setpgid(0, 0)  # a terminal's Ctrl-C is the script's
    for each in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(each, signal.SIG_IGN if each != signal.SIGCHLD else signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _silence()
    _let_go()
    settings = json.loads((folder / SETTINGS).read_text())
    order = folder / f"experiment-{os.getpid()}"
    draft = folder / f"draft-{os.getpid()}"
    draft.write_text(str(number))
    draft.rename(folder / f"spare-{os.getpid()}")  # whoever sees it sees what is in it
    while not order.exists():
        if not folder.exists() or not os.path.exists(f"/proc/{settings['supervisor']}"):
            return
        time.sleep(_LOOK_EVERY_S)
    from fastload.diagnosis.experiments import experiment

    experiment(str(folder), loader, number, parent, float(order.read_text()))
    (folder / f"done-{os.getpid()}").touch()


def _silence() -> None:
    """What the script's own code prints here is no part of its output."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def _let_go() -> None:
    """Of inherited pipes and sockets: others wait for the end of this process's parent by the end of one."""
    resource_tracker._resource_tracker._fd = None  # type: ignore[attr-defined]  # a later one is started anew
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            mode = os.fstat(int(name)).st_mode
            if int(name) > 2 and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
                os.close(int(name))


def command(folder: Path, number: int, seconds: float) -> bool:
    """Has the experiments with a loader made, and returns when they are over. False: there is nobody to make them."""
    for spare in sorted(folder.glob("spare-*")):
        pid = int(spare.name.rpartition("-")[2])
        if spare.read_text() != str(number) or not os.path.exists(f"/proc/{pid}"):
            continue
        draft = folder / f"draft-{pid}"
        draft.write_text(str(seconds))
        draft.rename(folder / f"experiment-{pid}")
        late = time.monotonic() + 2 * seconds + 40
        try:
            while time.monotonic() < late and start_time(pid) is not None and not (folder / f"done-{pid}").exists():
                time.sleep(_LOOK_EVERY_S)
        finally:
            if not (folder / f"done-{pid}").exists():
                _kill(folder, pid)
        return True
    return False


def dismiss(folder: Path) -> None:
    """Whoever still waits for a command gets none, and is gone."""
    for spare in folder.glob("spare-*"):
        pid = int(spare.name.rpartition("-")[2])
        _kill(folder, pid)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _kill(folder: Path, pid: int) -> None:
    """An experimenting process and those that it has started, each with a group of its own."""
    groups = [pid, *(int(trial.name.rpartition("-")[2]) for trial in folder.glob("trial-*"))]
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
