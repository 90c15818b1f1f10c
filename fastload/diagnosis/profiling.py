"""``with fastload.profile() as p:``: what the steps inside it cost, in this process and its workers."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from fastload.diagnosis.read_facts import read_facts
from fastload.diagnosis.recording import SETTINGS
from fastload.diagnosis.report_json import report_of
from fastload.diagnosis.report_text import text_of
from fastload.diagnosis.session import start_sampler, stop_sampler
from fastload.diagnosis.spare_process import command, stand_by
from fastload.diagnosis.step_recorder import StepRecorder


class profile:
    """Measures every ``DataLoader`` that is iterated over inside a ``with`` statement: torch's, ours, any subclass.

    Batches, their order and the generators stay what they are. Workers that were started before are not looked into.

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
        self._folder: Path | None = None

    def __enter__(self) -> profile:
        if self._folder is not None:
            raise RuntimeError("this profile is being made already")
        self._folder = Path(tempfile.mkdtemp(prefix="fastload-"))
        self._report = None
        settings = {"seconds": None, "steps": None, "supervisor": os.getpid(), "experiments": self._experiments > 0}
        (self._folder / SETTINGS).write_text(json.dumps(settings))
        self._sampler = start_sampler(str(self._folder), os.getpid())
        self._met: list[tuple[Any, int]] = []  # held: the experiments come when the rest is over
        keep = (lambda loader, number: self._met.append((loader, number))) if self._experiments > 0 else _nothing
        self._recorder = StepRecorder(str(self._folder), met=keep)
        self._recorder.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._folder is not None
        folder, self._folder = self._folder, None
        try:
            self._recorder.uninstall()
            stop_sampler(self._sampler)
            facts = read_facts(folder)
            if self._experiments > 0 and facts.main is not None and kind is None:
                for loader, number in self._met:
                    if number == facts.main.number:
                        self._experiment(folder, loader, number)
                facts = read_facts(folder)
            self._report = report_of(facts)
        finally:
            self._met = []
            shutil.rmtree(folder, ignore_errors=True)

    def _experiment(self, folder: Path, loader: Any, number: int) -> None:
        stand_by(str(folder), loader, number, _nothing)
        late = time.monotonic() + 5
        while not any(folder.glob("spare-*")) and time.monotonic() < late:
            time.sleep(0.01)
        command(folder, number, self._experiments)
        for spare in folder.glob("spare-*"):
            with suppress(ChildProcessError):
                os.waitpid(int(spare.name.rpartition("-")[2]), 0)

    def json(self) -> dict[str, Any]:
        """The report as plain values, fresh; docs/profile.md describes them.

        Raises:
            RuntimeError: the ``with`` statement is not over.
        """
        if self._report is None:
            raise RuntimeError("there is no report before the with statement is over")
        return json.loads(json.dumps(self._report))

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


def _nothing(*_: Any) -> None:
    pass
