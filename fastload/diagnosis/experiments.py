"""Experiments with a loader's data set, each of which takes away one cost. Made in a process that a run has set aside."""

from __future__ import annotations

import contextlib
import multiprocessing.util
import os
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fastload.diagnosis.function_experiment import without_costliest
from fastload.diagnosis.item_experiment import items_alone
from fastload.diagnosis.loader_experiment import sweep
from fastload.diagnosis.memory_experiment import from_memory
from fastload.diagnosis.run_folder import Lines
from fastload.diagnosis.sample_paths import files_of
from fastload.diagnosis.storage_probe import probe

_FILES = 400
_LOOK_EVERY_S = 0.05
# An experiment that takes longer than it should is killed with all that it has started.
_TIMES_OVER, _GRACE_S = 1.5, 10.0
_FAILED = 3  # exit status of a trial
# Shares of the time that all may take.
_ITEMS, _STORAGE, _SWEEP, _WITHOUT, _MEMORY = 0.15, 0.15, 0.5, 0.1, 0.1


# Given its seconds, and whom to tell what was found so far; gives all that was found.
_Work = Callable[[float, Callable[[dict[str, Any]], None]], Any]


def experiment(folder: str, loader: Any, number: int, process: int, seconds: float) -> None:
    """Writes a line for each experiment; one that fails says why, and the others go on.

    Args:
        folder: of the run.
        loader: whose data set, collate_fn and batch size are used; it is not iterated over itself.
        number, process: the loader's number in the process that has it.
        seconds: that all may take together.
    """
    warnings.simplefilter("ignore")  # of more workers than cores, and the like
    torch.set_num_threads(1)  # as in a worker
    files = files_of(loader.dataset, _FILES)
    works: dict[str, tuple[float, _Work]] = {
        "storage": (_STORAGE, lambda limit, tell: probe(files, limit)),
        "items": (_ITEMS, lambda limit, tell: items_alone(loader, limit)),  # after which their files are in memory
        "without": (_WITHOUT, lambda limit, tell: without_costliest(loader, limit)),
        "memory": (_MEMORY, lambda limit, tell: from_memory(loader, folder, limit)),
        "sweep": (_SWEEP, lambda limit, tell: sweep(loader, limit, tell)),
    }
    unused = 0.0  # which the last one has: the more time, the less noise
    for name, (share, work) in works.items():
        began = time.monotonic()
        limit = share * seconds + (unused if name == "sweep" else 0.0)
        line = {"loader": number, "parent": process, "name": name}
        for last in (False, True):  # one that fails is tried once more: a worker may have met another's end
            if _forked_trial(folder, line, work, limit, last):
                break
        unused += max(0.0, limit - (time.monotonic() - began))


def _forked_trial(folder: str, line: dict[str, Any], work: _Work, limit: float, tell_errors: bool) -> bool:
    """In a process of its own: threads that an item starts do not meet the fork of another experiment's workers. False: it failed,
    and nothing was told."""
    trial = os.fork()
    if trial == 0:
        failed = False
        try:
            os.setpgid(0, 0)
            multiprocessing.util._run_after_forkers()  # type: ignore[attr-defined]  # as in its processes: what shares files begins anew
            Path(folder, f"trial-{os.getpid()}").touch()
            failed = not _try(Lines(folder, "experiment"), line, work, limit, tell_errors)
        finally:
            os._exit(_FAILED if failed else 0)
    return _wait_for(trial, _TIMES_OVER * limit + _GRACE_S) != _FAILED


def _try(lines: Lines, line: dict[str, Any], work: _Work, limit: float, tell_errors: bool) -> bool:
    """Whether there is a line of it. The last one counts."""
    began = time.perf_counter()

    def tell(found: dict[str, Any]) -> None:
        lines.add({"kind": "experiment", **line, "found": {**found, "seconds": time.perf_counter() - began}})
        lines.flush()

    try:
        found = work(limit, tell)
    except Exception as error:  # of somebody's data set
        if not tell_errors:
            return False
        found = {"error": f"{type(error).__name__}: {error}"[:300]}
    if found:
        tell(found)
    return True


def _wait_for(trial: int, limit: float) -> int:
    """Its exit status; 0 where it was late, and was ended."""
    late = time.monotonic() + limit
    while (ended := os.waitpid(trial, os.WNOHANG)) == (0, 0):
        if time.monotonic() > late:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(trial, signal.SIGKILL)
            os.waitpid(trial, 0)
            return 0
        time.sleep(_LOOK_EVERY_S)
    return os.waitstatus_to_exitcode(ended[1])
