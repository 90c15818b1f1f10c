"""The report for a terminal."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from typing import Any

_WIDTH = 100
_BAR = 40
_SHOWN = 0.5  # percent
_PREDICTIONS = 6
_BUSY_GPU = 1.0  # percent: of another it is not told
_FROM_DEVICES = 0.02  # of what is read: worth a sentence
_SLOWED = 1.1  # a training step beside working workers: worth a sentence


def text_of(report: dict[str, Any]) -> str:
    """One page; plain text."""
    out = io.StringIO()

    def say(line: str = "", indent: str = "") -> None:
        out.write("\n".join(textwrap.wrap(line, _WIDTH, initial_indent=indent, subsequent_indent=indent)) + "\n")

    verdict = report["verdict"]
    out.write("─" * _WIDTH + "\n")
    say(
        f"fastload profile: {verdict['kind'].replace('_', ' ').upper()}"
        + (f" · {verdict['what']}" if verdict["what"] else "")
        + which_loader(report)
    )
    say(verdict["sentence"])
    steps = report["steps"]
    main: dict[str, Any] = next((loader for loader in report["loaders"] if loader["main"]), {})
    if steps.get("seconds"):
        say()
        say(
            f"{steps['count']} steps in {main['seconds']:.1f} s, {main['images_per_second']:.1f} images/s, starts of epochs "
            f"included · a step: "
            f"T_io {_time(steps['wait_seconds']['mean'])}, T_comp {_time(steps['work_seconds']['mean'])}"
        )
        for kind, share in sorted(report["shares"].items(), key=lambda item: -item[1]):
            if share >= _SHOWN:
                low, high = report["intervals"].get(kind, (share, share))
                bar = "█" * round(share / 100 * _BAR)
                out.write(f"  {kind.replace('_', ' '):<14}{share:6.1f} %  {bar:<{_BAR}}  {low:.0f} to {high:.0f}\n")
        if (beside := steps.get("neighbour")) and beside["busy_seconds"] > _SLOWED * beside["idle_seconds"]:
            idle, busy = _time(beside["idle_seconds"]), _time(beside["busy_seconds"])
            say(
                f"T_comp is {idle} while the workers stand idle and {busy} while they work: they are in each other's way."
            )
        fine = verdict["kind"] in ("compute", "balanced")
        if report["predictions"] and not fine:
            _predictions(out, report, main["images_per_second"])
        _gpus(say, report)
        _reading(say, report)
        _samples(out, report)
    for loader in report["loaders"]:
        if not loader["main"] and loader["rank"] == 0:
            say(
                f"loader {loader['loader']} ({', '.join(loader['what'].get('dataset', []))}): {loader['verdict']['sentence']}"
            )
    if report["machine"]["not_measured"]:
        say(f"not measured: {', '.join(report['machine']['not_measured'])}")
    for note in report["notes"]:
        say(note)
    out.write("─" * _WIDTH + "\n")
    return out.getvalue()


def which_loader(report: dict[str, Any]) -> str:
    """Which one the verdict is about; empty where there is one only."""
    main = next((loader for loader in report["loaders"] if loader["main"]), None)
    if main is None or len({loader["loader"] for loader in report["loaders"]}) < 2:
        return ""
    what = main["what"]
    kind = what.get("class", "DataLoader").rpartition(".")[2]
    return f" · loader {main['loader']}: {kind}({', '.join(what.get('dataset', []))}), num_workers={what.get('num_workers')}"


def _predictions(out: io.StringIO, report: dict[str, Any], now: float) -> None:
    out.write("\n  what would help, as predicted\n")
    for each in report["predictions"][:_PREDICTIONS]:
        gain = each["images_per_second"] / now if now else 0.0
        out.write(f"  {each['images_per_second']:9.1f} images/s ({gain:4.1f}x)  {each['line']}\n")


def _gpus(say: Callable[[str], None], report: dict[str, Any]) -> None:
    """Of each GPU that did something, what NVML said."""
    samples = [sample["gpus"] for sample in report["machine"]["samples"] if sample["gpus"]]
    for index, rows in enumerate(zip(*samples, strict=False)):
        busy = sum(row["percent"] for row in rows) / len(rows)
        if busy >= _BUSY_GPU or len(samples[0]) == 1:
            used = max(row["memory_used"] for row in rows) / 2**30
            say(
                f"GPU {index}: a kernel ran {busy:.0f} % of the time, as NVML says; {used:.1f} GiB of its memory were in use"
            )


def _reading(say: Callable[[str], None], report: dict[str, Any]) -> None:
    main = next((loader for loader in report["loaders"] if loader["main"]), None)
    found = main["reading"] if main is not None else None
    if not found or found["device_bytes"] < _FROM_DEVICES * max(found["batch_bytes"], 1.0):
        return
    share = min(1.0, found["device_bytes"] / max(found["batch_bytes"], 1.0))
    cached = (
        "" if found["cached_share"] is None else f"; {found['cached_share']:.0%} of its files is in the page cache now"
    )
    say(f"a batch reads {found['batch_bytes'] / 1e6:.1f} MB, {share:.0%} of it from the device{cached}")


def _samples(out: io.StringIO, report: dict[str, Any]) -> None:
    main = next((loader for loader in report["loaders"] if loader["main"]), None)
    if main is None or report["verdict"]["kind"] != "one_slow_sample":
        return
    out.write("\n  the slowest samples\n")
    for sample in main["slowest_samples"][:5]:
        out.write(f"  {_time(sample['seconds']):>10}  {sample['path'] or 'sample ' + sample['index']}\n")


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
