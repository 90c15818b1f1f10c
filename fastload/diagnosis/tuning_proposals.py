"""What lies beyond a loader's settings: keeping samples in memory, another format of the data. Proposed with what it would give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastload.diagnosis.cache_sizes import cache_sizes
from fastload.diagnosis.memory_predictions import DECODING, READING, rate_without
from fastload.diagnosis.trial import Trial
from fastload.diagnosis.trial_loaders import Choice

_WORTH = 1.03
_WAITS = 0.02  # of a step: less waiting is none


def proposals(loader: Any, kept: Choice, trial: Trial) -> Iterator[dict[str, Any]]:
    """``remedy``, ``images_per_second``, ``step_seconds``, ``gain``, ``line`` and ``rests_on`` each, from native threads' stages.

    A step takes what its work takes, or what making its batch takes, whichever is longer; of the latter stages are left out.
    """
    stages: dict[str, float] = trial.stats.get("stages") or {}
    sizes = cache_sizes(loader.dataset)
    if not kept.ours or sum(stages.values()) <= 0 or not sizes or trial.wait <= _WAITS * (trial.wait + trial.work):
        return
    now = max(trial.work, trial.images / trial.steady)
    rests_on = "the stages of native threads"
    convert = "fastload convert DATA SHARDS --to webdataset"
    remedies: list[tuple[str, tuple[str, ...], str, str]] = [
        ("shards", READING, convert, f"{rests_on}; at most, as shards are read, too")
    ]
    for kind, left_out in (("encoded", READING), ("decoded", DECODING)):
        if 0 < sizes[kind] <= sizes["room"]:
            line = f'fastload.DataLoader(..., cache="{kind}")  # {sizes[kind] / 1e9:.2f} GB of memory'
            remedies.append((f"cache_{kind}", left_out, line, rests_on))
    found: list[tuple[float, dict[str, Any]]] = []
    for remedy, left_out, line, rests_on in remedies:
        step = max(trial.work, trial.images / rate_without(trial.steady, stages, left_out))
        gain = now / step - 1
        values = {"remedy": remedy, "images_per_second": trial.images / step, "step_seconds": step, "gain": gain}
        found.append((gain, {**values, "line": line, "rests_on": rests_on}))
    for gain, proposal in sorted(found, key=lambda each: -each[0]):
        if gain > _WORTH - 1:
            yield proposal
