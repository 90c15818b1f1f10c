"""The report as one page of HTML, with plotly inside it: opens from disk, without a network."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from typing import Any

from fastload.diagnosis.report_text import text_of, which_loader

_COLOURS = {
    "compute": "#2e7d32",
    "launch": "#9ccc65",
    "copy": "#00838f",
    "storage": "#c62828",
    "decode": "#ef6c00",
    "augment": "#d81b60",
    "python": "#6a1b9a",
    "pool": "#ad1457",
    "shared_memory": "#4527a0",
    "cores": "#5d4037",
    "queue": "#f9a825",
    "main_thread": "#283593",
    "epoch_start": "#558b2f",
    "other_ranks": "#37474f",
    "rest": "#9e9e9e",
}

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>fastload profile</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em; color: #222 }}
h1 {{ font-size: 1.4em }} h2 {{ font-size: 1.1em; margin-top: 2em }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .25em .8em .25em 0; border-bottom: 1px solid #ddd }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums }} code {{ background: #f4f4f4; padding: .1em .3em }}
.verdict {{ border-left: .4em solid #c62828; padding: .5em 1em; background: #fafafa }} .fine {{ border-color: #2e7d32 }}
</style>
<script>{plotly}</script></head><body>
{body}
<script type="application/json" id="report">{data}</script>
</body></html>
"""


def html_of(report: dict[str, Any]) -> str:
    """The page. The whole report is in it, too, as JSON in the element ``report``.

    Raises:
        ImportError: plotly is missing.
    """
    try:
        import plotly.offline
    except ImportError as error:
        raise ImportError("the page needs plotly: pip install fastload-torch[profile]") from error
    body = "\n".join(_sections(report))
    data = json.dumps(report).replace("<", "\\u003c")
    return _PAGE.format(plotly=plotly.offline.get_plotlyjs(), body=body, data=data)


def _sections(report: dict[str, Any]) -> Iterator[str]:
    verdict, main = report["verdict"], next((each for each in report["loaders"] if each["main"]), None)
    fine = "fine" if verdict["kind"] in ("compute", "balanced") else ""
    what = f" · {html.escape(verdict['what'])}" if verdict["what"] else ""
    yield f'<h1>fastload profile: <span id="kind">{verdict["kind"]}</span>{what}{html.escape(which_loader(report))}</h1>'
    yield f'<p class="verdict {fine}">{html.escape(verdict["sentence"])}</p>'
    if report["shares"]:
        yield "<h2>Where the time of a step goes</h2>"
        yield _chart(_shares_bar(report))
        yield _table(
            ("share", "%", "5 to 95 %"),
            [
                (kind, f"{share:.2f}", "{:.1f} to {:.1f}".format(*report["intervals"].get(kind, (0, 0))))
                for kind, share in sorted(report["shares"].items(), key=lambda item: -item[1])
                if share > 0
            ],
            "shares",
        )
    if report["steps"].get("timeline"):
        yield "<h2>Steps and waits, and the machine meanwhile</h2>"
        yield _chart(_timeline(report))
    if main is not None:
        if main["batch_costs"]:
            yield "<h2>What a batch is made of</h2>"
            yield _chart(_stack(main))
        if (main["experiments"].get("sweep") or {}).get("rates"):
            yield "<h2>The loader alone</h2>"
            yield _chart(_sweep(report, main))
        yield from _predictions(report, main["images_per_second"])
        yield from _slowest(main)
    yield f"<h2>As text</h2><pre>{html.escape(text_of(report))}</pre>"


def _chart(figure: Any) -> str:
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False}))


def _figure(height: int, **layout: Any) -> Any:
    import plotly.graph_objects as go

    margin = {"l": 60, "r": 20, "t": 20, "b": 50}
    return go.Figure(layout={"height": height, "margin": margin, "template": "plotly_white", **layout})


def _shares_bar(report: dict[str, Any]) -> Any:
    figure = _figure(
        150, barmode="stack", xaxis={"title": "% of the step time", "range": [0, 100]}, yaxis={"visible": False}
    )
    for kind, share in report["shares"].items():
        if share > 0:
            figure.add_bar(x=[share], y=[""], orientation="h", name=kind, marker_color=_COLOURS[kind])
    return figure


def _timeline(report: dict[str, Any]) -> Any:
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05, row_heights=[0.4, 0.3, 0.3])
    figure.update_layout(
        height=640, margin={"l": 60, "r": 20, "t": 20, "b": 50}, template="plotly_white", barmode="stack"
    )
    points = report["steps"]["timeline"]
    at = [point[0] for point in points]
    figure.add_scatter(
        x=at, y=[1e3 * p[1] for p in points], name="T_io, ms", stackgroup="step", line_color="#c62828", row=1, col=1
    )
    figure.add_scatter(
        x=at, y=[1e3 * p[2] for p in points], name="T_comp, ms", stackgroup="step", line_color="#2e7d32", row=1, col=1
    )
    samples = report["machine"]["samples"]
    at = [sample["at"] for sample in samples]
    figure.add_scatter(x=at, y=[s["tree_cores"] for s in samples], name="cores in use by the job", row=2, col=1)
    figure.add_scatter(x=at, y=[s["tree_runnable"] for s in samples], name="its threads that want a core", row=2, col=1)
    figure.add_scatter(x=at, y=[s["read_bytes_per_s"] / 2**20 for s in samples], name="read, MiB/s", row=3, col=1)
    figure.add_scatter(x=at, y=[s["disks_percent"] for s in samples], name="disks busy, %", row=3, col=1)
    figure.add_scatter(
        x=at, y=[(s["memory_available"] or 0) / 2**30 for s in samples], name="memory left, GiB", row=3, col=1
    )
    for index in range(len(samples[0]["gpus"]) if samples else 0):
        percent = [s["gpus"][index]["percent"] if index < len(s["gpus"]) else None for s in samples]
        figure.add_scatter(x=at, y=percent, name=f"GPU {index}, %", row=3, col=1)
    figure.update_xaxes(title_text="seconds since the first batch was asked for", row=3, col=1)
    return figure


def _stack(main: dict[str, Any]) -> Any:
    figure = _figure(
        150, barmode="stack", xaxis={"title": "% of the time in which a batch is made"}, yaxis={"visible": False}
    )
    for kind, share in main["batch_costs"].items():
        if share > 0:
            figure.add_bar(x=[share], y=[""], orientation="h", name=kind, marker_color=_COLOURS[kind])
    return figure


def _sweep(report: dict[str, Any], main: dict[str, Any]) -> Any:
    from fastload.diagnosis.scalability import rate_at

    sweep = main["experiments"]["sweep"]
    unit = sweep["unit"]
    figure = _figure(360, xaxis={"title": unit}, yaxis={"title": "images/s", "rangemode": "tozero"})
    n = [pair[0] for pair in sweep["rates"]]
    figure.add_scatter(x=n, y=[pair[1] for pair in sweep["rates"]], mode="markers", name="measured")
    if sweep.get("fit"):
        dense = [n[0] + (n[-1] - n[0]) * k / 60 for k in range(61)]
        figure.add_scatter(
            x=dense, y=[rate_at(sweep["fit"], k) for k in dense], mode="lines", name="law of scalability"
        )
    if sweep.get("native"):
        native = sweep["native"]
        figure.add_scatter(
            x=[p[0] for p in native], y=[p[1] for p in native], mode="lines+markers", name="native threads"
        )
    steps = report["steps"]
    count, seconds = steps["count"], steps["work_seconds"]["mean"]
    if seconds > 0:
        images = steps["images_per_second"] * steps["seconds"] / count
        figure.add_hline(
            y=images / seconds, line_dash="dash", annotation_text="what the training step could take (T_comp)"
        )
    return figure


def _predictions(report: dict[str, Any], now: float) -> Iterator[str]:
    rows = report["predictions"]
    if not rows:
        return
    figure = _figure(80 + 32 * len(rows), xaxis={"title": "images/s, predicted"}, yaxis={"autorange": "reversed"})
    figure.add_bar(x=[row["images_per_second"] for row in rows], y=[row["remedy"] for row in rows], orientation="h")
    figure.add_vline(x=now, line_dash="dash", annotation_text="now")
    yield "<h2>What would help</h2>"
    yield _chart(figure)
    cells = [
        (
            row["remedy"],
            f"{row['images_per_second']:.1f}",
            f"{1e3 * row['step_seconds']:.1f}",
            row["line"],
            row["rests_on"],
        )
        for row in rows
    ]
    yield _table(("remedy", "images/s", "ms a step", "to write", "rests on"), cells, "predictions")


def _slowest(main: dict[str, Any]) -> Iterator[str]:
    if main["slowest_samples"]:
        yield "<h2>The slowest samples</h2>"
        rows = [(f"{1e3 * s['seconds']:.1f}", s["index"], s["path"] or "") for s in main["slowest_samples"]]
        yield _table(("ms", "index", "file"), rows, "samples")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], name: str) -> str:
    heads = "".join(f"<th>{cell}</th>" for cell in head)
    lines = ("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table id="{name}"><tr>{heads}</tr>{"".join(lines)}</table>'
