"""``with fastload.profile() as p:``: what the steps inside it cost, in this process and its workers."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from fastload.diagnosis.copy_experiment import copies_here
from fastload.diagnosis.facts import Facts
from fastload.diagnosis.read_facts import add_experiments, read_facts
from fastload.diagnosis.report_json import report_of
from fastload.diagnosis.report_text import text_of
from fastload.diagnosis.session import SETTINGS, start_sampler, stop_sampler
from fastload.diagnosis.shared_recording import SharedRecording, join, leave
from fastload.diagnosis.spare_process import command, dismiss, stand_by
from fastload.diagnosis.step_recorder import StepRecorder


class profile:
    """Measures every ``DataLoader`` that is iterated over inside a ``with`` statement: torch's, ours, any subclass.

    Batches, their order and the generators stay what they are. Workers that were started before are not looked into. One inside
    another, in other threads, or in a script under ``fastload profile``: each tells the epochs that began inside it.

    Args:
        experiments: seconds for experiments with the data set when it is over (0: none): the loader alone, items, storage.

    Example:
        >>> import fastload, torch.utils.data
        >>> with fastload.profile(experiments=0) as p:
        ...     for batch in torch.utils.data.DataLoader(range(8), batch_size=4):
        ...         pass
        >>> p.json()["verdict"]["kind"]
        'not_enough_data'
    """

    def __init__(self, *, experiments: float = 0.0) -> None:
        if not experiments >= 0:
            raise ValueError(f"experiments should be seconds, 0 for none, but got {experiments!r}")
        self._experiments = experiments
        self._report: dict[str, Any] | None = None
        self._recording: SharedRecording | None = None

    def __enter__(self) -> profile:
        if self._recording is not None:
            raise RuntimeError("this profile is being made already")
        self._report = None
        self._began = time.perf_counter()
        self._recording = join(_begin)
        self._met: list[tuple[Any, int]] = []  # held: the experiments come when the rest is over
        if self._experiments > 0:
            self._recording.recorder.watchers.append(self._meet)
        return self

    def _meet(self, loader: Any, number: int) -> None:
        if all(known is not loader for known, _ in self._met):
            self._met.append((loader, number))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._recording is not None
        recording, self._recording = self._recording, None
        met, self._met = self._met, []
        try:
            recording.recorder.flush()
            facts = read_facts(recording.folder, self._began)
        finally:
            if self._experiments > 0:
                recording.recorder.watchers.remove(self._meet)
            leave(recording)
        if kind is None and facts.main is not None:
            for loader, number in met:
                if number == facts.main.number:
                    _experiment(facts, loader, number, self._experiments, recording.recorder.leave)
        self._report = report_of(facts)

    def json(self) -> dict[str, Any]:
        """The report as plain values, fresh; docs/json.md names all fields.

        Raises:
            RuntimeError: the ``with`` statement is not over.
        """
        if self._report is None:
            raise RuntimeError("there is no report before the with statement is over")
        copy: dict[str, Any] = json.loads(json.dumps(self._report))
        return copy

    def report(self) -> str:
        """The report as text."""
        return text_of(self.json())

    def html(self, path: str | os.PathLike[str]) -> None:
        """Writes the report as one page that needs no network.

        Raises:
            ImportError: plotly is missing.
        """
        from fastload.diagnosis.report_html import html_of

        Path(path).write_text(html_of(self.json()), "utf-8")


def _begin() -> SharedRecording:
    """A recording of this process."""
    folder = Path(tempfile.mkdtemp(prefix="fastload-"))
    sampler = start_sampler(str(folder), os.getpid())
    recorder = StepRecorder(str(folder))
    recorder.install()

    def end() -> None:
        recorder.uninstall()
        stop_sampler(sampler)
        shutil.rmtree(folder, ignore_errors=True)

    return SharedRecording(folder, recorder, end)


def _experiment(facts: Facts, loader: Any, number: int, seconds: float, unrecorded: Callable[[], None]) -> None:
    """Into the facts of the main loader."""
    with tempfile.TemporaryDirectory(prefix="fastload-") as store:
        folder = Path(store)
        (folder / SETTINGS).write_text(json.dumps({"supervisor": os.getpid()}))
        stand_by(str(folder), loader, number, unrecorded)
        late = time.monotonic() + 30
        while not any(folder.glob("spare-*")) and time.monotonic() < late:
            time.sleep(0.01)
        command(folder, number, seconds)
        dismiss(folder)
        add_experiments(facts, folder)
    if facts.main is not None and facts.main.device:
        facts.main.experiments["copies"] = copies_here(torch.cuda.current_device())
