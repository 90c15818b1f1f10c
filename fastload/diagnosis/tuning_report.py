"""What ``fastload tune`` found: a table of its steps, the line to write, the settings file; or the same as plain values."""

from __future__ import annotations

import io
from typing import Any

from fastload.diagnosis.tuning_supervision import Outcome
from fastload.settings_file import settings_text

SCHEMA = 1
_A_STEP_S = 1e-3  # less is no training
_STEPS = {
    "workers": "workers",
    "pin_memory": "pinned memory",
    "prefetch": "prefetching",
    "persistent": "persistent workers",
    "threads": "native threads",
    "gpu": "decoding on the GPU",
    "check": "all together",
}


def tuning_json(outcome: Outcome) -> dict[str, Any]:
    """``schema``, ``loader``, ``rows``, ``steps``, ``unfinished``, ``proposals``, ``alone``, ``settings``, ``ours``, ``line``,
    ``images_per_second`` (``before``, ``after``), ``problem``, ``interrupted``, ``seconds``."""
    names = (
        "loader",
        "steps",
        "unfinished",
        "proposals",
        "alone",
        "settings",
        "ours",
        "problem",
        "interrupted",
        "seconds",
    )
    before, after = _rates(outcome)
    return {
        "schema": SCHEMA,
        **{name: getattr(outcome, name) for name in names},
        "rows": [{name: row[name] for name in row if name != "stats"} for row in outcome.rows],
        "line": loader_line(outcome),
        "images_per_second": {"before": before, "after": after},
    }


def loader_line(outcome: Outcome) -> str | None:
    """The call that makes a loader with what was kept; None where nothing was."""
    if outcome.settings is None or outcome.loader is None:
        return None
    kind = "fastload.DataLoader" if outcome.ours else "torch.utils.data.DataLoader"
    given = {"batch_size": outcome.loader.get("batch_size"), **outcome.settings}
    options = ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
    return f"{kind}(dataset, {options}, ...)"


def file_text(outcome: Outcome, what: str) -> str:
    """Of ``fastload.toml``; ``what`` was tuned."""
    before, after = _rates(outcome)
    remarks = [f"fastload tune {what}"]
    if before and after:
        remarks.append(f"{after:.0f} images/s, {before:.0f} before")
    return settings_text(outcome.settings or {}, remarks)


def tuning_text(outcome: Outcome, what: str) -> str:
    """For a terminal; plain text."""
    out = io.StringIO()
    loader = outcome.loader
    if loader is not None:
        names = "(".join(loader["dataset"]) + ")" * (len(loader["dataset"]) - 1)
        out.write(f"fastload tune {what}: {names}, batch {loader['batch_size']}, {loader['cores']} cores")
        out.write(f", {outcome.seconds:.0f} s\n")
    if outcome.rows:
        out.write(f"\n  {'':<26}{'images/s':>10}{'T_io':>11}{'T_comp':>11}{'GPU':>7}\n")
    step = None
    for row in outcome.rows:
        if row["step"] != step:
            step = row["step"]
            out.write(f"{_STEPS[step]}\n")
        out.write(_row(row))
    for each in outcome.steps:
        if "skipped" in each:
            out.write(f"{_STEPS[each['step']]}: not tried, {each['skipped']}\n")
    if outcome.unfinished:
        out.write("a step that was not over\n")
        for name, rates in outcome.unfinished.items():
            out.write(f"  {name:<26}{max(rates):>10.1f}\n")
    if outcome.problem:
        out.write(f"\n{outcome.problem}\n")
    if outcome.interrupted:
        out.write("\ninterrupted; this is what was found so far\n")
    _result(out, outcome)
    return out.getvalue()


def _result(out: io.StringIO, outcome: Outcome) -> None:
    line = loader_line(outcome)
    if line is None:
        return
    before, after = _rates(outcome)
    if outcome.own:
        out.write("\nThe settings are as fast as any that were tried; nothing is to be changed.\n")
    elif before and after and outcome.check:
        out.write(
            f"\n{1 + outcome.check['gain']:.2f} times as fast as before: {after:.1f} images/s in place of {before:.1f}\n"
        )
    out.write(f"\n  {line}\n")
    if outcome.settings and outcome.settings.get("pin_memory"):
        out.write("  and batch.to(device, non_blocking=True)\n")
    if outcome.alone and outcome.alone["work"] > _A_STEP_S:
        alone, beside = outcome.alone["work"], outcome.alone["work_beside_loader"]
        out.write(
            f"\nThe training step alone, with the same batch again, takes {_time(alone)}: {outcome.alone['rate']:.1f} images/s,"
        )
        out.write(f" whatever loads. Beside the loader it takes {beside / alone - 1:+.0%}.\n")
    if outcome.proposals:
        out.write("\nbeyond these settings, as predicted\n")
        for each in outcome.proposals:
            out.write(f"  {each['images_per_second']:9.1f} images/s ({each['gain']:+.0%})  {each['line']}\n")


def _row(row: dict[str, Any]) -> str:
    name = ("* " if row["kept"] else "  ") + row["name"]
    if row["error"]:
        return f"{name:<28}failed: {row['error']}\n"
    if "rate" not in row:
        return f"{name:<28}not measured\n"
    gpu = f"{row['gpu_percent']:.0f} %" if row["gpu_percent"] is not None else "–"
    return f"{name:<28}{row['rate']:>10.1f}{_time(row['wait']):>11}{_time(row['work']):>11}{gpu:>7}\n"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def _rates(outcome: Outcome) -> tuple[float | None, float | None]:
    """Of the script as it is, and of what was kept, measured in turn in the end; the latter is None where time did not allow it."""
    if outcome.check is not None:
        return outcome.check["before"], outcome.check["after"]
    before = next((row["rate"] for row in outcome.rows if row["name"] == "as it is" and "rate" in row), None)
    return before, before if outcome.own else None
