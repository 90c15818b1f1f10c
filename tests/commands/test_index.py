"""The command: fastload index, and the entry points that it makes."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from fastload.commands import main
from fastload.entries import parts_of
from images import jpeg_bytes


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    (folder / "a").mkdir()
    for number in range(3):
        (folder / "a" / f"{number}.jpg").write_bytes(jpeg_bytes(number, form=0))
    time.sleep(0.15)  # after which a file is old enough
    return folder


def run(*args):
    return CliRunner().invoke(main, ["index", *map(str, args)])


def entries_of(*args):
    done = run(*args, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["entries"]


def test_entry_points_are_made_once(photos):
    first = entries_of(photos)
    assert (first["made"], first["known"], first["k"]) == (3, 0, 16) and first["bytes"] > 0
    assert (entries_of(photos)["made"], entries_of(photos)["known"]) == (0, 3)
    assert "3 were there" in run(photos).output


def test_k(photos, tmp_path):
    sizes = {}
    for k in (1, 0):
        assert entries_of(photos, "--k", k, "--entries", tmp_path / f"{k}")["made"] == 3
        sizes[k] = (tmp_path / f"{k}").stat().st_size
    assert sizes[0] < sizes[1]
    assert run(photos, "--k", -1).exit_code == run(photos, "--k", 65536).exit_code == 2


def test_a_file_of_them(photos, tmp_path):
    report = entries_of(photos, "--entries", tmp_path / "file")
    assert report["places"][-1] == str(tmp_path / "file") and parts_of(tmp_path / "file")[1] == 3


def test_none(photos, tmp_path):
    done = run(photos, "--no-entries", "--json")
    assert done.exit_code == 0 and "entries" not in json.loads(done.stdout)
    assert not (tmp_path / "cache" / "fastload" / "entries").exists()


def test_a_file_that_cannot_be_written(photos, tmp_path):
    done = run(photos, "--entries", tmp_path / "nowhere" / "file")
    assert done.exit_code == 1 and "nowhere" in done.output
    done = run(photos, "--entries", tmp_path / "nowhere" / "file", "--json")
    assert done.exit_code == 1 and "nowhere" in json.loads(done.stdout)["entries"]["error"]


def test_a_file_is_of_one_source(photos, tmp_path):
    for wrong in ([photos, photos], [photos, "--no-entries"]):
        done = run(*wrong, "--entries", tmp_path / "file")
        assert done.exit_code == 2 and "--entries" in done.output
    assert not (tmp_path / "file").exists()
