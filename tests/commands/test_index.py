"""The command: fastload index, and the entry points that it makes."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from fastload.commands import main
from fastload.entries import parts_of
from fastload.entries.entry_making import _most_frequent as most_frequent
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


@pytest.mark.parametrize("k", [4, 0, 2])
def test_without_k_what_is_there_stays(tmp_path, k):
    own = tmp_path / "own"
    (own / "a").mkdir(parents=True)
    for number in range(3):  # with more MCUs in a row than are between two entry points
        (own / "a" / f"{number}.jpg").write_bytes(jpeg_bytes(number, 500, 40, form=0))
    time.sleep(0.15)
    assert entries_of(own, "--k", k)["made"] == 3
    (own / "a" / "new.jpg").write_bytes(jpeg_bytes(7, 500, 40, form=0))
    time.sleep(0.15)
    report = entries_of(own, "--entries", tmp_path / "file")
    assert (report["made"], report["known"], report["replaced"], report["k"]) == (1, 3, 0, k)
    assert report["as_before"] is True
    done = run(own)
    assert "4 were there and stay" in done.output and f"K = {k}" in done.output
    assert "as of most that were there: `--k N` makes all with another" in done.output
    assert entries_of(own, "--k", k)["known"] == 4  # the new one's is the same


def test_another_k_makes_all_anew_and_says_so(photos):
    assert entries_of(photos, "--k", 4)["replaced"] == 0
    report = entries_of(photos, "--k", 2)
    assert (report["made"], report["known"], report["replaced"], report["k"]) == (3, 0, 3, 2)
    assert report["as_before"] is False
    assert "3 made in " in (done := run(photos, "--k", 1)).output
    assert "3 of them anew, in the place of those of another K" in done.output and "K = 1" in done.output


def test_k_is_told_by_most_records():
    assert most_frequent([]) is None
    assert most_frequent([(9, 9), (16, 16)]) is None  # rows too short to tell
    assert most_frequent([(8, 40), (16, 40), (8, 40), (5, 5)]) == 8
    assert most_frequent([(40, 40), (63, 63), (8, 40)]) == 0
    assert most_frequent([(32, 40), (32, 50), (20, 20), (31, 31)]) == 32


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
