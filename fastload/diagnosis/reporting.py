"""From a run's folder to its reports: experiments first, as long as nobody interrupts them."""

from __future__ import annotations

import json
import math
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from fastload.diagnosis.copy_experiment import copies
from fastload.diagnosis.facts import Facts
from fastload.diagnosis.read_facts import read_facts
from fastload.diagnosis.report_json import report_of
from fastload.diagnosis.report_text import text_of
from fastload.diagnosis.session import OVER
from fastload.diagnosis.spare_process import command


def report_run(
    folder: Path, experiment_seconds: float, json_path: str | None, html_path: str | None, status: int | None
) -> dict[str, Any]:
    """Makes the experiments, reports to stderr, and writes the files that are asked for."""
    facts = _experimented(folder, _facts(folder), experiment_seconds)
    facts.status = status
    report = report_of(facts)
    write_reports(report, json_path, html_path)
    sys.stderr.write("\n" + text_of(report))
    sys.stderr.flush()
    return report


def write_reports(report: dict[str, Any], json_path: str | None, html_path: str | None) -> None:
    """Files for those that are not None; what cannot be written is said in the report's notes."""
    if html_path is not None:
        try:
            from fastload.diagnosis.report_html import html_of

            Path(html_path).write_text(html_of(report), "utf-8")
        except (OSError, ImportError) as error:
            report["notes"].append(f"{html_path} was not written: {error}")
    if json_path is not None:
        try:
            Path(json_path).write_text(json.dumps(report), "utf-8")
        except OSError as error:
            report["notes"].append(f"{json_path} was not written: {error}")


def _facts(folder: Path) -> Facts:
    """Until enough was measured: who shares the recording may go on."""
    over = folder / OVER
    return read_facts(folder, until=float(over.read_text()) if over.exists() else math.inf)


def _experimented(folder: Path, facts: Facts, seconds: float) -> Facts:
    main = facts.main
    if seconds <= 0 or main is None or not main.steps:
        return facts

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop)
    try:
        sys.stderr.write(
            f"fastload profile: experiments with the data set, {seconds:.0f} s at most (Ctrl-C: without)\n"
        )
        sys.stderr.flush()
        made = command(folder, main.number, seconds)
        facts = _facts(folder)
        if (main := facts.main) is not None and main.device:
            main.experiments["copies"] = copies()
        if not made:
            facts.notes.append("No experiments: the process that was set aside for them is gone.")
    except KeyboardInterrupt:
        facts = _facts(folder)
        facts.notes.append("The experiments were interrupted.")
    finally:
        signal.signal(signal.SIGINT, before)
    return facts
