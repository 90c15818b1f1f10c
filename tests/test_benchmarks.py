"""The benchmark suite runs, and refuses a speed to an arm whose batches are not what it claims."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
import torchvision.transforms  # noqa: F401  sets a variable of the environment, once
from rich.console import Console

from images import write_folder

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    from benchmarks.arms import Options

    data = write_folder(tmp_path / "root", classes=2, images=6)
    return Options(data, batch_size=4, workers=1, build=tmp_path / "rivals")


@pytest.mark.slow
def test_a_wrong_arm_gets_no_speed(small):
    from benchmarks.run import measure, start

    console = Console(file=io.StringIO(), width=200)
    children = start(["stock_pil", "liar", "fastload"], small, console)
    assert list(children) == ["stock_pil", "fastload"]
    assert "liar: claims equality, but 1 of 3 batches differ: no speed" in console.file.getvalue()
    rows, _ = measure(children, 1, None)
    assert [row["arm"] for row in rows] == ["stock_pil", "fastload"]
    assert all(row["off at most"] < 1e-3 for row in rows)
    assert all(row["images/s"] > 0 for row in rows)
    for child in children.values():
        child.close()


def test_pictures_are_compared_with_pillows(small, tmp_path):
    from benchmarks import photos, pictures
    from benchmarks.arms import NAMES, Options, stock_pil, stock_v2

    root = photos.choose(small.data, tmp_path / "checked")
    given = Options(root, "eval", batch_size=5, workers=0)
    exact = pictures.compare(stock_pil.Arm(given), root)
    assert exact["most"] < 1e-3
    near = pictures.compare(stock_v2.Arm(given), root)
    assert 1e-4 < near["off"] < 1 and near["most"] < 10

    class BlackBars(stock_pil.Arm):
        def epoch(self):
            for images, targets in super().epoch():
                images[:, :, :27] = images[:, :, -27:] = -2
                yield images, targets

    class Forgetful(stock_pil.Arm):
        def epoch(self):
            return list(super().epoch())[:-1]

    class Squeezes(stock_pil.Arm):
        SQUEEZES = True

    assert pictures.compare(BlackBars(given), root)["off"] > 10
    assert pictures.compare(Squeezes(given), root)["most"] > 10
    assert pictures.compare(Forgetful(given), root) == {"unavailable": "gives 10 of 12 pictures"}
    files = {path.stem for path in (ROOT / "benchmarks" / "arms").glob("[a-z]*.py")}
    assert {name.partition("-")[0] for name in NAMES} == files - {"liar", "silent", "tensors"}


def test_other_formats_are_written_once_and_whole(small, tmp_path):
    from dataclasses import replace

    options = replace(small, build=tmp_path / "build")

    def fail(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        options.converted("x", fail)
    written = options.converted("x", lambda path: path.write_text("whole"))
    assert options.converted("x", fail) == written and written.read_text() == "whole"
    next(small.data.glob("*/*.jpg")).unlink()
    assert options.converted("x", lambda path: path.write_text("other")).read_text() == "other"
    assert written.read_text() == "whole"


def test_the_table_for_the_readme(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import report

    rows = [{"label": "**fastload**", "images/s": 2242.4, "off": 0.0}, {"label": "rival", "images/s": 7.0, "off": None}]
    report.markdown(tmp_path / "new" / "train.md", "recipe", rows, ["images/s", "off"])
    assert (tmp_path / "new" / "train.md").read_text() == (
        "| recipe | images/s | off |\n|---|---|---|\n| **fastload** | 2,242 | 0 |\n| rival | 7 |  |\n"
    )


def test_an_arm_that_never_answers_is_ended(small):
    """Before it is ready, and after."""
    from benchmarks.process import Child

    ended = "its process ended with status -9, or gave no answer in {} seconds"
    child = Child("silent-start", small, most_seconds=0.2)
    assert child.why == ended.format("0.2")
    child.close()
    child = Child("silent", small)
    assert child.why is None and child.ready["claims_equality"]
    child.most_seconds = 0.2
    assert child.ask("epoch") == {"unavailable": ended.format("0.2")}
    child.close()


@pytest.mark.slow
def test_no_speed_without_the_reference(small):
    from benchmarks.run import start

    console = Console(file=io.StringIO(), width=200)
    assert start(["fastload"], small, console) == {}
    assert "no speed without stock_pil" in console.file.getvalue()


def test_the_ceiling_decodes_every_file(small, tmp_path):
    from benchmarks.ceiling import Ceiling

    ceiling = Ceiling(small.data, 1, tmp_path / "build")
    assert ceiling.images_per_second() > 0
    assert ceiling.images_per_second("full") > 0


def test_more_instructions_than_the_baseline_allows(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import instructions

    baseline = {"parse": 1000, "pack": 1000}
    assert instructions.compare({"parse": 1050, "pack": 500}, baseline) == []
    assert instructions.compare({"parse": 1051, "pack": 1000}, baseline) == ["parse: +5.10%"]
    assert instructions.compare({"parse": 1000, "blur": 7}, baseline) == ["blur: new", "pack: gone"]
    written = json.loads(instructions.BASELINE.read_text())
    assert written["instructions an image"].keys() == set(instructions.STAGES) and len(written["tools"]) == 3
