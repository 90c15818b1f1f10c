"""Figures as JSON lines, tables and a chart."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results")


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return {
        "commit": commit,
        "cpu": models[0] if models else platform.machine(),
        "cores": len(models),
        "python": platform.python_version(),
    }


def save(kind: str, figures: dict[str, Any]) -> None:
    """Appends one line of JSON."""
    RESULTS.mkdir(exist_ok=True)
    line = {"kind": kind, "time": time.strftime("%Y-%m-%dT%H:%M:%S"), **machine(), **figures}
    with (RESULTS / "results.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def table(console: Console, title: str, rows: list[dict[str, Any]], columns: list[str], bar: str | None = None) -> None:
    """Prints rows of figures; ``bar`` names the column drawn as bars."""
    out = Table(title=title, title_justify="left", box=None)
    for column in columns:
        out.add_column(column, justify="left" if column == columns[0] else "right")
    top = max((row[bar] for row in rows if bar and row.get(bar)), default=0)
    if bar:
        out.add_column("")
    for row in rows:
        cells: list[Any] = [_cell(row.get(column)) for column in columns]
        if bar:
            cells.append(Bar(top, 0, row.get(bar) or 0, width=30))
        out.add_row(*cells)
    console.print(out)


def markdown(path: Path, first: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    """The rows as a table of Markdown; ``first`` is the heading of the column of names."""
    lines = [f"| {first} | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    lines += [f"| {row['label']} | {' | '.join(_cell(row.get(column)) for column in columns)} |" for row in rows]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def chart(path: Path, title: str, rows: list[dict[str, Any]], value: str) -> bool:
    """A bar chart as a PNG; False where matplotlib is missing."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        return False
    figure, axes = plt.subplots(figsize=(7, 0.5 * len(rows) + 1.2))
    bars = axes.barh([row["arm"] for row in rows], [row[value] for row in rows])
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.invert_yaxis()
    axes.set_xlabel(value)
    axes.set_title(title, loc="left")
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return True


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)
