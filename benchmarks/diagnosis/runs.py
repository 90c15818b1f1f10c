"""Profiles of scenarios, kept in a folder, so that many short runs add up to one table: a row that is there is not run again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.diagnosis.machinery import Unavailable, enter, warm
from benchmarks.diagnosis.scenarios import Scenario

JOB = Path(__file__).with_name("job.py")
_LATE_S = 240.0  # a profile that takes longer is ended, and told as missing


class Runs:
    """Of one folder.

    Args:
        folder: for a file of JSON each.
        root: of the files that scenarios read.
        experiments: seconds, of each profile.
        seconds: no run begins once so many are over.
    """

    def __init__(self, folder: Path, root: Path | None, experiments: float, seconds: float) -> None:
        folder.mkdir(exist_ok=True, parents=True)
        self._folder, self._root, self._experiments = folder, root, experiments
        self._until = time.monotonic() + seconds
        self._longest = 0.0

    @property
    def is_over(self) -> bool:
        """Whether another run would not end in time."""
        return self._root is None or time.monotonic() + self._longest > self._until

    def known(self, scenario: Scenario, loader: str, kind: str = "") -> dict[str, Any] | None:
        """The report that is there; None: there is none."""
        path = self._path(scenario, loader, kind)
        return json.loads(path.read_text()) if path.exists() else None

    def keep(self, scenario: Scenario, loader: str, kind: str, report: dict[str, Any]) -> None:
        """For :meth:`known`."""
        draft = self._path(scenario, loader, kind).with_suffix(".draft")
        draft.write_text(json.dumps(report))
        draft.rename(self._path(scenario, loader, kind))

    def report(self, scenario: Scenario, loader: str) -> dict[str, Any] | None:
        """The profile of the scenario, ``run_seconds`` in it; ``missing``: why there is none. None: no time is left to make it."""
        found = self.known(scenario, loader)
        if found is None and not self.is_over:
            found = self.profile(scenario, loader, self._experiments)
            self.keep(scenario, loader, "", found)
        return found

    def profile(
        self, scenario: Scenario, loader: str, experiments: float, remedy: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Made now. ``remedy``: see ``job.py``; ``undisturbed``: nothing is done to storage, and files are in memory."""
        assert self._root is not None
        began = time.monotonic()
        try:
            report = _profile(scenario, loader, self._root, experiments, dict(remedy or {}))
        except Unavailable as error:
            report = {"missing": str(error)}
        report["run_seconds"] = time.monotonic() - began
        self._longest = max(self._longest, report["run_seconds"])
        return report

    def _path(self, scenario: Scenario, loader: str, kind: str) -> Path:
        name = scenario.name.replace(" ", "_").replace(",", "")
        return self._folder / f"{name}-{loader}{kind and '-'}{kind}.json"


def _profile(scenario: Scenario, loader: str, root: Path, experiments: float, remedy: dict[str, Any]) -> dict[str, Any]:
    undisturbed = remedy.pop("undisturbed", False)
    even = bool(remedy.get("even") and scenario.data == "one_large")
    folder = root / ("photos" if even else scenario.data or "small")
    if undisturbed and scenario.data:
        warm(folder)  # what the experiments dropped would come from a disk
    around = None if undisturbed and scenario.what != "quota" else scenario.around
    with (
        around(folder) if around else contextlib.nullcontext(([], folder)) as (groups, place),
        tempfile.TemporaryDirectory() as store,
    ):
        path = Path(store) / "report.json"
        if scenario.job == "slow_rank":  # where its ranks find each other
            place = Path(store)
        command = [sys.executable, "-m", "fastload", "profile", "--experiments", str(experiments), "--json", str(path)]
        with _running([*command, str(JOB), scenario.job, loader, str(place)], groups, remedy) as process:
            try:
                _, errors = process.communicate(timeout=_LATE_S)
            except subprocess.TimeoutExpired:
                return {"missing": f"it was not over after {_LATE_S:.0f} s"}
        if process.returncode != 0 or not path.exists():
            return {"missing": f"the job ended with {process.returncode}: {errors[-300:]}"}
        report: dict[str, Any] = json.loads(path.read_text())
        return report


@contextlib.contextmanager
def _running(command: list[str], groups: list[Path], remedy: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """In these control groups; with all that it started it is gone in the end, also where this process is told to end."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    process = subprocess.Popen(
        command,
        preexec_fn=lambda: enter(groups),
        env={**os.environ, "JOB_REMEDY": json.dumps(remedy)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        signal.signal(signal.SIGTERM, before)
