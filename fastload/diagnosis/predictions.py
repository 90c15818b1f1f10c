"""What each remedy would give: images and seconds a step, from what was measured; the line to write; the largest gain first."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from fastload.diagnosis.facts import Facts, LoaderFacts
from fastload.diagnosis.fetch_costs import PYTHON, STORAGE, costs_of
from fastload.diagnosis.scalability import rate_at
from fastload.diagnosis.shares import COPY, EPOCH_START, KINDS, MAIN_THREAD, Shares
from fastload.diagnosis.verdict import batch_seconds

_WORTH = 1.03  # of the images a second that there are now


@dataclass
class Prediction:
    """One remedy.

    Attributes:
        rests_on: the measurement behind it.
    """

    remedy: str
    images_per_second: float
    step_seconds: float
    line: str
    rests_on: str


class _Model:
    """A step is what the training step takes or what the loader takes, whichever is longer, and what nothing overlaps."""

    def __init__(self, facts: Facts, loader: LoaderFacts, shares: Shares) -> None:
        steps = [step for step in loader.steps if step.work is not None]
        self.images = statistics.mean(step.images for step in steps) or 1.0
        self.step = shares.total / len(steps)
        self.start = shares.seconds[EPOCH_START] / len(steps)
        self.main = shares.seconds[MAIN_THREAD] / len(steps)
        self.work = statistics.mean(step.work or 0.0 for step in steps)
        self.copy = shares.seconds[COPY] / len(steps)
        self.loader = loader
        self.shares = shares
        self.facts = facts

    def now(self) -> float:
        """Images a second as it is."""
        return self.images / self.step

    def of(self, remedy: str, step: float, line: str, rests_on: str) -> Prediction:
        """A prediction from the seconds of a step."""
        return Prediction(remedy, self.images / max(step, 1e-9), step, line, rests_on)

    def fed_at(self, rate: float) -> float:
        """Seconds of a step where the loader, beside the training step, gives ``rate`` images a second."""
        return max(self.work + self.main, self.images / max(rate, 1e-9)) + self.start


def predictions_of(facts: Facts, loader: LoaderFacts, shares: Shares) -> list[Prediction]:
    """Remedies that would gain something, the largest gain first."""
    if not any(step.work is not None for step in loader.steps) or shares.total <= 0:
        return []
    model = _Model(facts, loader, shares)
    found = [*_workers(model), *_native(model), *_storage(model), *_python(model), *_starts(model), *_copies(model)]
    worth = [each for each in found if each.images_per_second >= _WORTH * model.now()]
    return sorted(worth, key=lambda each: -each.images_per_second)


def _workers(model: _Model) -> list[Prediction]:
    sweep = model.loader.experiments.get("sweep") or {}
    rates = {int(n): rate for n, rate in sweep.get("rates", [])}
    now = int(model.loader.what.get("num_workers") or 0)
    option = "threads" if sweep.get("unit") == "threads" else "num_workers"
    found = []
    if rates:
        for n, rate in rates.items():
            if n != now:
                line = (
                    f"DataLoader(..., num_workers={n})"
                    if option == "num_workers"
                    else f"DataLoader(..., num_workers={n}, threads={n})"
                )
                found.append(model.of(f"{option}={n}", model.fed_at(rate), line, "the loader alone, measured"))
        fit = sweep.get("fit")
        cores = int(model.facts.machine.cores)
        if fit and max(rates) >= cores:
            n = 2 * max(rates)
            if rate_at(fit, n) > 1.1 * max(rates.values()):
                line = f"DataLoader(..., {option}={n})"
                found.append(
                    model.of(f"{option}={n}", model.fed_at(rate_at(fit, n)), line, "the fitted law of scalability")
                )
        return found
    batch = batch_seconds(model.loader)
    if batch is None:
        return []
    for n in {max(1, now * 2), int(model.facts.machine.cores)} - {now}:
        if n <= model.facts.machine.cores:
            rate = n * model.images / batch
            found.append(
                model.of(f"num_workers={n}", model.fed_at(rate), f"DataLoader(..., num_workers={n})", "a batch's cost")
            )
    return found


def _native(model: _Model) -> list[Prediction]:
    sweep = model.loader.experiments.get("sweep") or {}
    if not sweep.get("native"):
        return []
    n, rate = max(sweep["native"], key=lambda pair: pair[1])
    line = f"from fastload import DataLoader  # and num_workers={int(n)}"
    return [model.of("native_threads", model.fed_at(rate), line, "native threads alone, measured")]


def _storage(model: _Model) -> list[Prediction]:
    """Files in memory: what is waited for is not."""
    parts = costs_of(model.loader).shares()
    waiting = parts.get(STORAGE, 0.0)
    batch = batch_seconds(model.loader)
    if waiting < 0.05 or batch is None:
        return []
    left = batch * (1 - waiting)
    workers = max(1, model.loader.workers)
    step = model.fed_at(workers * model.images / max(left, 1e-9))
    if not model.loader.workers:
        step = model.work + model.main + left + model.start
    rests_on = "the share of a batch that waits for storage"
    found = [
        model.of(
            "faster_storage",
            step,
            "cp -r DATA /dev/shm/  # or a local disk, or more memory for the page cache",
            rests_on,
        )
    ]
    probe = model.loader.experiments.get("storage") or {}
    if probe.get("many_bytes_per_s") and probe.get("file_bytes"):
        packed = probe["many_bytes_per_s"] / probe["file_bytes"]
        rate = min(packed, workers * model.images / max(left, 1e-9))
        found.append(
            model.of(
                "shards",
                model.fed_at(rate),
                "fastload convert DATA SHARDS --to webdataset",
                "reads of many files at once",
            )
        )
    return found


def _python(model: _Model) -> list[Prediction]:
    """The costliest function, were it free."""
    costs = costs_of(model.loader)
    batch = batch_seconds(model.loader)
    if costs.seconds.get(PYTHON, 0.0) <= 0 or batch is None or not costs.functions:
        return []
    name = max(costs.functions, key=lambda each: costs.functions[each])
    left = batch * (1 - costs.functions[name] / costs.total)
    if model.loader.workers:
        step = model.fed_at(model.loader.workers * model.images / max(left, 1e-9))
    else:
        step = model.work + model.main + left + model.start
    return [
        model.of(
            "without_function",
            step,
            f"# make {name} cheaper, or do it once beforehand",
            f"the share of {name} in a batch",
        )
    ]


def _starts(model: _Model) -> list[Prediction]:
    starts = len(model.loader.starts)
    if starts < 2 or model.loader.what.get("persistent_workers") or not model.loader.what.get("num_workers"):
        return []
    step = model.step - model.start * (starts - 1) / starts
    return [
        model.of(
            "persistent_workers",
            step,
            "DataLoader(..., persistent_workers=True)",
            "seconds until an epoch's first batch",
        )
    ]


def _copies(model: _Model) -> list[Prediction]:
    if model.copy <= 0 or model.loader.what.get("pin_memory"):
        return []
    line = "DataLoader(..., pin_memory=True) and batch.to(device, non_blocking=True)"
    return [model.of("pin_memory", model.step - model.copy, line, "seconds of copies, were they hidden")]


__all__ = ["KINDS", "Prediction", "predictions_of"]
