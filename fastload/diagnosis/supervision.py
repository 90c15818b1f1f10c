"""``fastload profile``: a script as python would run it, watched from outside; whatever way it ends, what was seen is reported."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fastload.diagnosis.group_witness import GroupWitness
from fastload.diagnosis.interrupt_in_pause import mark
from fastload.diagnosis.reporting import report_run
from fastload.diagnosis.run_guard import RunGuard
from fastload.diagnosis.session import FOLDER_VARIABLE, OVER, SETTINGS, start_sampler, stop_sampler, wait_for
from fastload.machine import processes_below

_LOOK_EVERY_S = 0.05
_LOOK_BESIDE_EVERY_S = 0.25  # while the script runs: each look takes a core from it
_OTHER_RANKS_S = 15.0


def supervise(
    command: list[str],
    environment: dict[str, str],
    *,
    seconds: float | None,
    steps: int | None,
    experiment_seconds: float,
    json_path: str | None,
    html_path: str | None,
) -> int:
    """Runs a command to its end and reports to stderr; the command's status, negative for a signal that killed it.

    Args:
        command: of Python, whose start-up files find ``FASTLOAD_PROFILE``.
        environment: of the command.
        seconds, steps: how long to measure; the command goes on.
        experiment_seconds: how long the experiments may take in all; 0 for none.
        json_path, html_path: where reports go.
    """
    folder, is_reporter, ranks = _folder()
    settings = {"seconds": seconds, "steps": steps, "supervisor": os.getpid(), "experiments": experiment_seconds > 0}
    if is_reporter or not (folder / SETTINGS).exists():
        draft = folder / f"settings-{os.getpid()}"
        draft.write_text(json.dumps(settings))
        draft.rename(folder / SETTINGS)
    reported = False
    interrupted: list[int] = []
    guard = RunGuard(folder) if is_reporter else None

    def report(process: subprocess.Popen[bytes] | None) -> None:
        nonlocal reported
        reported = True
        seconds = 0.0 if interrupted else experiment_seconds  # who pressed Ctrl-C wants an end
        report_run(folder, seconds, json_path, html_path, status=process.poll() if process else None)

    try:
        with _signals_passed_on(interrupted) as children:
            process = subprocess.Popen(command, env={**environment, FOLDER_VARIABLE: str(folder)})
            children.append(process)
            sampler = start_sampler(str(folder), process.pid)
            try:
                while process.poll() is None:
                    wait_for(process, _LOOK_BESIDE_EVERY_S)
                    if guard and not reported and (folder / OVER).exists():
                        stop_sampler(sampler)
                        sampler = None
                        with _paused(process.pid, folder, guard, experiment_seconds > 0 and not interrupted):
                            report(process)
            finally:
                stop_sampler(sampler)
            (folder / f"ended-{os.getpid()}").touch()
            if is_reporter and not reported:
                _wait_for_ranks(folder, ranks)
                report(process)
            return process.returncode
    finally:
        if guard:
            shutil.rmtree(folder, ignore_errors=True)
            guard.close()


def _folder() -> tuple[Path, bool, int]:
    """A folder of this run, whether this process reports, and how many ranks of this machine share it."""
    ranks, rank = os.environ.get("LOCAL_WORLD_SIZE", "1"), os.environ.get("LOCAL_RANK", "0")
    if not ranks.isdigit() or int(ranks) < 2 or not rank.isdigit():
        return Path(tempfile.mkdtemp(prefix="fastload-")), True, 1
    run = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    folder = Path(tempfile.gettempdir()) / f"fastload-{os.getuid()}-{os.getppid()}-{run}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} is somebody else's")
    return folder, rank == "0", int(ranks)


def _wait_for_ranks(folder: Path, ranks: int) -> None:
    late = time.monotonic() + _OTHER_RANKS_S
    while len(list(folder.glob("ended-*"))) < ranks and time.monotonic() < late:
        time.sleep(_LOOK_EVERY_S)


@contextlib.contextmanager
def _signals_passed_on(interrupted: list[int]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """What comes to the whole group, as Ctrl-C does, reaches the script by itself; a signal for this process alone is handed on."""
    children: list[subprocess.Popen[bytes]] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
    witness = GroupWitness(numbers)

    def hand_on(number: int, _: object) -> None:
        if number == signal.SIGINT:
            interrupted.append(number)
        if witness.saw(number):
            return
        for child in children:
            if child.returncode is None:
                child.send_signal(number)

    before = {}
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:  # which the script inherits
            before[number] = signal.signal(number, hand_on)
    try:
        yield children
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        witness.close()


@contextlib.contextmanager
def _paused(pid: int, folder: Path, guard: RunGuard, for_experiments: bool) -> Iterator[None]:
    """The script and all that it started stand still, but for those that experiment. Ctrl-C meanwhile is not for the script."""
    spares = {int(path.name.rpartition("-")[2]) for path in folder.glob("spare-*")}
    stopped: list[int] = []
    try:
        for process in [pid, *processes_below(pid)]:
            if process not in spares:
                guard.in_the_end(signal.SIGCONT, process)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGSTOP)
                    stopped.append(process)
        yield
    finally:
        if for_experiments:
            mark(folder, stopped)
        for process in reversed(stopped):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGCONT)
        guard.over()


def end_as(status: int) -> None:
    """Ends this process as another one ended."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no other
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status & 0xFF)
