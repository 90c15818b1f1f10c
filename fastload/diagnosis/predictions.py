"""What each remedy would give: images and seconds a step, from what was measured; the line to write; the largest gain first."""

from __future__ import annotations

import functools
from collections.abc import Callable

from fastload.diagnosis.facts import Facts, LoaderFacts
from fastload.diagnosis.fetch_costs import PYTHON, batch_seconds, costs_of
from fastload.diagnosis.memory_predictions import memory_predictions
from fastload.diagnosis.prefetch_predictions import prefetch_predictions
from fastload.diagnosis.remedy_model import NOTHING, Model, Prediction
from fastload.diagnosis.scalability import rate_at
from fastload.diagnosis.shares import Shares

_SATURATED = 1.15  # more workers than cores give no more than that
_MOSTLY = 0.5  # of what is waited for: the loader alone did not wait for it
_WORTH = 1.03  # of the images a second that there are now


def predictions_of(facts: Facts, loader: LoaderFacts, shares: Shares) -> list[Prediction]:
    """Remedies that would gain something, the largest gain first."""
    if not any(step.work is not None for step in loader.steps) or shares.total <= 0:
        return []
    model = Model(facts, loader, shares)
    found = [
        *_workers(model),
        *_cores(model),
        *prefetch_predictions(model),
        *_native(model),
        *memory_predictions(model),
        *_storage(model),
        *_slow_samples(model),
        *_python(model),
        *_starts(model),
        *_copies(model),
    ]
    worth = [each for each in found if each.images_per_second >= _WORTH * model.now()]
    return sorted(worth, key=lambda each: -each.images_per_second)


def _workers(model: Model) -> list[Prediction]:
    sweep = model.loader.experiments.get("sweep") or {}
    rates = {int(n): rate for n, rate in sweep.get("rates", [])}
    now = int(model.loader.what.get("num_workers") or 0)
    rests_on = dict.fromkeys(rates, "the loader alone, measured")
    of_threads = sweep.get("unit") == "threads"
    if not rates and (batch := batch_seconds(model.loader)) is not None:
        for n in {max(1, now * 2), model.cores} - {now}:
            if n <= model.cores:
                rates[n], rests_on[n] = n * model.images / batch, "a batch's cost"
    elif (fit := sweep.get("fit")) and max(rates) in range(model.cores, 2 * model.cores + 1):
        n = 2 * max(rates)
        if rate_at(fit, n) > 1.1 * max(rates.values()):
            rates[n], rests_on[n] = rate_at(fit, n), "the fitted law of scalability"
    found = []
    for n, rate in rates.items():
        if n == now:
            continue
        step = model.fed_at(model.from_storage(rate, n), 0 if of_threads else n, threads=n)
        line = f"DataLoader(..., num_workers={n}{f', threads={n}' if of_threads else ''})"
        if model.loader.what.get("items_by") == "__iter__" and n > 1:
            line += "  # if the data set shares its samples among workers"
        found.append(model.of(f"{'threads' if of_threads else 'num_workers'}={n}", step, line, rests_on[n]))
    return found


def _cores(model: Model) -> list[Prediction]:
    """Twice the cores, with a worker or thread for each, where the cores are what bounds the loader alone."""
    sweep = model.loader.experiments.get("sweep") or {}
    rates = {int(n): rate for n, rate in sweep.get("rates", [])}
    cores = model.cores
    if not {1, cores} <= set(rates) or max(rates) <= cores or max(rates.values()) > _SATURATED * rates[cores]:
        return []
    contention = max(0.0, (cores * rates[1] / rates[cores] - 1) / (cores - 1)) if cores > 1 else 0.0
    rate = 2 * cores * rates[1] / (1 + contention * (2 * cores - 1))
    of_threads = sweep.get("unit") == "threads"
    line = f"DataLoader(..., {'threads' if of_threads else 'num_workers'}={2 * cores})  # on {2 * cores} cores in place of {cores}"
    step = model.fed_at(model.from_storage(rate, 2 * cores), 0 if of_threads else 2 * cores, threads=2 * cores)
    return [model.of("more_cores", step, line, "the loader alone on one core and on all, measured")]


def _native(model: Model) -> list[Prediction]:
    sweep = model.loader.experiments.get("sweep") or {}
    if not sweep.get("native"):
        return []
    n, rate = max(sweep["native"], key=lambda pair: pair[1])
    line = f"from fastload import DataLoader  # and num_workers={int(n)}"
    step = model.fed_natively(model.from_storage(rate, int(n)), int(n))
    return [model.of("native_threads", step, line, "native threads alone, measured")]


def _storage(model: Model) -> list[Prediction]:
    """Files in memory: what is waited for is not. Where native threads wait for cores, so do those that read: nobody knows."""
    batch = batch_seconds(model.loader)
    if model.stored < NOTHING or batch is None or (model.loader.is_native and model.loader.crowded):
        return []
    line = "cp -r DATA /dev/shm/  # or a local disk, or more memory for the page cache"
    workers = model.loader.workers
    alone = model.rates.get(workers)
    if alone is not None and model.unseen >= _MOSTLY * model.stored * batch:
        of_threads = model.loader.is_native
        fast = model.from_memory(alone, 0 if of_threads else workers)
        rests_on = "the loader alone, with files in memory, measured"
    elif (copies := model.loader.experiments.get("memory") or {}).get("workers") == max(1, workers):
        if workers:
            fast = model.from_memory(copies["rate"], 0 if model.loader.is_native else workers)
        else:
            fast = _made_in(model, model.images / copies["rate"], model.from_memory)
        rests_on = "the loader alone, with copies of files in memory, measured"
    else:
        fast = _made_in(model, batch * (1 - model.stored), model.from_memory)
        rests_on = "the share of a batch that waits for storage"
    found = [model.of("faster_storage", fast, line, rests_on)]
    probe = model.loader.experiments.get("storage") or {}
    if probe.get("many_bytes_per_s") and probe.get("file_bytes"):
        packed = model.images * probe["file_bytes"] / probe["many_bytes_per_s"]
        step = max(packed, fast)
        line = "fastload convert DATA SHARDS --to webdataset"
        found.append(model.of("shards", step, line, "reads of many files at once"))
    return found


def _python(model: Model) -> list[Prediction]:
    """The costliest function, were it free. Where threads wait for each other's cores nobody knows what the rest takes then."""
    costs = costs_of(model.loader)
    batch = batch_seconds(model.loader)
    if costs.seconds.get(PYTHON, 0.0) <= 0 or batch is None or not costs.functions or model.loader.crowded:
        return []
    name = max(costs.functions, key=lambda each: costs.functions[each])
    line = f"# make {name} cheaper, or do it once beforehand"
    alone = model.loader.experiments.get("without") or {}
    if alone.get("function") == name and alone["workers"] == model.loader.workers and model.stored < NOTHING:
        step = model.fed_at(alone["rate"], 0 if model.loader.is_native else model.loader.workers)
        return [model.of("without_function", step, line, f"the loader alone without {name}, measured")]
    left = batch * max(0.0, 1 - costs.functions[name] / costs.total)
    return [model.of("without_function", _made_in(model, left, model.fed_at), line, f"the share of {name} in a batch")]


def _made_in(model: Model, batch: float, fed_at: Callable[[float, int], float]) -> float:
    """Seconds of a step where one worker takes so long for a batch; ``fed_at``: the model's, for a rate and so many workers."""
    if not model.loader.workers:  # the consumer makes it itself
        return model.work + model.main + batch + model.start
    workers = min(model.loader.workers, model.cores) if model.loader.crowded else model.loader.workers
    rate = workers * model.images / max(batch, 1e-9)
    return fed_at(rate, 0 if model.loader.is_native else model.loader.workers)


def _slow_samples(model: Model) -> list[Prediction]:
    """Without the samples that hold their batches. Those that follow are late, too: waiting for the held ones is not all."""
    if not model.shares.held_by or model.held <= 0:
        return []
    seconds, index, path = model.shares.held_by[0]
    line = f"# shrink {path or f'sample {index}'}, or leave it out: {seconds * 1e3:.0f} ms"
    batch = batch_seconds(model.loader)
    if batch is None or not model.slow:
        step, rests_on = model.step - model.held, "seconds of waiting for batches that they held"
    else:
        left = max(0.0, batch - sum(model.slow) / model.batches)
        step = _made_in(model, left, functools.partial(model.fed_at, slow=()))
        rests_on = "a batch's cost without them"
    return [model.of("without_slow_samples", step, line, rests_on)]


def _starts(model: Model) -> list[Prediction]:
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


def _copies(model: Model) -> list[Prediction]:
    """Copies to a GPU: faster from pinned memory, and beside computing where they have a stream of their own."""
    if model.copy <= 0:
        return []
    own = (
        'DataLoader(..., device="cuda")' if model.loader.what.get("ours") else 'fastload.DataLoader(..., device="cuda")'
    )
    beside = "seconds of copies, were they beside computing"
    found = [model.of("copies_beside", model.step - model.copy, own, beside)]
    device = model.loader.device
    pageable, copied = (sum(each[kind] for each in device) / len(device) for kind in ("pageable", "copied"))
    if pageable <= 0 or model.loader.what.get("pin_memory"):
        return found
    line = "DataLoader(..., pin_memory=True) and batch.to(device, non_blocking=True)"
    speeds = model.loader.experiments.get("copies") or {}
    if "pinned_bytes_per_s" not in speeds:
        return [
            *found,
            model.of("pin_memory", model.step - pageable, line, "seconds of copies, at most: none is so fast"),
        ]
    step = model.step - pageable + copied / speeds["pinned_bytes_per_s"]
    if (
        model.loader.workers and (batch := batch_seconds(model.loader)) is not None
    ):  # which keep up with the step that there is
        step = max(step, model.start + batch / model.loader.workers)
    if "pinning_bytes_per_s" in speeds:  # by one thread beside the training, or in it where there are no workers
        pinning = copied / speeds["pinning_bytes_per_s"]
        step = max(step, pinning) if model.loader.what.get("num_workers") else step + pinning
    pinned, slow = (speeds[f"{kind}_bytes_per_s"] / 1e9 for kind in ("pinned", "pageable"))
    rests_on = f"copies reach {pinned:.1f} GB/s from pinned memory and {slow:.1f} from pageable memory"
    return [*found, model.of("pin_memory", step, line, rests_on)]
