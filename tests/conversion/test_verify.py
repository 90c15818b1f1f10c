"""fastload verify, info and preview: bad samples are found and no others, what is told is so, the sheet has the loader's pixels."""

from __future__ import annotations

import json
import os
import shutil
import warnings

import numpy as np
import PIL.Image
import pytest
import torch
import torchvision.transforms as T
from click.testing import CliRunner

import fastload
from fastload.commands import main
from fastload.conversion import describe, verify_samples, write_preview
from fastload.datasets import ImageFiles, ImageFolder, sample_name
from fastload.shards import Record
from images import jpeg_bytes, picture, write_folder

BAD = ["class0/text.jpg", "class0/zero.jpg", "class1/cut.jpg", "class1/missing.jpg"]
WARNED = ["class0/bomb.png", "class0/exif.jpg", "class1/native.jpg", "class1/repaired.jpg"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 250 * 200)


@pytest.fixture
def folder(tmp_path):
    """Good images of several formats, four bad ones, and two with a warning."""
    root = write_folder(tmp_path / "root", classes=2, images=5, largest=120)
    (root / "class0" / "text.jpg").write_text("no image")
    (root / "class0" / "zero.jpg").touch()
    (root / "class1" / "cut.jpg").write_bytes(jpeg_bytes(1)[:2000])
    (root / "class1" / "missing.jpg").symlink_to("nowhere.jpg")
    data = bytearray(jpeg_bytes(2, form=0))
    data[len(data) // 2 : len(data) // 2 + 3] = b"\x00\x00\x00"
    data[-200:-200] = b"\xff\xd0"  # a restart marker where none may be
    (root / "class1" / "repaired.jpg").write_bytes(data)
    cut = b"Exif\0\0MM\0*\0\0\0\x08\0\x09"
    (root / "class0" / "exif.jpg").write_bytes(jpeg_bytes(6, 60, 40, exif=cut))
    nowhere = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x1a\0\x05\0\0\0\x01\xff\xff\xff\0\0\0\0\0"
    (root / "class1" / "native.jpg").write_bytes(jpeg_bytes(6, 60, 40, exif=nowhere))
    picture(3, 300, 200).save(root / "class0" / "bomb.png")
    picture(4, 30, 20).convert("RGBA").save(root / "class0" / "alpha.png")
    picture(5, 30, 20).convert("CMYK").save(root / "class1" / "cmyk.jpg")
    return root


def names(findings):
    return sorted(finding.name for finding in findings)


def test_every_bad_sample_is_found_and_no_other(folder):
    done = []
    found = verify_samples(ImageFolder(folder), tell=done.append)
    assert names(found.bad) == BAD
    assert names(found.warned) == WARNED
    assert found.samples == sum(done) == len(ImageFolder(folder))
    reasons = {finding.name: finding.reason for finding in found.bad + found.warned}
    assert "cannot identify image file" in reasons["class0/text.jpg"]
    assert "No such file" in reasons["class1/missing.jpg"]
    assert "truncated" in reasons["class1/cut.jpg"]
    assert "DecompressionBombWarning" in reasons["class0/bomb.png"]
    assert "EXIF" in reasons["class0/exif.jpg"]
    assert reasons["class1/repaired.jpg"].startswith("libjpeg: Corrupt JPEG data")
    # As the loader has it: these, and these alone, are those that it cannot give.
    dataset = ImageFolder(folder, T.Compose([T.Resize((8, 8)), T.ToTensor()]))
    loader = fastload.DataLoader(dataset, batch_size=4, on_error="skip")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        list(loader)
    assert sorted(error.index for error in loader.errors) == sorted(finding.index for finding in found.bad)


def test_the_list_leaves_out_what_is_bad(folder, tmp_path):
    answer = CliRunner().invoke(main, ["verify", str(folder), "--list", str(tmp_path / "bad.txt")])
    assert answer.exit_code == 1, answer.output
    assert sorted((tmp_path / "bad.txt").read_text().splitlines()) == BAD
    assert f"{len(ImageFolder(folder))} samples, 4 bad, 4 with a warning" in answer.output
    rest = ImageFolder(folder, exclude=tmp_path / "bad.txt")
    assert len(rest) == len(ImageFolder(folder)) - 4
    assert len(rest.targets) == len(rest.imgs) == len(rest)
    assert verify_samples(rest).bad == []
    for bad in BAD:
        (folder / bad).unlink()
    assert CliRunner().invoke(main, ["verify", str(folder)]).exit_code == 0
    assert CliRunner().invoke(main, ["verify", str(tmp_path / "nowhere")]).exit_code == 2


def test_paths_are_left_out_too(folder):
    paths = [path for path, _ in ImageFolder(folder).samples]
    assert [path for path, _ in ImageFiles(paths, exclude=paths[2:]).samples] == paths[:2]
    assert ImageFiles(paths, range(len(paths)), exclude=[paths[0]]).targets == list(range(1, len(paths)))
    assert sample_name(ImageFiles(paths), 3) == paths[3]


def test_a_bad_sample_of_a_shard_is_told_with_its_place(tmp_path):
    payloads = [jpeg_bytes(number, 40, 30) for number in range(6)]
    payloads[4] = payloads[4][:300]
    records = [Record(f"a/{number}.jpg", data, number % 2) for number, data in enumerate(payloads)]
    fastload.write_parquet(tmp_path / "x.parquet", records, ["a", "b"])
    answer = CliRunner().invoke(main, ["verify", str(tmp_path / "x.parquet"), "--json", "--list", str(tmp_path / "l")])
    assert answer.exit_code == 1, answer.output
    found = json.loads(answer.stdout)
    (bad,) = found["bad"]
    assert (bad["index"], bad["name"], bad["file"]) == (4, "a/4.jpg", str(tmp_path / "x.parquet"))
    with open(bad["file"], "rb") as file:
        file.seek(bad["offset"])
        assert file.read(300) == payloads[4]
    assert len(fastload.Parquet(tmp_path / "x.parquet", exclude=tmp_path / "l")) == 5


def test_any_source_is_looked_at(tmp_path):
    payloads = [jpeg_bytes(number, 40, 30) for number in range(4)]
    payloads[2] = b"no image"
    fastload.write_tar(tmp_path / "x.tar", [Record(f"a/{n}.jpg", data, 0) for n, data in enumerate(payloads)], ["a"])
    answer = CliRunner().invoke(main, ["verify", str(tmp_path / "x.tar"), "--list", str(tmp_path / "bad.txt")])
    assert answer.exit_code == 1, answer.output
    assert f"{tmp_path / 'x.tar'} at byte" in answer.output
    assert len(fastload.WebDataset(tmp_path / "x.tar", exclude=tmp_path / "bad.txt")) == 3
    assert "samples     4\n" in CliRunner().invoke(main, ["info", str(tmp_path / "x.tar")]).output


def test_what_is_advised_can_be_followed(tmp_path):
    records = [Record(f"a/{number}.jpg", jpeg_bytes(number, 40, 30), 0) for number in range(4)]
    path, listed = tmp_path / "x.tfrecord", str(tmp_path / "bad.txt")
    fastload.write_tfrecord(path, records, ["a"])
    whole = path.read_bytes()
    answer = CliRunner().invoke(main, ["verify", str(path), "--list", listed])
    assert answer.exit_code == 0 and f"{listed} is empty: there is nothing to leave out" in answer.output
    assert "exclude=" not in answer.output
    at = whole.index(records[1].data) + 100
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    answer = CliRunner().invoke(main, ["verify", str(path), "--list", listed])
    assert f'exclude={listed!r}, check="never"' in answer.output
    with pytest.raises(ValueError, match="checksum"):
        fastload.TFRecord(path, exclude=listed)
    assert verify_samples(fastload.TFRecord(path, exclude=listed, check="never")).samples == 3
    path.write_bytes(whole[:-30])  # the last record has no name any more
    answer = CliRunner().invoke(main, ["verify", str(path), "--list", listed])
    assert f"{listed} is empty; 1 bad places have no name" in answer.output and "exclude=" not in answer.output


def test_what_a_folder_holds(folder):
    for odd in ("class0/exif.jpg", "class1/native.jpg"):
        (folder / odd).unlink()
    with_bad = describe(ImageFolder(folder))
    assert with_bad.unreadable == 3  # a cut JPEG has its header
    for bad in BAD:
        (folder / bad).unlink()
    dataset = ImageFolder(folder)
    found = describe(dataset)
    opened = []
    for path, _ in dataset.samples:
        with PIL.Image.open(path) if "bomb" not in path else picture(3, 300, 200) as image:
            opened.append((image.size, image.mode))
    assert (found.samples, found.looked_at, found.unreadable) == (len(opened), len(opened), 0)
    assert found.bytes == sum(os.path.getsize(path) for path, _ in dataset.samples)
    assert found.shards is None
    widths = [size[0] for size, _ in opened]
    assert (found.width.min, found.width.median, found.width.max) == (min(widths), np.median(widths), max(widths))
    assert found.pixels.max == max(width * height for (width, height), _ in opened)
    assert found.formats == {"JPEG": len(opened) - 2, "PNG": 2}
    assert found.modes["CMYK"] == 1 and found.modes["L"] == 1 and found.modes["RGBA"] == 1
    assert sum(found.chroma.values()) == len(opened) - 2
    assert {"4:4:4", "4:2:0", "gray"} <= set(found.chroma)
    assert found.classes == {"class0": dataset.targets.count(0), "class1": dataset.targets.count(1)}


def test_info_of_shards_as_text_and_as_json(tmp_path):
    payloads = [jpeg_bytes(number, 40 + number, 30, form=2) for number in range(7)]
    records = [Record(f"a/{number}.jpg", data, number % 2) for number, data in enumerate(payloads)]
    fastload.write_parquet(tmp_path / "x.parquet", records, ["cat", "dog"])
    found = json.loads(CliRunner().invoke(main, ["info", str(tmp_path / "x.parquet"), "--json"]).stdout)
    assert found["classes"] == {"cat": 4, "dog": 3}
    assert (found["shards"], found["shard_bytes"]) == (1, os.path.getsize(tmp_path / "x.parquet"))
    assert found["bytes"] == sum(map(len, payloads))
    assert found["width"] == {"min": 40, "median": 43, "max": 46}
    assert found["chroma"] == {"4:2:0": 7}
    text = CliRunner().invoke(main, ["info", str(tmp_path / "x.parquet"), "-o", "target=null"]).output
    assert "width       40 to 46, median 43\n" in text
    assert "cat" not in text
    assert "chroma      4:2:0 7\n" in text
    assert CliRunner().invoke(main, ["info", str(tmp_path / "x.parquet"), "-o", "image=none"]).exit_code == 2
    sampled = describe(fastload.Parquet(tmp_path / "x.parquet"), look_at=3)
    assert (sampled.looked_at, sampled.width.min, sampled.width.max) == (3, 40, 46)


def test_the_sheet_shows_what_the_loader_gives(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", None)
    for bad in BAD:
        (folder / bad).unlink()
    dataset = ImageFolder(folder, T.Compose([T.Resize(256), T.CenterCrop(224), T.PILToTensor()]))
    answer = CliRunner().invoke(
        main, ["preview", str(folder), str(tmp_path / "x.png"), "-n", "4", "--transform", "eval"]
    )
    assert answer.exit_code == 0, answer.output
    with PIL.Image.open(tmp_path / "x.png") as sheet:
        assert sheet.format == "PNG"
        pixels = torch.from_numpy(np.array(sheet)).permute(2, 0, 1)
    rows = np.linspace(0, len(dataset) - 1, 4).round().astype(int).tolist()
    for number, row in enumerate(rows):
        left, top = 4 + number % 2 * 228, 4 + number // 2 * 244
        assert torch.equal(pixels[:, top : top + 224, left : left + 224], dataset[row][0])
    sheets = []
    for seed in (1, 1, 2):
        state = torch.get_rng_state()
        assert write_preview(dataset, tmp_path / "y.png", images=5, transform="train", seed=seed) == 5
        sheets.append((tmp_path / "y.png").read_bytes())
        assert torch.equal(torch.get_rng_state(), state)
    assert sheets[0] == sheets[1] != sheets[2]


def test_a_bad_image_has_its_reason_in_the_sheet(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", None)
    shutil.rmtree(folder / "class1")
    for path in (folder / "class0").glob("*"):
        if path.name != "text.jpg":
            path.unlink()
    for transform in ("none", "train"):
        assert write_preview(ImageFolder(folder), tmp_path / "x.png", transform=transform) == 1
        with PIL.Image.open(tmp_path / "x.png") as sheet:
            assert (170, 0, 0) in {colour for _, colour in sheet.getcolors(1 << 16)}


def test_a_pipe_is_bad_and_not_waited_for(tmp_path):
    root = write_folder(tmp_path / "root", classes=1, images=3)
    os.mkfifo(root / "class0" / "pipe.jpg")
    dataset = ImageFolder(str(root))
    (finding,) = verify_samples(dataset).bad
    assert finding.name == "class0/pipe.jpg" and "it is no file" in finding.reason
    assert describe(dataset).unreadable == 1
    for transform in ("none", "eval"):
        assert write_preview(dataset, tmp_path / "sheet.png", transform=transform) == len(dataset)
