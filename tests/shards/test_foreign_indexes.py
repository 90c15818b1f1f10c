"""Indexes of other loaders: written as they read them, compared with the shards, never unpickled; and the command that does it."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from fastload.commands import main
from fastload.shards import ForeignIndexError, Record, check_foreign_index, write_foreign_index, write_tar


@pytest.fixture
def shards(tmp_path):
    paths = []
    for shard in range(2):
        records = [Record(f"{shard}-{n}.jpg", b"j" * (700 + n), n) for n in range(3 + shard)]
        paths.append(str(tmp_path / f"t-{shard}.tar"))
        write_tar(paths[-1], records, ["a", "b"])
    return paths


@pytest.mark.parametrize(
    ("kind", "names", "count"),
    [
        ("dali", ["t-0.idx", "t-1.idx"], [3, 4]),
        ("wids", ["shardindex.json"], [7]),
        ("timm", ["_info.json"], [7]),
    ],
)
def test_what_is_written_is_that_of_the_shards(shards, kind, names, count):
    written = write_foreign_index(kind, shards)
    assert [os.path.basename(path) for path in written] == names
    assert [check_foreign_index(path, shards) for path in written] == count
    os.rename(shards[1], shards[1] + ".old")
    write_tar(shards[1], [Record("1-0.jpg", b"new", 0)], ["a", "b"])
    with pytest.raises(ForeignIndexError, match=r"t-1\.tar"):
        check_foreign_index(written[-1], shards)


def test_dalis_lines(shards):
    lines = Path(write_foreign_index("dali", shards)[0]).read_text().splitlines()
    assert lines[0] == "v1.2 3"
    data = Path(shards[0]).read_bytes()
    for number, line in enumerate(lines[1:]):
        parts = re.findall(r"(\S+) (\d+) (\d+) (\S+)", line)
        assert [(ending, name) for ending, _, _, name in parts] == [
            (ending, f"0-{number}.{ending}") for ending in ("cls", "jpg", "json")
        ]
        assert data[int(parts[1][1]) :][: int(parts[1][2])] == b"j" * (700 + number)
        assert all(int(offset) % 512 == 0 for _, offset, _, _ in parts)


def test_names_with_spaces_have_a_line_of_the_older_form(tmp_path):
    import tarfile

    (tmp_path / "a b.jpg").write_bytes(b"x")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "a b.jpg", "a b.jpg")
    (path,) = write_foreign_index("dali", [str(tmp_path / "a.tar")])
    assert re.fullmatch(r"v1\.1 1\njpg \d+ 1\n", Path(path).read_text())
    assert check_foreign_index(path, [str(tmp_path / "a.tar")]) == 1


def test_tfrecord2idx(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    with open(path, "wb") as file:
        for length in (5, 0, 77):
            file.write(length.to_bytes(8, "little") + bytes(4 + length + 4))
    (written,) = write_foreign_index("tfrecord2idx", [path])
    assert Path(written).read_text() == "0 21\n21 16\n37 93\n"
    assert check_foreign_index(written, [path]) == 3
    with open(written, "a") as file:
        file.write("130 16\n")
    with pytest.raises(ForeignIndexError, match="has 4 records"):
        check_foreign_index(written, [path])
    os.truncate(path, 100)
    with pytest.raises(ForeignIndexError, match="the record at byte 37 ends behind it"):
        write_foreign_index("tfrecord2idx", [path])


def test_a_pickle_is_never_read(shards, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    path = tmp_path / "t-0.tar.index"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ForeignIndexError, match="pickle"):
        check_foreign_index(str(path), shards)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("rounds", [60, pytest.param(5000, marks=pytest.mark.slow)])
def test_damaged_indexes_are_errors_that_name_them(shards, rounds):
    rng = random.Random(rounds)
    written = [path for kind in ("dali", "wids", "timm") for path in write_foreign_index(kind, shards)]
    wholes = {path: Path(path).read_bytes() for path in written}
    for _ in range(rounds):
        path = rng.choice(written)
        data = bytearray(wholes[path])
        for _ in range(rng.randrange(1, 3)):
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(3)] = rng.choice([b"", b"9", b"../", b"\xff", b"{", b"\n", b"1e999", b" "])
        with open(path, "wb") as file:
            file.write(data)
        try:
            check_foreign_index(path, shards)
        except (ValueError, OSError) as error:
            assert os.path.basename(path).partition(".")[0] in str(error) or isinstance(error, OSError)
        with open(path, "wb") as file:
            file.write(wholes[path])


def run(*args):
    return CliRunner().invoke(main, ["index", *map(str, args)])


def test_the_command(shards, tmp_path):
    done = run(tmp_path, "--export", "wids", "--export", "dali")
    assert done.exit_code == 0, done.output
    assert "7 samples (tar)" in done.output and "shardindex.json" in done.output and "t-1.idx" in done.output
    done = run(tmp_path, "--json", "--import", tmp_path / "shardindex.json")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["samples"], report["shards"], report["classes"]) == (0, 7, 2, 2)
    assert report["imported"] == {str(tmp_path / "shardindex.json"): 7}
    assert os.path.exists(report["index"])
    with open(shards[0], "ab") as file:
        file.write(bytes(512))
    done = run(tmp_path, "--import", tmp_path / "shardindex.json")
    assert done.exit_code == 1 and "shardindex.json" in done.output
    done = run(tmp_path / "nowhere.tar", "--json")
    assert done.exit_code == 1 and "nowhere.tar" in json.loads(done.stdout)["error"]


def test_the_command_of_a_class_folder(tmp_path):
    from images import write_folder

    write_folder(tmp_path / "f", classes=2, images=1)
    assert "2 samples (folder), files of their own" in run(tmp_path / "f").output
