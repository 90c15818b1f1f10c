"""The report as plain values, for JSON: docs/json.md names all fields of schema 1."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import asdict
from typing import Any

from fastload.diagnosis.facts import Facts, Fetch, LoaderFacts, Step
from fastload.diagnosis.fetch_costs import batch_seconds, costs_of
from fastload.diagnosis.noisy_neighbour import neighbour_of
from fastload.diagnosis.predictions import predictions_of
from fastload.diagnosis.shares import KINDS, Shares, shares_of
from fastload.diagnosis.verdict import busy_share, verdict_of

SCHEMA = 1
# Of what is drawn; a longer run is thinned out evenly.
_MOST_POINTS = 2000
_SLOWEST = 20


def report_of(facts: Facts) -> dict[str, Any]:
    """The whole report."""
    main = facts.main
    loaders = [_loader(facts, loader, is_main=loader is main) for loader in facts.loaders]
    mine = next((each for each in loaders if each["main"]), None)
    verdict = verdict_of(facts)
    began = min((step.at for loader in facts.loaders for step in loader.steps), default=0.0)
    return {
        "schema": SCHEMA,
        "verdict": asdict(verdict),
        "shares": mine["shares"] if mine else {},
        "intervals": mine["intervals"] if mine else {},
        "steps": mine["steps"] if mine else {"count": 0},
        "predictions": mine["predictions"] if mine else [],
        "loaders": loaders,
        "machine": _machine(facts, began),
        "status": facts.status,
        "notes": facts.notes,
    }


def _loader(facts: Facts, loader: LoaderFacts, *, is_main: bool) -> dict[str, Any]:
    shares = shares_of(facts, loader)
    costs = costs_of(loader)
    return {
        "loader": loader.number,
        "rank": loader.rank,
        "main": is_main,
        "what": loader.what,
        "native": loader.is_native,
        "error": loader.error,
        "verdict": asdict(verdict_of(facts, loader, shares)),
        "shares": percentages(shares),
        "intervals": {kind: [round(100 * a, 2), round(100 * b, 2)] for kind, (a, b) in shares.intervals.items()},
        "steps": _steps(loader),
        "seconds": shares.total,
        "images_per_second": sum(step.images for step in loader.steps if step.work is not None) / shares.total
        if shares.total
        else 0.0,
        "batch_seconds": batch_seconds(loader),
        "busy_percent": None if (busy := busy_share(loader)) is None else 100 * busy,
        "batch_costs": {kind: 100 * share for kind, share in costs.shares().items()},
        "reading": _reading(loader),
        "functions": dict(sorted(costs.functions.items(), key=lambda item: -item[1])),
        "slowest_samples": [
            {"seconds": seconds, "index": index, "path": path} for seconds, index, path in slowest_samples(loader)
        ],
        "experiments": loader.experiments,
        "predictions": [asdict(each) for each in predictions_of(facts, loader, shares)],
    }


def percentages(shares: Shares) -> dict[str, float]:
    """Of a hundred, two digits, and their sum is a hundred: what rounding loses goes to the largest."""
    if shares.total <= 0:
        return {}
    found = {kind: round(100 * shares[kind], 2) for kind in KINDS}
    largest = max(found, key=lambda kind: found[kind])
    found[largest] = round(found[largest] + 100 - sum(found.values()), 2)
    return found


def slowest_samples(loader: LoaderFacts) -> list[tuple[float, str, str | None]]:
    """The longest times of single samples, of those that were the slowest of their batch; in experiments, too."""
    made: list[Fetch | Step] = [*loader.fetches, *loader.steps]
    seen = [each.slowest for each in made if each.slowest is not None]
    seen += [tuple(each) for each in (loader.experiments.get("items") or {}).get("slowest", [])]
    longest: dict[str, tuple[float, str, str | None]] = {}
    for seconds, index, path in seen:
        if index not in longest or longest[index][0] < seconds:
            longest[index] = (seconds, index, path)
    return sorted(longest.values(), key=lambda each: -each[0])[:_SLOWEST]


def _steps(loader: LoaderFacts) -> dict[str, Any]:
    whole = [step for step in loader.steps if step.work is not None]
    if not whole:
        return {"count": len(loader.steps)}
    began = whole[0].at
    waits, works = [step.waited for step in whole], [step.worked for step in whole]
    seconds = sum(waits) + sum(works)
    thin = max(1, -(-len(whole) // _MOST_POINTS))
    return {
        "count": len(whole),
        "epochs": len(loader.starts),
        "seconds": seconds,
        "images_per_second": sum(step.images for step in whole) / seconds if seconds else 0.0,
        "wait_seconds": {"mean": statistics.mean(waits), "median": statistics.median(waits), "most": max(waits)},
        "work_seconds": {"mean": statistics.mean(works), "median": statistics.median(works), "most": max(works)},
        "batch_bytes": statistics.mean(step.size for step in whole),
        "timeline": [[step.at - began, step.waited, step.worked] for step in whole[::thin]],
        "device": _device(loader),
        "neighbour": neighbour_of(loader),
    }


def _reading(loader: LoaderFacts) -> dict[str, Any] | None:
    """Where bytes came from, batch by batch; native threads do not tell."""
    if not loader.fetches:
        return None
    return {
        "batch_bytes": statistics.mean(fetch.asked_bytes for fetch in loader.fetches),
        "device_bytes": statistics.mean(fetch.read_bytes for fetch in loader.fetches),
        "cached_share": (loader.experiments.get("storage") or {}).get("cached_share"),
    }


def _device(loader: LoaderFacts) -> dict[str, float] | None:
    if not loader.device:
        return None
    return {name: statistics.mean(each[name] for each in loader.device) for name in loader.device[0]}


def _machine(facts: Facts, began: float) -> dict[str, Any]:
    machine = facts.machine
    samples = machine.samples
    thin = max(1, -(-len(samples) // _MOST_POINTS))
    rows = []
    for before, sample in itertools.pairwise(samples):
        span = max(1e-6, sample["at"] - before["at"])
        disk, disk_before = sample.get("disk", {}), before.get("disk", {})
        rows.append(
            {
                "at": sample["at"] - began,
                "cores_percent": sample.get("cores_percent", []),
                "tree_cores": max(  # less where a process ended, with all that it had used
                    0.0, (sample.get("tree_cpu_seconds", 0.0) - before.get("tree_cpu_seconds", 0.0)) / span
                ),
                "tree_runnable": sample["tree_runnable"],
                "memory_available": sample.get("memory_available"),
                "read_bytes_per_s": (disk.get("read_bytes", 0) - disk_before.get("read_bytes", 0)) / span,
                "reads_per_s": (disk.get("reads", 0) - disk_before.get("reads", 0)) / span,
                "disks_percent": (disk.get("busy_ms", 0) - disk_before.get("busy_ms", 0)) / span / 10,
                "gpus": sample.get("gpus", []),
            }
        )
    return {
        "cores": machine.cores,
        "quota_cores": machine.most("group", "quota_cores") or None,
        "throttled_periods": machine.grew("group", "throttled"),
        "periods": machine.grew("group", "periods"),
        "swapped_pages": machine.grew("vm", "pswpin") + machine.grew("vm", "pswpout"),
        "major_faults": machine.grew("vm", "pgmajfault"),
        "pressure_seconds": {name: machine.grew("pressure", name) / 1e6 for name in ("cpu", "io", "memory")},
        "steal_seconds": machine.grew("steal_seconds"),
        "shm": {
            "size": machine.most("shm", "size"),
            "free": min((s["shm"]["free"] for s in samples if "shm" in s), default=None),
        },
        "not_measured": sorted(set(machine.missing)),
        "samples": rows[::thin],
    }
