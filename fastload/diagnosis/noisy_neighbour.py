"""What a training step takes while the loader's workers stand idle, and while they work beside it: they share cores and memory."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from fastload.diagnosis.facts import LoaderFacts

_IDLE, _BUSY = 0.1, 0.5  # shares of a step in which a worker makes batches, on average
_FEWEST = 5


def neighbour_of(loader: LoaderFacts) -> dict[str, Any] | None:
    """``idle_seconds``, ``busy_seconds`` (medians of T_comp), ``idle_steps`` and ``busy_steps``.

    None without workers, and where there were under five steps of either kind: a store of batches that is never full, or always.
    """
    fetches = [fetch for fetch in loader.fetches if fetch.worker >= 0]
    steps = [step for step in loader.steps if step.work]
    if not fetches or not steps or not loader.workers:
        return None
    began = np.sort([fetch.at for fetch in fetches])
    ended = np.sort([fetch.at + fetch.wall for fetch in fetches])
    work = np.array([step.worked for step in steps])
    start = np.array([step.at + step.wait for step in steps])
    busy = (_worked_until(start + work, began, ended) - _worked_until(start, began, ended)) / work / loader.workers
    idle, beside = work[busy < _IDLE], work[busy > _BUSY]
    if min(len(idle), len(beside)) < _FEWEST:
        return None
    return {
        "idle_seconds": statistics.median(idle.tolist()),
        "busy_seconds": statistics.median(beside.tolist()),
        "idle_steps": len(idle),
        "busy_steps": len(beside),
    }


def _worked_until(times: np.ndarray, began: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """Seconds that all workers together had spent on batches at each of these times."""

    def past(moments: np.ndarray) -> np.ndarray:
        """The sum of (time - moment) over the moments before it."""
        count = np.searchsorted(moments, times)
        sums = np.concatenate([[0.0], np.cumsum(moments - moments[0])])
        past: np.ndarray = count * (times - moments[0]) - sums[count]
        return past

    between: np.ndarray = past(began) - past(ended)
    return between
