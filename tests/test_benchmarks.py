"""The benchmark suite runs, and refuses a speed to an arm whose batches are not what it claims."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from images import write_folder

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    from benchmarks.arms import Options

    return Options(write_folder(tmp_path / "root", classes=2, images=6), batch_size=4, workers=1)


def test_a_wrong_arm_gets_no_speed(small):
    from benchmarks.run import measure, start

    console = Console(file=io.StringIO(), width=200)
    children = start(["stock_pil", "liar", "fastload"], small, console)
    assert list(children) == ["stock_pil", "fastload"]
    assert "liar: claims equality, but 1 of 3 batches differ: no speed" in console.file.getvalue()
    rows, _ = measure(children, 1, None)
    assert [row["arm"] for row in rows] == ["stock_pil", "fastload"]
    assert all(row["images/s"] > 0 for row in rows)
    for child in children.values():
        child.close()


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


def test_demo_photos_are_made(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import photos

    monkeypatch.setattr(photos, "COUNT", 12)
    made = photos._make(tmp_path / "pictures")
    assert len(made) == 12
    root = photos._link(made, tmp_path / "root")
    assert len(list(root.glob("*/*.jpg"))) == 12 * photos.COPIES
