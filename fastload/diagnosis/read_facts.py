"""A run's folder → its facts."""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

from fastload.diagnosis.contention import is_crowded
from fastload.diagnosis.facts import Facts, Fetch, LoaderFacts, Machine, Step
from fastload.diagnosis.run_folder import lines_of


def read_facts(folder: str | Path, since: float | None = None, until: float = math.inf) -> Facts:
    """All that processes of the run have written so far.

    Args:
        since: only of epochs that began after this moment, on the machine's monotonic clock.
        until: only what began before this one.
    """
    facts = Facts(machine=_machine(folder, since or 0.0))
    loaders: dict[tuple[int, int], LoaderFacts] = {}
    known: dict[tuple[int, int], LoaderFacts] = {}
    for line in lines_of(folder, "process"):
        if line.get("at", 0.0) > until:
            continue
        key = line["pid"], line["loader"]
        loader = known.setdefault(key, LoaderFacts(number=line["loader"], pid=line["pid"]))
        if since is None or (line["kind"] == "epoch" and line["at"] >= since):
            loaders[key] = loader
        if key in loaders or line["kind"] == "loader":
            _add(loader, line)
    parents: dict[int, int] = {}
    for line in lines_of(folder, "worker"):
        if line["kind"] == "worker":
            parents[line["pid"]] = line["parent"]
            continue
        owner = loaders.get((parents.get(line["pid"], -1), line["loader"]))
        if owner is not None and (since or 0.0) <= line["at"] <= until:
            _add(owner, line)
    facts.loaders = sorted(loaders.values(), key=lambda loader: (loader.rank, loader.number))
    add_experiments(facts, folder)
    _say_who_waited(facts)
    return facts


def add_experiments(facts: Facts, folder: str | Path) -> None:
    """What was found about the loaders in a run's folder."""
    for line in lines_of(folder, "experiment"):
        for loader in facts.loaders:
            if loader.number == line["loader"] and line.get("parent") in (None, loader.pid):
                loader.experiments[line["name"]] = line["found"]


def _add(loader: LoaderFacts, line: dict[str, Any]) -> None:
    kind = line["kind"]
    if kind == "loader":
        loader.what = {name: line[name] for name in line if name not in ("kind", "pid", "loader", "at")}
    elif kind == "epoch":
        loader.starts.append((line["epoch"], line["at"], line["wall"]))
        loader.rank, loader.ranks = line["rank"], line["ranks"]
    elif kind in ("step", "end"):
        before = loader.steps[-1] if loader.steps else None
        if before is not None and before.work is None and before.epoch == line["epoch"]:
            before.work = line["at"] - before.at - before.wait
            before.sync = line["sync"]
        if kind == "end" and "open" in line:
            loader.open_wait, loader.open_worker = line["wait"], line["open"]
            return
        if kind == "end":
            loader.ends.append(line["wait"])
            loader.error = line.get("error", loader.error)
            return
        of_step = ("epoch", "at", "wait", "cpu", "sampler", "images")
        step = Step(**{name: line[name] for name in of_step}, size=line["bytes"])
        if "made" in line:
            step.made, step.slowest = line["made"], tuple(line["slowest"])
        loader.steps.append(step)
    elif kind == "batch":
        names = (
            "pid",
            "worker",
            "at",
            "wall",
            "cpu",
            "others_cpu",
            "queued",
            "asked_bytes",
            "read_bytes",
            "items",
        )
        (loader.open_fetches if line.get("open") else loader.fetches).append(
            Fetch(
                **{name: line[name] for name in names},
                item_seconds=line["item_seconds"],
                slowest=tuple(line["slowest"]) if "slowest" in line else None,
                slowest_cpu=line.get("slowest_cpu", 0.0),
                stages=line.get("stages"),
            )
        )
    elif kind == "sent":
        loader.sent += line["wall"]
        loader.pickled_bytes += line["bytes"]
    elif kind == "stats":
        loader.stats[line["epoch"]] = line
    elif kind == "device":
        steps = loader.steps  # the newest ones first: a stream is not far behind
        mine = next((step for step in reversed(steps) if step.at == line["at"]), None)
        if mine is not None:
            mine.device = {name: line[name] for name in ("wait", "work", "idle", "copy", "pageable", "copied")}


def _machine(folder: str | Path, since: float) -> Machine:
    machine = Machine()
    for line in lines_of(folder, "machine"):
        machine.missing += line.pop("missing", [])
        if line["at"] >= since:
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
        loader.crowded = is_crowded(facts.machine.during(*loader.span))
        loader.storage_share = sum(waits[pid] for pid in pids) / looked if looked else None
