"""What reading further ahead would give: only times that vary gain by it."""

from __future__ import annotations

from fastload.diagnosis.queue_simulation import loop_seconds
from fastload.diagnosis.remedy_model import Model, Prediction

_FEWEST = 16  # batches, each with its time
_GROWTH = (2, 4, 8)


def prefetch_predictions(model: Model) -> list[Prediction]:
    """From the measured times of each batch, in the measured order."""
    loader = model.loader
    workers, factor = int(loader.what.get("num_workers") or 0), int(loader.what.get("prefetch_factor") or 2)
    working = [step.worked for step in loader.steps if step.work is not None]
    making = [fetch.wall for fetch in sorted(loader.fetches, key=lambda fetch: fetch.at) if fetch.worker >= 0]
    count = min(len(making), len(working))
    if loader.is_native or not workers or count < _FEWEST:
        return []
    making, working = making[:count], working[:count]

    def epochs(ahead: int) -> float:
        """Seconds of all: nothing is read ahead from one into the next."""
        parts = (slice(at, at + model.batches) for at in range(0, count, model.batches))
        return sum(loop_seconds(making[part], working[part], workers, ahead) for part in parts)

    now = epochs(factor * workers)
    found = []
    for growth in _GROWTH:
        step = model.step * epochs(growth * factor * workers) / now
        line = f"DataLoader(..., prefetch_factor={growth * factor})"
        rests_on = "the times of each batch, in a model of the queue"
        found.append(model.of(f"prefetch_factor={growth * factor}", step, line, rests_on))
    return found
