"""The plots and tables of docs/benchmarks.md, from what the benchmarks have measured.

``python docs/plots.py`` writes docs/pictures/*.svg, and the tables between the marks in docs/benchmarks.md, from docs/measured/.
``python docs/plots.py --take benchmarks/results/results.jsonl`` first takes the newest run of each workload from a file that
``python -m benchmarks.run`` wrote. A test holds pictures and tables to the figures.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

DOCS = Path(__file__).resolve().parent
MEASURED = DOCS / "measured"
PICTURES = DOCS / "pictures"
PAGE = DOCS / "benchmarks.md"

_WIDTH, _ROW, _HEAD = 480, 42, 34
_OURS, _OTHERS, _INK, _SOFT = "#3949ab", "#9aa5b1", "#1f2933", "#52606d"
_KEPT = ("arm", "label", "images/s", "min", "max", "off", "off at most", "cpu s/1000", "PSS MB", "versions")
# Of a commit or a date, where nobody wrote it down.
NOT_RECORDED = "not recorded"
# What the front page shows of the nineteen.
_FRONT = ("stock_pil", "stock_v2", "torchcodec", "webdataset", "dali_cpu", "ffcv", "fastload")


def measured(name: str) -> dict[str, Any]:
    return json.loads((MEASURED / f"{name}.json").read_text("utf-8"))


def day(run: dict[str, Any]) -> str:
    """On which it was measured: YYYY-MM-DD."""
    return run["time"][:10] if "time" in run else run["date"]


def take(results: Path) -> None:
    """The newest run of each workload of a file of the benchmark suite."""
    for line in results.read_text("utf-8").splitlines():
        run = json.loads(line)
        if run["kind"] != "compare" or run["workload"] not in ("train", "eval"):
            continue
        more = " --workload eval" if run["workload"] == "eval" else ""
        run["rows"] = [{key: row[key] for key in _KEPT if key in row} for row in run["rows"]]
        text = json.dumps({"command": f"python -m benchmarks.run --photos DIR{more}", **run}, indent=1)
        (MEASURED / f"{run['workload']}.json").write_text(text + "\n", "utf-8")


def bars(title: str, rows: list[tuple[str, float, bool]], unit: str) -> str:
    """A bar for each (label, value, whether it is ours), labels above them: it can be read at the width of a telephone."""
    top = max(value for _, value, _ in rows)
    height = _HEAD + _ROW * len(rows) + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img"'
        ' font-family="system-ui, sans-serif">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" rx="6" fill="#fff"/>',
        f'<text x="12" y="22" font-size="15" font-weight="600" fill="{_INK}">{escape(title)}</text>',
    ]
    room = _WIDTH - 24 - 96
    for number, (label, value, is_ours) in enumerate(rows):
        y = _HEAD + _ROW * number
        long = max(2.0, room * value / top)
        weight = "600" if is_ours else "400"
        said = f"{value:,.0f} {unit}" if value >= 20 else f"{value:.2f} {unit}"
        lines += [
            f'<text x="12" y="{y + 14}" font-size="13" font-weight="{weight}" fill="{_INK}">{escape(label)}</text>',
            f'<rect x="12" y="{y + 19}" width="{long:.1f}" height="14" rx="2" fill="{_OURS if is_ours else _OTHERS}"/>',
            f'<text x="{12 + long + 6:.1f}" y="{y + 31}" font-size="13" font-weight="{weight}" fill="{_SOFT}">{said}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _plain(label: str) -> str:
    return label.replace("**", "")


def _compared(name: str) -> list[tuple[str, float, bool]]:
    return [(_plain(row["label"]), row["images/s"], row["arm"] == "fastload") for row in measured(name)["rows"]]


def _front() -> list[tuple[str, float, bool]]:
    rows = {row["arm"]: row for row in measured("train")["rows"]}
    return [(_plain(rows[arm]["label"]), rows[arm]["images/s"], arm == "fastload") for arm in _FRONT]


def _pairs(name: str) -> list[tuple[str, float, bool]]:
    return [(row["label"], row["times"], True) for row in measured(name)["rows"]]


def pictures() -> dict[str, str]:
    """Each picture by its name."""
    train, gpu, cache = measured("train"), measured("gpu"), measured("cache")
    of = f"{train['cores']} cores"
    return {
        "speed": bars(f"Training crops, images a second, {of}", _front(), ""),
        "train": bars(f"Training crops, {of}", _compared("train"), "images/s"),
        "eval": bars(f"Evaluation, {of}", _compared("eval"), "images/s"),
        "gpu": bars(
            "Loading for one H100, 16 cores",
            [(row["label"], row["images/s"], row["ours"]) for row in gpu["rows"] if row.get("images/s")],
            "images/s",
        ),
        "recipes": bars("Whole loaders, times torch's speed", _pairs("recipes"), "times"),
        "images": bars("Data sets of people's own under install()", _pairs("images"), "times"),
        "cache": bars(
            "From the second epoch on, 2 cores",
            [(row["label"], row["images/s"], row["ours"]) for row in cache["rows"]],
            "images/s",
        ),
    }


def _cell(value: Any) -> str:
    if isinstance(value, float | int):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(_cell(value) for value in row)} |" for row in rows)])


def _compare_table(name: str) -> str:
    run = measured(name)
    ours = next(row["images/s"] for row in run["rows"] if row["arm"] == "fastload")
    head = ["", "images/s", "min to max", "fastload is", "off, levels of 255", "at most", "CPU s per 1,000", "PSS, MB"]
    rows = [
        [
            row["label"],
            row["images/s"],
            f"{row['min']:,.0f} to {row['max']:,.0f}",
            "" if row["arm"] == "fastload" else f"{ours / row['images/s']:.2f}x",
            row["off"],
            row["off at most"],
            row["cpu s/1000"],
            row["PSS MB"],
        ]
        for row in run["rows"]
    ]
    return _table(head, rows)


def _plain_table(name: str) -> str:
    run = measured(name)
    head = run["columns"]
    return _table(["", *head], [[row["label"], *(row.get(column) for column in head)] for row in run["rows"]])


def _where(name: str) -> str:
    """Under which conditions a run was."""
    run = measured(name)
    versions: dict[str, str] = {}
    for row in run["rows"]:
        versions |= row.get("versions") or {}
    versions |= run.get("versions") or {}
    parts = [
        f"{run['cores']} cores of {run['cpu']}",
        *(f"{what} {number}" for what, number in versions.items() if what != "fastload"),
        f"commit {run['commit']}",
        day(run) if day(run) != NOT_RECORDED else f"date {NOT_RECORDED}",
    ]
    return "; ".join(parts) + "."


def tables() -> dict[str, str]:
    """Each table by its name."""
    plain = ("gpu", "gpu_entries", "recipes", "images", "workers", "warps", "formats", "cache", "conversion")
    found = {name: _compare_table(name) for name in ("train", "eval")} | {name: _plain_table(name) for name in plain}
    return found | {f"where-{name}": _where(name) for name in found}


def page() -> str:
    """The page with the tables as they are now."""
    text = PAGE.read_text("utf-8")
    for name, table in tables().items():
        mark = f"<!-- {name}: written by docs/plots.py -->"
        pattern = re.escape(mark) + r"\n.*?<!-- end -->"
        text = re.sub(
            pattern, lambda _, table=table, mark=mark: f"{mark}\n{table}\n<!-- end -->", text, flags=re.DOTALL
        )
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", type=Path, metavar="FILE", help="results.jsonl of the benchmark suite")
    options = parser.parse_args()
    if options.take:
        take(options.take)
    for name, picture in pictures().items():
        (PICTURES / f"{name}.svg").write_text(picture, "utf-8")
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
