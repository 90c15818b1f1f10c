"""``fastload tune``: a script that trains while its loader's settings are tried, for so many seconds; what was found is read from
its run's folder, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastload.diagnosis.run_folder import lines_of
from fastload.diagnosis.run_guard import RunGuard
from fastload.diagnosis.session import FOLDER_VARIABLE, SETTINGS, start_sampler, stop_sampler, wait_for

_LOOK_EVERY_S = 0.1
_LAST_LINES = 12  # of a script that failed


@dataclass
class Outcome:
    """What ``fastload tune`` found, in plain values.

    Attributes:
        loader: what was tuned; None: no loader was met.
        rows: one a setting that was tried in a step.
        steps: those that are over, or were skipped.
        unfinished: images a second of each setting of a step that was not over, as far as they were measured.
        check: images a second ``before`` (the script's own settings) and ``after`` (what was kept), in turn, and the ``gain``.
        alone: the step with one batch again and again: images a second (``rate``), seconds (``work``), and seconds beside the
            loader that was kept (``work_beside_loader``).
        proposals: what lies beyond the settings.
        settings: that were kept; None: no step is over.
        ours: whether they are of fastload's loader.
        own: they are the script's, as it is.
        met: how many loaders were iterated over, the others too.
        problem: why there is nothing, or not all.
        interrupted: by Ctrl-C.
        seconds: that it took.
    """

    loader: dict[str, Any] | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    unfinished: dict[str, list[float]] = field(default_factory=dict)
    check: dict[str, Any] | None = None
    alone: dict[str, Any] | None = None
    proposals: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] | None = None
    ours: bool = False
    own: bool = True
    met: int = 0
    problem: str | None = None
    interrupted: bool = False
    seconds: float = 0.0


def tune(
    command: list[str],
    environment: dict[str, str],
    budget: float,
    loader: int | None,
    show: Callable[[str, float], None] = lambda doing, seconds: None,
) -> Outcome:
    """Runs a script until all has been tried or the time is over, and ends it.

    Args:
        command: of Python, whose start-up files find ``FASTLOAD_PROFILE``.
        environment: of the command.
        budget: seconds, for all.
        loader: the number of the loader, in the order in which they are iterated over; None: the first that shuffles.
        show: called now and then with what is being tried and the seconds since the beginning.
    """
    folder = Path(tempfile.mkdtemp(prefix="fastload-"))
    began = time.monotonic()
    until = began + budget
    tuning = {"until": until, "loader": loader, "supervisor": os.getpid()}
    (folder / SETTINGS).write_text(json.dumps({"tune": tuning}))
    interrupted = False
    guard = RunGuard(folder)
    try:
        with open(folder / "output", "wb") as output:
            process = subprocess.Popen(
                command,
                env={**environment, FOLDER_VARIABLE: str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for this process
            )
        guard.in_the_end(signal.SIGKILL, -process.pid)
        sampler = start_sampler(str(folder), process.pid)
        try:
            while process.poll() is None and time.monotonic() < until:
                wait_for(process, _LOOK_EVERY_S)
                show(_doing(folder), time.monotonic() - began)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            _end(process)
            guard.over()
            stop_sampler(sampler)
        outcome = read_outcome(folder)
        outcome.interrupted = interrupted
        outcome.seconds = time.monotonic() - began
        if outcome.problem is None and not outcome.steps:
            outcome.problem = _why_nothing(process.returncode, outcome, folder, interrupted, loader)
        return outcome
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        guard.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """The script and all that it started: a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _doing(folder: Path) -> str:
    last = None
    for line in lines_of(folder, "tuning"):
        if line["kind"] == "progress":
            last = line
    return "the script starts" if last is None else f"{last['step']}: {last['trying']}"


def _why_nothing(status: int, outcome: Outcome, folder: Path, interrupted: bool, loader: int | None) -> str:
    if interrupted:
        return "it was interrupted before anything was measured"
    text = (folder / "output").read_text("utf-8", "replace").rstrip().splitlines()[-_LAST_LINES:]
    if status == -signal.SIGKILL:
        met = "no DataLoader was iterated over" if outcome.met == 0 else "none of its loaders was the one to be tuned"
        met = met if outcome.loader is None else "no step was over"
        return "\n".join([f"the time was over, and {met}; give a larger --budget", *text])
    said = f"the script ended with status {status} before anything was measured"
    if outcome.met == 0 and status == 0:
        said = "No DataLoader was iterated over."
    elif outcome.loader is None and status == 0 and loader is None:
        said = "the script ended, and none of its loaders shuffles; name one with --loader 0"
    elif outcome.loader is None and status == 0:
        said = f"the script ended, and its loaders have the numbers 0 to {outcome.met - 1}: --loader {loader} is none of them"
    return "\n".join([said, *text])


def read_outcome(folder: Path) -> Outcome:
    """Of what the script's process has told so far."""
    outcome = Outcome()
    for line in lines_of(folder, "tuning"):
        kind = line.pop("kind")
        line.pop("pid")
        if kind == "met":
            outcome.met += 1
        elif kind == "loader":
            outcome.loader = line
        elif kind == "row":
            outcome.rows.append({**line, "gpu_percent": _gpu_percent(folder, line.pop("spans", []))})
        elif kind == "step":
            outcome.steps.append(line)
            outcome.unfinished = {}
            if "settings" in line:
                outcome.settings, outcome.ours, outcome.own = line["settings"], line["ours"], line["own"]
        elif kind == "trial":
            outcome.unfinished.setdefault(line["name"], []).append(line["rate"])
        elif kind == "check":
            outcome.check = line
            outcome.unfinished = {}
        elif kind == "alone":
            outcome.alone = line
        elif kind == "proposal":
            outcome.proposals.append(line)
        elif kind == "problem":
            outcome.problem = line["text"]
    if outcome.rows and not any("rate" in row for row in outcome.rows):
        outcome.settings = None
        errors = [row["error"] for row in outcome.rows if row["error"]]
        outcome.problem = outcome.problem or "\n".join(["nothing that was tried gave batches", *dict.fromkeys(errors)])
    return outcome


def _gpu_percent(folder: Path, spans: list[list[float]]) -> float | None:
    """The GPUs' mean utilisation in these spans of time; None where nobody told."""
    found = [
        sum(gpu["percent"] for gpu in line["gpus"]) / len(line["gpus"])
        for line in lines_of(folder, "machine")
        if line.get("gpus") and any(began <= line["at"] <= ended for began, ended in spans)
    ]
    return sum(found) / len(found) if found else None
