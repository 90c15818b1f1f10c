"""Plots, drawings and tables of the documentation are what their commands make of the measured figures."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

import pictures
import plots
from code_blocks import ROOT


def test_plots_are_those_of_the_figures():
    made = plots.pictures()
    assert {name: (plots.PICTURES / f"{name}.svg").read_text("utf-8") for name in made} == made, (
        "run: python docs/plots.py"
    )


def test_tables_are_those_of_the_figures():
    assert plots.PAGE.read_text("utf-8") == plots.page(), "run: python docs/plots.py"
    marks = set(re.findall(r"<!-- (\S+): written by docs/plots.py -->", plots.PAGE.read_text("utf-8")))
    assert marks <= set(plots.tables()), "a mark that nothing writes"


def test_drawings_are_those_of_their_command():
    made = {name: draw() for name, draw in pictures.DRAWN.items()}
    there = {name: (pictures.PICTURES / f"{name}.svg").read_text("utf-8") for name in made}
    assert there == made, "run: python docs/pictures.py"


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "pictures").glob("*.svg")), ids=lambda path: path.stem)
def test_a_picture_is_shown_and_asks_nobody(path):
    ElementTree.parse(path)
    assert "http" not in path.read_text("utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    texts = [
        (ROOT / "README.md").read_text("utf-8"),
        *(page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md")),
    ]
    texts.append((ROOT / "mkdocs.yml").read_text("utf-8"))
    assert any(f"pictures/{path.name}" in text for text in texts), "no page shows it"


def test_each_file_of_figures_says_how_it_was_measured():
    page = plots.PAGE.read_text("utf-8")
    for path in sorted(plots.MEASURED.glob("*.json")):
        run = json.loads(path.read_text("utf-8"))
        assert run["command"].partition(" --")[0] in page, f"{path.name}: its command stands beside no figure"
        assert run["rows"] and run["cores"] and run["cpu"], path.name
        assert re.fullmatch(rf"[0-9a-f]{{7,40}}|{plots.NOT_RECORDED}", run["commit"]), path.name
        assert re.fullmatch(rf"20\d\d-\d\d-\d\d|{plots.NOT_RECORDED}", plots.day(run)), path.name
        assert f"<!-- where-{path.stem}: written by docs/plots.py -->" in page, (
            f"{path.name}: the page does not say where"
        )


def test_the_front_page_says_what_its_chart_shows():
    rows = {row["arm"]: row["images/s"] for row in plots.measured("train")["rows"]}
    (alt,) = re.findall(r"!\[([^\]]*)\]\(docs/pictures/speed.svg\)", (ROOT / "README.md").read_text("utf-8"))
    assert f"{rows['stock_pil']:,.0f}" in alt and f"{rows['fastload']:,.0f}" in alt


def test_a_run_of_the_suite_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "MEASURED", tmp_path)
    row = {"arm": "fastload", "label": "**fastload**", "images/s": 10.0, "stats": {"threads": 2}}
    runs = [{"kind": "compare", "workload": "train", "rows": [row]}, {"kind": "sweep", "workload": "train", "rows": []}]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
    plots.take(tmp_path / "results.jsonl")
    taken = plots.measured("train")
    assert taken["command"] == "python -m benchmarks.run --photos DIR" and "stats" not in taken["rows"][0]
