"""fastload bench: equality of whole epochs first, then both loaders in turn; on class folders and on a folder of images."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from click.testing import CliRunner
from torch.utils.data import Subset
from torchvision.datasets import ImageFolder

import fastload
from children import environment, run
from fastload.commands import main
from fastload.diagnosis import side_by_side
from fastload.diagnosis.side_by_side import PlainImages, SideBySide, data_sets
from images import write_folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("photos"), classes=2, images=8)


def bench(folder, *more):
    return CliRunner().invoke(main, ["bench", "--data", str(folder), "--runs", "2", "--batch-size", "4", *more])


@pytest.mark.parametrize("recipe", ["train", "eval"])
def test_class_folders(photos, recipe):
    ran = bench(photos, "--json", "--recipe", recipe, "--workers", "1")
    found = json.loads(ran.output)
    assert ran.exit_code == 0 and found["equal"] and found["batches"] == 4 and found["images"] == 16
    assert found["explain"].startswith("native:")
    assert {name: len(rates) for name, rates in found["images_per_second"].items()} == {"torch": 2, "fastload": 2}
    torchs, ours = (found["medians"][name] for name in ("torch", "fastload"))
    assert found["times_as_fast"] == ours / torchs


def test_a_folder_of_images_with_a_chart(photos):
    ran = bench(photos / "class0", "--workers", "0")
    assert ran.exit_code == 0, ran.output
    assert "8 images (one folder of images)" in ran.output and "all 2 batches are equal" in ran.output
    assert "█" in ran.output and "times as fast" in ran.output


def test_a_large_set_is_drawn_from(photos):
    plain, ours, what = data_sets(str(photos), "eval", 5)
    assert isinstance(plain, Subset) and len(plain) == len(ours) == 5 and what == "2 classes"
    assert isinstance(plain.dataset, ImageFolder)
    flat, _, _ = data_sets(str(photos / "class1"), "eval", 5)
    assert isinstance(flat.dataset, PlainImages) and not isinstance(flat.dataset, fastload.ImageFiles)


def test_a_difference_is_found_and_nothing_is_timed(photos, monkeypatch):
    both = SideBySide(str(photos), recipe="eval", most=99, batch_size=4, workers=0)
    changed = [list(batch) for batch in fastload.DataLoader(both._loaders["fastload"].dataset, 4)]
    changed[2][0][1, 0, 5, 5] += 1e-6

    class Other(list):
        def explain(self):
            return "other"

    torch_loader = torch.utils.data.DataLoader(both._loaders["torch"].dataset, 4)
    monkeypatch.setattr(both, "_loaders", {"torch": torch_loader, "fastload": Other(changed)})
    found = both.compare(3)
    assert found.first_difference == 2 and found.medians == {} and found.times_as_fast is None
    both._loaders["fastload"].pop()
    changed[2][0][1, 0, 5, 5] -= 1e-6
    assert not side_by_side._equal([torch.zeros(2)], [torch.zeros(2, dtype=torch.float64)])


def test_fewer_batches_are_a_difference(photos, monkeypatch):
    both = SideBySide(str(photos), recipe="eval", most=99, batch_size=4, workers=0)
    for name, loader in both._loaders.items():
        both._loaders[name] = torch.utils.data.DataLoader(loader.dataset, 4)
    both._loaders["fastload"] = list(both._loaders["torch"])[:-1]
    assert both._first_difference(lambda: None) == (3, 3)


def test_what_is_no_data_set(tmp_path, photos):
    assert bench(tmp_path).exit_code == 1 and "neither images" in bench(tmp_path).output
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    ran = bench(tmp_path, "--workers", "0")
    assert ran.exit_code == 1 and "broken.jpg" in ran.output
    assert bench(tmp_path / "none").exit_code == 2


@pytest.mark.slow
def test_without_the_source_tree(photos, tmp_path):
    ran = run(
        sys.executable,
        "-m",
        "fastload",
        "bench",
        "--data",
        photos,
        "--runs",
        "1",
        "--json",
        cwd=tmp_path,
        env=environment(),
    )
    assert json.loads(ran.stdout)["equal"] and ran.returncode == 0
