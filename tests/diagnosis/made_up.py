"""Facts of runs that never were: steps, batches and samples of a machine with round numbers."""

from __future__ import annotations

from typing import Any

from fastload.diagnosis.facts import Facts, Fetch, LoaderFacts, Machine, Step

WHAT = {"num_workers": 2, "dataset": ["Photos"], "batch_size": 4, "sampler": "RandomSampler", "threads": None}


def run(
    *,
    wait: float = 0.09,
    work: float = 0.01,
    stages: dict[str, list[float]] | None = None,
    wall: float = 0.18,
    steps: int = 40,
    epochs: int = 1,
    start: float = 0.01,
    what: dict[str, Any] | None = None,
    step: dict[str, Any] | None = None,
    fetch: dict[str, Any] | None = None,
    machine: dict[str, Any] | None = None,
    loader: dict[str, Any] | None = None,
    device: dict[str, float] | None = None,
) -> Facts:
    """Two workers, a batch of four every ``wait + work`` seconds, made in ``wall`` seconds."""
    mine = LoaderFacts(0, 1, what={**WHAT, **(what or {})}, ends=[0.0] * epochs, **(loader or {}))
    at = 100.0
    for epoch in range(epochs):
        mine.starts.append((epoch, at, start))
        at += start
        for k in range(steps):
            mine.steps.append(Step(epoch, at, wait, work=work, images=4, size=1000, device=device, **(step or {})))
            made = {"cpu": 0.0, "items": 4, "item_seconds": wall, "slowest": (wall / 4, "7", None), **(fetch or {})}
            mine.fetches.append(Fetch(2 + k % 2, k % 2, at + wait - wall, wall, stages=stages, **made))
            at += wait + work
    samples = [{"at": 100.0 + k, "tree_runnable": 1, **_grown(machine or {}, k)} for k in range(11)]
    return Facts([mine], Machine(samples, cores=2.0))


def _grown(figures: dict[str, Any], k: int) -> dict[str, Any]:
    """Figures at second k: a tuple (a, b) grows from a by b a second."""
    return {
        name: _grown(value, k)
        if isinstance(value, dict)
        else value[0] + k * value[1]
        if isinstance(value, tuple)
        else value
        for name, value in figures.items()
    }
