"""Experiments with a loader's data set, each of which takes away one cost. Made in a process that a run has set aside."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from fastload.diagnosis.item_experiment import items_alone
from fastload.diagnosis.loader_experiment import sweep
from fastload.diagnosis.run_folder import Lines
from fastload.diagnosis.sample_paths import files_of
from fastload.diagnosis.storage_probe import probe

_FILES = 400
# Shares of the time that all may take.
_ITEMS, _STORAGE, _SWEEP = 0.15, 0.15, 0.6


def experiment(folder: str, loader: Any, number: int, process: int, seconds: float) -> None:
    """Writes a line for each experiment; one that fails says why, and the others go on.

    Args:
        folder: of the run.
        loader: whose data set, collate_fn and batch size are used; it is not iterated over itself.
        number, process: the loader's number in the process that has it.
        seconds: that all may take together.
    """
    lines = Lines(folder, "experiment")
    warnings.simplefilter("ignore")  # of more workers than cores, and the like
    torch.set_num_threads(1)  # as in a worker

    def make(name: str, work: Callable[[], Any]) -> None:
        began = time.perf_counter()
        try:
            found = work()
        except Exception as error:  # of somebody's data set, in a process of its own
            found = {"error": f"{type(error).__name__}: {error}"[:300]}
        if found:
            found["seconds"] = time.perf_counter() - began
            lines.add({"kind": "experiment", "loader": number, "parent": process, "name": name, "found": found})
            lines.flush()

    make("items", lambda: items_alone(loader, seconds * _ITEMS))
    make("storage", lambda: probe(files_of(loader.dataset, _FILES), seconds * _STORAGE))
    make("sweep", lambda: sweep(loader, seconds * _SWEEP))
