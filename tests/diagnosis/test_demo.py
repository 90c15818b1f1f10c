"""fastload demo: photos given or made, equality, both timed, a chart; and how it ends where it cannot."""

from __future__ import annotations

import hashlib
import io
import shlex
import sys
import time
from xml.etree import ElementTree

import PIL.Image
import pytest
from click.testing import CliRunner
from torch.utils.data import Dataset

from children import run
from fastload.commands import comparing, main
from fastload.diagnosis import Comparison, comparison_bars, comparison_picture, make_photos, side_by_side, size_for
from fastload.diagnosis import side_by_side_size as sizes
from images import jpeg_bytes, write_folder

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("photos"), classes=2, images=8)


@pytest.fixture
def short(monkeypatch, tmp_path):
    monkeypatch.setattr(sys.modules["fastload.commands.demo"], "_SECONDS", 0.3)
    monkeypatch.chdir(tmp_path)


def ran(*arguments):
    return CliRunner().invoke(main, ["demo", *map(str, arguments)])


def test_photos_that_are_given(photos, short, tmp_path):
    ended = ran("--data", photos)
    assert ended.exit_code == 0, ended.output
    assert "2 classes" in ended.output and "batches are equal, bit for bit" in ended.output
    assert "times as fast" in ended.output and "█" in ended.output
    root = ElementTree.parse(tmp_path / "fastload-demo.svg").getroot()
    assert root.tag == f"{SVG}svg" and "gives the same batches" in root.find(f"{SVG}title").text


def test_photos_that_are_made_and_a_chart_that_cannot_be_written(short, monkeypatch, tmp_path):
    (tmp_path / "fastload-demo.svg").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = ran()
    assert ended.exit_code == 0, ended.output
    assert "photos: made for this" in ended.output and "8 classes" in ended.output
    assert "no chart as a picture" in ended.output
    assert [path.name for path in tmp_path.iterdir()] == ["fastload-demo.svg"]  # the photos are gone


class Mirrored(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image, target = self.images[index]
        return image.flip(2), target


def test_batches_that_differ(photos, short, monkeypatch, tmp_path):
    true_sets = side_by_side.data_sets

    def mirrored(*arguments, **more):
        plain, ours, what = true_sets(*arguments, **more)
        return plain, Mirrored(ours), what

    monkeypatch.setattr(side_by_side, "data_sets", mirrored)
    ended = ran("--data", photos)
    assert ended.exit_code == 1
    assert "batch 0 differs; nothing was timed" in ended.output and "times as fast" not in ended.output
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_none(photos, short, tmp_path):
    assert ran("--data", tmp_path / "none").exit_code == 2
    assert ran("--data", next(photos.glob("*/*.jpg"))).exit_code == 2
    assert ran("--data", photos, "--chart", tmp_path / "none" / "chart.svg").exit_code == 2
    ended = ran("--data", tmp_path)
    assert ended.exit_code == 1 and "has neither images" in ended.output
    (tmp_path / "class" / "deeper").mkdir(parents=True)
    (tmp_path / "class" / "notes.txt").write_text("no image")
    ended = ran("--data", tmp_path)
    assert ended.exit_code == 1 and "class" in ended.output and "Traceback" not in ended.output


@pytest.mark.parametrize("content", [b"", b"no image", jpeg_bytes(1)[:700]], ids=["empty", "text", "cut"])
@pytest.mark.parametrize("flat", [True, False], ids=["one folder", "classes"])
def test_a_bad_file_is_named(content, flat, short, tmp_path):
    folder = tmp_path if flat else tmp_path / "class"
    folder.mkdir(exist_ok=True)
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(jpeg_bytes(number))
    (folder / "broken.jpg").write_bytes(content)
    ended = ran("--data", tmp_path)
    assert ended.exit_code == 1
    assert f"Error: {folder / 'broken.jpg'} is no image that can be read: " in ended.output
    assert f"`fastload verify {shlex.quote(str(tmp_path))}`" in ended.output
    assert "Traceback" not in ended.output and "times as fast" not in ended.output


def test_no_folder_for_temporary_files(short, monkeypatch):
    def none(**_):
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.TemporaryDirectory", none)
    ended = ran()
    assert ended.exit_code == 1 and "--data DIR, or set TMPDIR" in ended.output


def test_made_photos_are_the_same_and_of_many_forms(tmp_path):
    def hashes(name):
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in make_photos(tmp_path / name, 34).rglob("*.jpg")
        }

    assert hashes("one") == hashes("other")
    seen = {"sizes": set(), "modes": set(), "layers": set(), "progressive": set()}
    content = 0.0
    for path in (tmp_path / "one").rglob("*.jpg"):
        with PIL.Image.open(path) as image:
            seen["sizes"].add(image.size)
            seen["modes"].add(image.mode)
            seen["layers"].add(tuple(layer[1:3] for layer in image.layer))
            seen["progressive"].add("progressive" in image.info)
            content += path.stat().st_size / (image.width * image.height) / 34
    assert len(seen["sizes"]) > 3 and seen["modes"] == {"RGB", "L"} and seen["progressive"] == {True, False}
    assert len(seen["layers"]) == 4  # 4:4:4, 4:2:2, 4:2:0, gray
    assert 0.3 < content < 1.0  # bytes a pixel; ImageNet's photos have 0.6


def test_as_many_images_as_there_is_time_for(photos, monkeypatch):
    long = size_for(str(photos), "train", seconds=1e6, runs=3, workers=2)
    assert (long.images, long.batch_size, long.why) == (sizes.IMAGES_A_WORKER * 2, 64, "")
    none = size_for(str(photos), "train", seconds=1e-6, runs=3, workers=2)
    assert (none.images, none.batch_size) == (8, 1)
    monkeypatch.setattr(sizes, "shared_memory", lambda: (64 << 20, 64 << 20))
    small = size_for(str(photos), "train", seconds=1e6, runs=3, workers=2)
    assert small.batch_size == 15 and "/dev/shm" in small.why
    assert small.batch_size * 7 * 3 * 224 * 224 * 4 < 64 << 20
    monkeypatch.setattr(sizes, "shared_memory", lambda: (0, 64 << 20))
    assert size_for(str(photos), "train", seconds=1e6, runs=3, workers=2).batch_size == 1


def found(**more):
    given = {"rates": {"torch": [90.0, 100.0, 110.0], "fastload": [380.0, 400.0, 500.0]}, **more}
    return Comparison(1600, "<8> classes", 64, 2, "native: x", 25, None, **given)


def test_the_chart():
    torchs, ours = comparison_bars(found(), "#")
    assert torchs.count("#") == 10 and ours.count("#") == 40
    assert "100 images/s  (90 to 110 in 3 runs)" in torchs
    root = ElementTree.fromstring(comparison_picture(found(), "torch 2 & others"))
    widths = {
        bar.get("class"): float(bar.get("width")) for bar in root.iter(f"{SVG}rect") if bar.get("class") != "paper"
    }
    assert widths["fastload"] == pytest.approx(4 * widths["torch"])
    text = [one.text for one in root.iter(f"{SVG}text")]
    assert text[0].startswith("fastload is 4.00 times as fast") and text[-1] == "torch 2 & others"
    assert all(float(one.get("x")) < float(root.get("width")) for one in root.iter(f"{SVG}text"))


@pytest.mark.parametrize("width", [120, 92, 80, 60, 50, 40])
def test_the_chart_fits_the_terminal(width):
    torchs, ours = (line for line in comparison_bars(found(), "#", width) if "#" in line)
    assert ours.count("#") == pytest.approx(4 * torchs.count("#"), abs=2) and ours.count("#") >= 10
    lines = list(comparison_bars(found(), "#", width))
    assert max(map(len, lines)) <= width
    assert len(lines) == (2 if width > 60 else 4)
    assert "100 images/s" in torchs and any("(380 to 500 in 3 runs)" in line for line in lines)


@pytest.mark.parametrize(("encoding", "block"), [("utf-8", "█"), ("ascii", "#"), ("latin-1", "#"), ("cp437", "█")])
def test_bars_are_made_of_letters_that_the_output_has(encoding, block, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    comparing.show(found(), 5)
    out.flush()
    assert block * 40 in out.buffer.getvalue().decode(encoding)


@pytest.mark.slow
def test_it_takes_less_than_a_minute(tmp_path):
    began = time.perf_counter()
    ended = run(sys.executable, "-m", "fastload", "demo", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (tmp_path / "fastload-demo.svg").exists()
    assert time.perf_counter() - began < 60
    assert ended.stderr == ""
