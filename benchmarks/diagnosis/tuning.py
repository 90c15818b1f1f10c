"""``python -m benchmarks.diagnosis.tuning``: the settings that ``fastload tune`` finds, beside the best of an exhaustive sweep.

The sweep times whole epochs of every loader of a grid, as a script has them. Its best few and what each tuning found are then timed
once more, in turn. With ``--out DIR --seconds 420`` it runs for so long, and goes on where it was when it is started again. Exit
status 1 if a tuning took longer than its budget, or its settings reach less than 95 % of the best; 2 if it is not over.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
import torch.utils.data

import fastload
from fastload.diagnosis.side_by_side import data_sets
from fastload.machine import usable_cores

WANTED = 0.95
_GRACE_S = 5.0  # of the budget: the interpreter's start and end
_FINALISTS = 3
_LEAST_S = 1.0  # of a timing: epochs, until it has taken so long
_ARM_S, _LAST_S = 15.0, 120.0  # for one timing, and for the last comparison: what must be left


def grid(cores: int) -> list[tuple[bool, dict[str, Any]]]:
    """(fastload's, settings) of every loader."""
    workers = sorted({1, 2, cores, 2 * cores, *(2**k for k in range(2, 8) if 2**k <= cores)})
    found: list[tuple[bool, dict[str, Any]]] = [(False, {"num_workers": 0}), (True, {"num_workers": 0})]
    for n, prefetch, stays in itertools.product(workers, (2, 4, 8), (False, True)):
        found.append((False, {"num_workers": n, "prefetch_factor": prefetch, "persistent_workers": stays}))
    for n, prefetch, threads in itertools.product(
        (1, cores), (2, 8), sorted({1, max(1, cores // 2), cores, 2 * cores})
    ):
        found.append((True, {"num_workers": n, "prefetch_factor": prefetch, "threads": threads}))
    return found


class Arm:
    """One loader, and its rates."""

    def __init__(self, dataset: Any, batch_size: int, ours: bool, settings: dict[str, Any]) -> None:
        kind: Any = fastload.DataLoader if ours else torch.utils.data.DataLoader
        self._loader = kind(dataset, batch_size, shuffle=True, **settings)
        self._images = len(dataset)
        self.name = ("fastload " if ours else "torch ") + " ".join(
            f"{name}={value}" for name, value in settings.items()
        )
        self.of = ours, settings
        self.rates: list[float] = []

    def run(self, *, counts: bool = True) -> None:
        """Whole epochs, for a second at least."""
        epochs, began = 0, time.perf_counter()
        while not epochs or time.perf_counter() - began < _LEAST_S:
            for _ in self._loader:
                pass
            epochs += 1
        if counts:
            self.rates.append(epochs * self._images / (time.perf_counter() - began))

    def rest(self) -> None:
        """Its workers end."""
        self._loader._iterator = None

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)


def in_turn(arms: list[Arm], rounds: int) -> None:
    """Each once to warm up, then all, round by round."""
    for turn in range(-1, rounds):
        for arm in arms:
            arm.run(counts=turn >= 0)
            arm.rest()


class Store:
    """What was measured, in a folder, so that short runs add up; where it is over no further one begins."""

    def __init__(self, folder: Path, seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._until = folder, time.monotonic() + seconds

    def get(self, name: str, make: Callable[[], Any], needed: float) -> Any:
        """What is there; else what ``make`` gives, if so many seconds are left. None: they are not."""
        path = self._folder / f"{name}.json"
        if path.exists():
            return json.loads(path.read_text())
        if time.monotonic() + needed > self._until:
            return None
        found = make()
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(found))
        draft.rename(path)
        return found


@click.command()
@click.option("--data", default="../shared/data/photos", show_default=True, type=click.Path(exists=True))
@click.option("--budget", default=120.0, show_default=True, help="Of each tuning, in seconds.")
@click.option("--times", default=3, show_default=True, help="Tunings.")
@click.option("--rounds", default=5, show_default=True, help="Of the last comparison.")
@click.option("--batch-size", default=64, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="A folder for what was measured; what is there counts.")
@click.option("--seconds", default=1e9, help="Nothing begins that would not end in so many.  [default: no limit]")
def main(data: str, budget: float, times: int, rounds: int, batch_size: int, out: Path | None, seconds: float) -> None:
    """Compare what fastload tune finds with the best of a sweep."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(out or Path(folder), seconds)
        tunings = []
        for turn in range(times):
            found = store.get(f"tuning-{turn + 1}", lambda: _tune(data, budget, batch_size), budget + 2 * _GRACE_S)
            if found is not None:
                tunings.append(found)
                print(f"tuning {turn + 1}: {found['wall']:.0f} s, {found['line']}", flush=True)
        _, images, _ = data_sets(data, "train", 10**9)
        swept = _sweep(store, images, batch_size)
        if len(tunings) < times or swept is None:
            print("more is to be run")
            sys.exit(2)
        ends = store.get("comparison", lambda: _compare(images, batch_size, swept, tunings, rounds), _LAST_S)
    if ends is None:
        print("the comparison is to be run")
        sys.exit(2)
    sys.exit(not _tell(ends, tunings, budget, len(swept)))


def _sweep(store: Store, images: Any, batch_size: int) -> list[tuple[float, bool, dict[str, Any]]] | None:
    """(rate, fastload's, settings) of all loaders, each timed twice; None: not all have been."""
    rates: list[list[float]] = []
    arms = [Arm(images, batch_size, *settings) for settings in grid(usable_cores())]
    for turn in (1, 2):
        for number, arm in enumerate(arms):
            label = f"sweep-{turn}-{arm.name.replace(' ', '_').replace('=', '')}"
            rate = store.get(label, lambda arm=arm: _once(arm), _ARM_S)  # type: ignore[misc]
            if rate is None:
                return None
            rates.append(rate)
            print(f"sweep {turn}: {number + 1}/{len(arms)} {arm.name}: {rate:.0f} images/s", flush=True)
    both = zip(rates[: len(arms)], rates[len(arms) :], strict=True)
    return [(statistics.mean(pair), *arm.of) for pair, arm in zip(both, arms, strict=True)]  # type: ignore[type-var]


def _once(arm: Arm) -> float:
    arm.run()
    arm.rest()
    return arm.rates[-1]


def _compare(
    images: Any, batch_size: int, swept: list[tuple[float, bool, dict[str, Any]]], tunings: list[Any], rounds: int
) -> list[dict[str, Any]]:
    """The best of the sweep and what each tuning found, in turn."""
    best = [of for _, *of in sorted(swept, key=lambda each: -each[0])[:_FINALISTS]]
    found = [(tuning["ours"], tuning["settings"]) for tuning in tunings]
    arms = [Arm(images, batch_size, ours, settings) for ours, settings in [*best, *found]]
    in_turn(arms, rounds)
    return [{"name": arm.name, "rates": arm.rates} for arm in arms]


def _tell(ends: list[dict[str, Any]], tunings: list[Any], budget: float, swept: int) -> bool:
    """Whether each tuning was in time and reaches what is wanted of the best."""
    top = max(ends[:_FINALISTS], key=lambda each: statistics.median(each["rates"]))
    rate = statistics.median(top["rates"])
    print(f"\nbest of {swept}: {rate:.0f} images/s ({min(top['rates']):.0f} to {max(top['rates']):.0f}), {top['name']}")
    ok = True
    for mine, tuning in zip(ends[_FINALISTS:], tunings, strict=True):
        share = statistics.median(a / b for a, b in zip(mine["rates"], top["rates"], strict=True))
        ok &= share >= WANTED and tuning["wall"] <= budget + _GRACE_S
        print(
            f"tuned in {tuning['wall']:.0f} of {budget:.0f} s: {statistics.median(mine['rates']):.0f} images/s, "
            f"{share:.1%} of the best, {mine['name']}"
        )
    return ok


def _tune(data: str, budget: float, batch_size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fastload", "tune", "--data", data, "--budget", str(budget), "--json"]
        began = time.perf_counter()
        options = ["--batch-size", str(batch_size), "--settings", str(Path(folder) / "fastload.toml")]
        ended = subprocess.run([*command, *options], stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(ended.stdout)
        assert found["problem"] is None, found["problem"]
        return {**found, "wall": time.perf_counter() - began}


if __name__ == "__main__":
    main()
