"""A run's folder → its facts."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from fastload.diagnosis.contention import is_crowded
from fastload.diagnosis.facts import Facts, Fetch, LoaderFacts, Machine, Step
from fastload.diagnosis.run_folder import lines_of


def read_facts(folder: str | Path) -> Facts:
    """All that processes of the run have written so far."""
    facts = Facts(machine=_machine(folder))
    loaders: dict[tuple[int, int], LoaderFacts] = {}
    for line in lines_of(folder, "process"):
        key = line["pid"], line["loader"]
        loader = loaders.setdefault(key, LoaderFacts(number=line["loader"], pid=line["pid"]))
        _add(loader, line)
    parents: dict[int, int] = {}
    for line in lines_of(folder, "worker"):
        if line["kind"] == "worker":
            parents[line["pid"]] = line["parent"]
            continue
        owner = loaders.get((parents.get(line["pid"], -1), line["loader"]))
        if owner is not None:
            _add(owner, line)
    for line in lines_of(folder, "experiment"):
        for loader in loaders.values():
            if loader.number == line["loader"] and line.get("parent") in (None, loader.pid):
                loader.experiments[line["name"]] = line["found"]
    facts.loaders = sorted(loaders.values(), key=lambda loader: (loader.rank, loader.number))
    _say_who_waited(facts)
    return facts


def _add(loader: LoaderFacts, line: dict[str, Any]) -> None:
    kind = line["kind"]
    if kind == "loader":
        loader.what = {name: line[name] for name in line if name not in ("kind", "pid", "loader")}
    elif kind == "epoch":
        loader.starts.append((line["epoch"], line["at"], line["wall"]))
        loader.rank, loader.ranks = line["rank"], line["ranks"]
    elif kind in ("step", "end"):
        before = loader.steps[-1] if loader.steps else None
        if before is not None and before.work is None and before.epoch == line["epoch"]:
            before.work = line["at"] - before.at - before.wait
            before.sync = line["sync"]
        if kind == "end":
            loader.ends.append(line["wait"])
            loader.error = line.get("error", loader.error)
            return
        of_step = ("epoch", "at", "wait", "cpu", "sampler", "images", "ready")
        loader.steps.append(Step(**{name: line[name] for name in of_step}, size=line["bytes"]))
    elif kind == "batch":
        names = ("pid", "worker", "at", "wall", "cpu", "others_cpu", "queued", "read_bytes", "faults", "items")
        loader.fetches.append(
            Fetch(
                **{name: line[name] for name in names},
                item_seconds=line["item_seconds"],
                slowest=tuple(line["slowest"]) if "slowest" in line else None,
                stages=line.get("stages"),
                started=line.get("started", 0),
            )
        )
    elif kind == "sent":
        loader.sent += line["wall"]
    elif kind == "stats":
        loader.stats[line["epoch"]] = line
    elif kind == "device":
        loader.device.append({name: line[name] for name in ("wait", "work", "copy", "pageable", "copied")})


def _machine(folder: str | Path) -> Machine:
    machine = Machine()
    for line in lines_of(folder, "machine"):
        machine.missing += line.pop("missing", [])
        machine.samples.append(line)
    machine.samples.sort(key=lambda sample: float(sample["at"]))
    machine.cores = machine.most("usable_cores") or float(os.cpu_count() or 1)
    quota = machine.most("group", "quota_cores")
    if quota:
        machine.cores = min(machine.cores, quota)
    return machine


def _say_who_waited(facts: Facts) -> None:
    looks: Counter[int] = Counter()
    waits: Counter[int] = Counter()
    for sample in facts.machine.samples:
        for pid, (looked, _, waited) in sample.get("states", {}).items():
            looks[int(pid)] += looked
            waits[int(pid)] += waited
    for loader in facts.loaders:
        pids = {fetch.pid for fetch in loader.fetches}
        looked = sum(looks[pid] for pid in pids)
        loader.crowded = is_crowded(facts.machine)
        loader.storage_share = sum(waits[pid] for pid in pids) / looked if looked else None
