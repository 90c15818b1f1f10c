"""fastload verify lists every bad place of damaged shards, and reads what is around them."""

from __future__ import annotations

import json
import os
import struct

import pytest
from click.testing import CliRunner

import fastload
from fastload.commands import main
from fastload.shards import Record, write_lmdb, write_parquet, write_tar, write_tfrecord
from images import jpeg_bytes

PAYLOADS = [jpeg_bytes(number, 40, 30) for number in range(6)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def records(first=0):
    return [Record(f"a/{first + n}.jpg", data, n % 2) for n, data in enumerate(PAYLOADS)]


def verified(*args):
    answer = CliRunner().invoke(main, ["verify", *map(str, args), "--json"])
    assert isinstance(answer.exception, SystemExit | None), answer.exception
    found = json.loads(answer.stdout)
    assert answer.exit_code == bool(found["bad"])
    return found, [(bad["index"], bad["name"], bad["file"], bad["offset"]) for bad in found["bad"]]


def frames(path):
    """Where each record begins, and how long its data is."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield at, length
        at += 16 + length


def changed(path, *places):
    data = bytearray(path.read_bytes())
    for at in places:
        data[at] ^= 0xFF
    path.write_bytes(data)


def test_every_bad_record_of_a_tfrecord(tmp_path):
    path, other = tmp_path / "x.tfrecord", tmp_path / "y.tfrecord"
    write_tfrecord(path, records(), ["a", "b"])
    write_tfrecord(other, records(6), ["a", "b"])
    found, bad = verified(tmp_path / "?.tfrecord")
    assert (found["samples"], bad) == (12, [])
    place = list(frames(path))
    within = path.read_bytes().index(PAYLOADS[1]) + 400
    # In an image, in a checksum, and in what says where the features are.
    changed(path, within, place[3][0] + 12 + place[3][1], place[4][0] + 13)
    begin, length = list(frames(other))[2]
    changed(other, begin)
    found, bad = verified(tmp_path / "?.tfrecord", "--list", tmp_path / "bad.txt")
    assert bad == [
        (1, "a/1.jpg", str(path), place[1][0]),
        (3, "a/3.jpg", str(path), place[3][0]),
        (None, None, str(path), place[4][0]),
        (None, None, str(other), begin),
    ]
    assert found["samples"] == 5 + 2
    assert [bad["reason"].partition(":")[0] for bad in found["bad"]] == ["record 1", "record 3", "record 4", "record 2"]
    assert "checksum of its data is wrong" in found["bad"][0]["reason"]
    assert "no tf.train.Example" in found["bad"][2]["reason"]
    assert "nothing behind it is read" in found["bad"][3]["reason"]
    assert (tmp_path / "bad.txt").read_text().splitlines() == ["a/1.jpg", "a/3.jpg"]
    # As the data set leaves them out.
    write_tfrecord(path, records(), ["a", "b"])
    changed(path, within, place[3][0] + 12 + place[3][1])
    rest = fastload.TFRecord(path, check="never", exclude=tmp_path / "bad.txt")
    assert [rest.samples.name(i) for i in range(len(rest))] == ["a/0.jpg", "a/2.jpg", "a/4.jpg", "a/5.jpg"]
    assert verified(path, "-o", f"exclude={tmp_path / 'bad.txt'}")[1] == []


def test_names_of_records_behind_a_bad_one_stay_the_same(tmp_path):
    write_tfrecord(tmp_path / "x.tfrecord", [Record("same.jpg", data, 0) for data in [*PAYLOADS[:4], b"no image"]])
    names = [name for _, name, _, _ in verified(tmp_path / "x.tfrecord")[1]]
    assert names == ["x.tfrecord/00000004"]
    changed(tmp_path / "x.tfrecord", list(frames(tmp_path / "x.tfrecord"))[1][0] + 13)
    assert [name for _, name, _, _ in verified(tmp_path / "x.tfrecord")[1]] == [None, *names]


@pytest.mark.filterwarnings("ignore:WebDataset leaves samples out")  # that whose image is cut
def test_tars_that_are_cut(tmp_path):
    for number in range(4):
        write_tar(tmp_path / f"{number}.tar", records(6 * number), ["a", "b"])
    whole = (tmp_path / "1.tar").read_bytes()
    cut = whole.index(PAYLOADS[3]) + 100
    (tmp_path / "1.tar").write_bytes(whole[:cut])
    (tmp_path / "2.tar").write_bytes(b"no tar" * 500)
    for source in (tmp_path, tmp_path / "{0..3}.tar"):
        found, bad = verified(source)
        assert sorted(bad, key=str) == [
            (None, None, str(tmp_path / "1.tar"), cut - 100 - 512),
            (None, None, str(tmp_path / "2.tar"), None),
        ]
        assert found["samples"] == 6 + 3 + 6
    text = CliRunner().invoke(main, ["verify", str(tmp_path)]).output
    assert f"bad: {tmp_path / '1.tar'} at byte {cut - 612}: " in text and "is truncated" in text
    # Also where the first is none.
    (tmp_path / "0.tar").write_bytes(b"no tar" * 500)
    found, bad = verified(tmp_path / "{0..3}.tar")
    assert (found["samples"], [file for _, _, file, _ in bad]) == (
        3 + 6,
        [str(tmp_path / f"{n}.tar") for n in (0, 2, 1)],
    )


@pytest.mark.parametrize(("write", "ending"), [(write_parquet, "parquet"), (write_lmdb, "lmdb")])
def test_a_shard_that_is_cut_and_the_others(tmp_path, write, ending):
    for number in range(2):
        write(tmp_path / f"{number}.{ending}", records(6 * number), ["a", "b"])
    cut = tmp_path / f"0.{ending}"
    os.truncate(cut, cut.stat().st_size // 2)
    found, bad = verified(tmp_path)
    assert bad == [(None, None, str(cut), None)] and found["samples"] == 6
    assert str(cut) in found["bad"][0]["reason"]
    assert verified(cut)[1] == bad
    answer = CliRunner().invoke(main, ["verify", str(cut), "-o", "nothing=1"])
    assert answer.exit_code == 2
