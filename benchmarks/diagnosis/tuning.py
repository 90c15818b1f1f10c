"""``python -m benchmarks.diagnosis.tuning``: the settings that ``fastload tune`` finds, beside the best of an exhaustive sweep.

The sweep times whole epochs of every loader of a grid, as a script has them. Its best few and what each tuning found are then timed
once more, in turn. Exit status 1 if a tuning took longer than its budget, or its settings reach less than 95 % of the best.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
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


@click.command()
@click.option("--data", default="../shared/data/photos", show_default=True, type=click.Path(exists=True))
@click.option("--budget", default=120.0, show_default=True, help="Of each tuning, in seconds.")
@click.option("--times", default=3, show_default=True, help="Tunings.")
@click.option("--rounds", default=5, show_default=True, help="Of the last comparison.")
@click.option("--batch-size", default=64, show_default=True)
def main(data: str, budget: float, times: int, rounds: int, batch_size: int) -> None:
    """Compare what fastload tune finds with the best of a sweep."""
    _, images, _ = data_sets(data, "train", 10**9)
    tunings = [_tune(data, budget, batch_size) for _ in range(times)]
    arms = [Arm(images, batch_size, *settings) for settings in grid(usable_cores())]
    for turn in range(2):
        for number, arm in enumerate(arms):
            arm.run()
            arm.rest()
            print(f"sweep {turn + 1}: {number + 1}/{len(arms)} {arm.name}: {arm.rates[-1]:.0f} images/s", flush=True)
    best = sorted(arms, key=lambda arm: -arm.rate)[:_FINALISTS]
    finalists = [Arm(images, batch_size, *arm.of) for arm in best]
    found = [Arm(images, batch_size, tuning["ours"], tuning["settings"]) for tuning in tunings]
    in_turn([*finalists, *found], rounds)
    top = max(finalists, key=lambda arm: arm.rate)
    print(f"\nbest of {len(arms)}: {top.rate:.0f} images/s ({min(top.rates):.0f} to {max(top.rates):.0f}), {top.name}")
    ok = True
    for arm, tuning in zip(found, tunings, strict=True):
        share = statistics.median(mine / best for mine, best in zip(arm.rates, top.rates, strict=True))
        in_time = tuning["wall"] <= budget + _GRACE_S
        ok &= share >= WANTED and in_time
        print(
            f"tuned in {tuning['wall']:.0f} of {budget:.0f} s: {arm.rate:.0f} images/s, {share:.1%} of the best, {arm.name}"
        )
    print(
        json.dumps(
            {"best": top.rate, "tuned": [arm.rate for arm in found], "seconds": [each["wall"] for each in tunings]}
        )
    )
    sys.exit(not ok)


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
