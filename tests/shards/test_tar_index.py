"""The native scan of tars: what others write is read by webdataset's rule; what is wrong has its place."""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import subprocess
import tarfile

import numpy as np
import pytest

from fastload import _core
from fastload.shards import (
    Record,
    Shard,
    TarError,
    TarFields,
    index_tars,
    looks_like_tar,
    tar_index,
    target_of_tars,
    write_tar,
)
from fastload.shards.join_columns import texts_of
from fastload.shards.tar_index import scan_tar

LONG = "a long name " * 12
NAMES = ["1", "a/b.c/2", "with spaces in/it 3", "é/ü4", f"{'deep/' * 20}5", f"x/{LONG}", "./7"]
# webdataset's rule, as webdataset, datasets and Ray write it.
RULE = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)


def image(name):
    return random.Random(name).randbytes(700 + len(name))


def members():
    for number, name in enumerate(NAMES):
        yield f"{name}.cls", b"%d\n" % number
        yield f"{name}.JPG", image(name)
        yield f"{name}.seg.png", b"seg"


def tar_of(path, parts, format=tarfile.USTAR_FORMAT, mode="w", **more):
    with tarfile.open(path, mode, format=format) as tar:
        for name, data in parts:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in more.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(data))
    return path


def scan(path, target="cls", on_damage="raise"):
    return scan_tar(Shard.of_file(path), TarFields.of("jpg;jpeg;png", target), on_damage)


def samples_of(path, **more):
    part = scan(path, **more)
    data = path.read_bytes()
    texts = [name.decode("utf-8", "surrogateescape") for name in texts_of(part.names)]
    return [
        (name, data[offset : offset + length])
        for name, offset, length in zip(texts, part.offset, part.length, strict=True)
    ], part


def check(path, names=NAMES, prefix=""):
    found, part = samples_of(path)
    by_name = {name.removeprefix(prefix): data for name, data in found}
    assert by_name == {f"{name}.JPG": image(name) for name in names}
    order = {f"{prefix}{name}.JPG": NAMES.index(name) for name in names}
    assert part.target.tolist() == [order[name] for name, _ in found]
    return part


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_python(tmp_path, format):
    check(tar_of(tmp_path / "a.tar", members(), format, mtime=3 if format == tarfile.GNU_FORMAT else 3.25))


def test_ustar_of_python(tmp_path):
    short = [name for name in NAMES if LONG not in name]
    parts = [(name, data) for name, data in members() if LONG not in name]
    assert len(f"{NAMES[4]}.JPG") > 100  # so that there is a prefix
    check(tar_of(tmp_path / "a.tar", parts), short)


@pytest.mark.parametrize(
    "command",
    [
        ["tar", "--format=v7", "--sort=name"],
        ["tar", "--format=ustar", "--sort=name"],
        ["tar", "--format=gnu", "--sort=name"],
        ["tar", "--format=oldgnu", "--sort=name"],
        ["tar", "--format=posix", "--sort=name"],
        ["bsdtar", "--format=ustar"],
        ["bsdtar", "--format=gnutar"],
        ["bsdtar", "--format=pax"],
        ["bsdtar", "--format=v7"],
    ],
    ids=" ".join,
)
def test_tars_of_commands(tmp_path, command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    limits = {"v7": 90, "ustar": 200}
    longest = max((limit for form, limit in limits.items() if form in command[1]), default=1000)
    names = [name for name in NAMES if len(name) < longest and not (longest < 1000 and LONG in name)]
    for name, data in members():
        if name.rpartition(".")[0].removesuffix(".seg") in names:
            (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / name).write_bytes(data)
    paths = [os.path.normpath(f"{name}.{ending}") for name in names for ending in ("cls", "JPG", "seg.png")]
    (tmp_path / "list").write_text("\n".join(paths) + "\n")
    subprocess.run([*command, "-cf", tmp_path / "a.tar", "-C", tmp_path / "in", "-T", tmp_path / "list"], check=True)
    found, part = samples_of(tmp_path / "a.tar")
    assert {os.path.normpath(name): data for name, data in found} == {
        os.path.normpath(f"{name}.JPG"): image(name) for name in names
    }
    assert part.target.tolist() == [NAMES.index(name) for name in names]
    folder = tmp_path / "whole.tar"  # with its folders, which are no samples
    subprocess.run([*command, "-cf", folder, "-C", tmp_path / "in", "."], check=True)
    found, part = samples_of(folder)
    assert {os.path.normpath(name): data for name, data in found} == {
        os.path.normpath(f"{name}.JPG"): image(name) for name in names
    } or "returned" in part.facts  # a command that does not sort
    assert part.facts["not_files"] > 0


def test_tars_of_webdataset(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        for number, name in enumerate(NAMES[:4]):
            writer.write({"__key__": name, "jpg": image(name), "cls": number, "json": {"a": number}})
    found, part = samples_of(tmp_path / "a.tar")
    assert found == [(f"{name}.jpg", image(name)) for name in NAMES[:4]]
    assert part.target.tolist() == [0, 1, 2, 3]
    part = scan(tmp_path / "a.tar", target="json:a")
    assert part.target.tolist() == [0, 1, 2, 3]
    part = scan(tmp_path / "a.tar", target="json")
    assert (part.target_kind, texts_of(part.texts)[2]) == ("json", b'{"a": 2}')


def test_what_tar_says_with_other_numbers(tmp_path):
    """Sizes in base 256 and in PAX records, signed checksums, type 7 and no type, one tar after the other, no end, no padding."""

    def header(name, size, **changed):
        block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
        block[124:136] = size
        for at, value in changed.items():
            block[int(at[1:]) : int(at[1:]) + len(value)] = value
        block[148:156] = b" " * 8
        total = sum(b - 256 if b > 127 and "signed" in name else b for b in block)
        block[148:156] = b"%06o\0 " % (total % (1 << 21))
        return bytes(block)

    def padded(data):
        return data + bytes(-len(data) % 512)

    pax = b"11 size=3\n\n"
    pax = b"10 size=3\n"
    parts = [
        header("base.jpg", bytes([0x80, *[0] * 9, 2, 1])) + padded(b"b" * 513),
        header("é signed.jpg", b"00000000003\0") + padded(b"sss"),
        header("seven.jpg", b"        3 \0\0", _156=b"7") + padded(b"777"),
        header("old.jpg", b"3".ljust(12, b"\0"), _156=b"\0", _257=bytes(8)) + padded(b"ooo"),
        header("folder.jpg/", b"00000000777\0", _156=b"\0"),
        header("x", b"%011o\0" % len(pax), _156=b"x") + padded(pax),
        header("pax.jpg", b"00000000777\0") + padded(b"ppp"),
        bytes(1024),
        header("other.jpg", b"00000000003\0") + b"ttt",
    ]
    (tmp_path / "a.tar").write_bytes(b"".join(parts))
    found, part = samples_of(tmp_path / "a.tar", target=None)
    names = ["base", "é signed", "seven", "old", "pax", "other"]
    assert [name for name, _ in found] == [f"{name}.jpg" for name in names]
    assert [data for _, data in found] == [b"b" * 513, b"sss", b"777", b"ooo", b"ppp", b"ttt"]
    assert part.facts == {"not_files": 1, "unclosed": 1}


def test_names_are_split_by_webdatasets_rule():
    rng = random.Random(0)
    for _ in range(3000):
        name = "".join(rng.choice(["a", "b", ".", "/", "é", "__"]) for _ in range(rng.randrange(1, 9)))
        expected = RULE.fullmatch(name)
        found = _core.split_tar_name(name)
        assert found == (expected and tuple(part.encode() for part in expected.groups())), name


def test_what_is_no_sample_is_counted(tmp_path):
    parts = [("README", b"x"), ("__meta__/1.jpg", b"x"), ("__x__", b"x"), ("1.jpg", b"1"), ("2.cls", b"2")]
    parts += [("3.jpg", b"3"), ("3.cls", b"3"), ("1.cls", b"1")]
    tar_of(tmp_path / "a.tar", parts)
    found, part = samples_of(tmp_path / "a.tar")
    assert [name for name, _ in found] == ["3.jpg"]
    assert part.facts == {
        "unnamed": 3,
        "without_image": 2,
        "without_target": 1,
        "returned": 1,
        "first_without_image": "2",
        "first_without_target": "1",
    }


def test_the_first_field_that_is_there(tmp_path):
    parts = [("1.png", b"p"), ("1.jpg", b"j"), ("1.json", b'{"y": 5}'), ("1.cls", b" +7\n")]
    parts += [("2.png", b"q"), ("2.json", b'{"y": 6}')]
    tar_of(tmp_path / "a.tar", parts)
    found, part = samples_of(tmp_path / "a.tar", target="cls;json:y")
    assert found == [("1.jpg", b"j"), ("2.png", b"q")]
    assert part.target.tolist() == [7, 6]
    assert scan(tmp_path / "a.tar", target="json:y;cls").target.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("parts", "target", "what"),
    [
        ([("1.jpg", b""), ("1.JPG", b"")], None, "byte 512: member '1.JPG' is the second 'jpg' of its sample"),
        ([("1.jpg", b""), ("1.cls", b"one")], "cls", "byte 512: member '1.cls' is no integer: 'one'"),
        ([("1.jpg", b""), ("1.cls", b"9" * 30)], "cls", "no integer"),
        ([("1.jpg", b""), ("1.json", b"{")], "json:x", "sample 1.jpg: its json cannot be read"),
        ([("1.jpg", b""), ("1.json", b"{}")], "json:x", "sample 1.jpg: its json has no 'x'"),
        ([("1.jpg", b""), ("1.json", b"[" * 100000)], "json:x", "sample 1.jpg: its json cannot be read"),
    ],
)
def test_what_is_wrong_has_its_place(tmp_path, parts, target, what):
    tar_of(tmp_path / "a.tar", parts)
    with pytest.raises(TarError, match=re.escape(what)) as caught:
        scan(tmp_path / "a.tar", target=target)
    assert str(tmp_path / "a.tar") in str(caught.value)


def test_a_cut_tar_says_where_and_what_is_missing(tmp_path):
    whole = tar_of(tmp_path / "whole.tar", members(), tarfile.GNU_FORMAT).read_bytes()
    path = tmp_path / "a.tar"
    part = scan(tmp_path / "whole.tar")
    fourth = int(part.offset[3])
    cut = {
        fourth + 100: rf"truncated at byte {fourth - 512}: member 'é/ü4\.JPG' is \d+ bytes long, 100 bytes are there",
        fourth - 512 + 9: rf"truncated at byte {fourth - 512}: a header is 512 bytes long, 9 bytes are there",
    }
    for size, what in cut.items():
        path.write_bytes(whole[:size])
        with pytest.raises(TarError, match=what):
            scan(path)
        found, part = samples_of(path, on_damage="warn")
        assert [name for name, _ in found] == [f"{name}.JPG" for name in NAMES[:3]]
        assert "3 samples before it are used" in part.facts["damage"]
    path.write_bytes(whole[: fourth - 512] + b"?" * 512 + whole[fourth:])
    with pytest.raises(TarError, match=rf"damaged at byte {fourth - 512}: no tar header"):
        scan(path)


def test_sparse_files_are_refused(tmp_path):
    with open(tmp_path / "1.jpg", "wb") as file:
        file.truncate(1 << 20)
    for form in ("gnu", "posix"):
        command = ["tar", f"--format={form}", "--sparse", "-cf", tmp_path / "a.tar", "-C", tmp_path, "1.jpg"]
        subprocess.run(command, check=True)
        with pytest.raises(TarError, match=r"damaged at byte \d+: a sparse file"):
            scan(tmp_path / "a.tar", target=None)


@pytest.mark.parametrize(("mode", "name"), [("w:gz", "gzip"), ("w:bz2", "bzip2"), ("w:xz", "xz")])
def test_compressed_tars_are_refused_with_advice(tmp_path, mode, name):
    path = tar_of(tmp_path / "a.tar.x", members(), tarfile.PAX_FORMAT, mode)
    with pytest.raises(TarError, match=rf"compressed \({name}\).*Unpack it once.*WebDataset\.stream"):
        scan(path)
    assert looks_like_tar(str(path))


def test_what_is_no_tar(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no tar" * 1000)
    with pytest.raises(TarError, match=r"a\.tar is no tar"):
        scan(tmp_path / "a.tar")
    assert not looks_like_tar(str(tmp_path / "a.tar"))
    with pytest.raises(IsADirectoryError):
        scan(tmp_path)


def test_no_byte_of_an_image_is_read(tmp_path):
    """From a reader in Python, as that of a store: what it is asked for, and what it raises."""
    parts = [(f"{n}.{ending}", data) for n in range(50) for ending, data in (("cls", b"1"), ("jpg", bytes(100_000)))]
    path = tar_of(tmp_path / "a.tar", parts)
    data, asked = path.read_bytes(), []

    def read(offset, length):
        asked.append(length)
        return data[offset : offset + length]

    found = _core.scan_tar(read, len(data), ["jpg"], [("cls", True)])
    assert found["offset"].tolist() == scan(path).offset.tolist()
    assert sum(asked) < len(data) / 20
    with pytest.raises(ZeroDivisionError):
        _core.scan_tar(lambda offset, length: 1 // 0, len(data), ["jpg"], [])
    with pytest.raises(RuntimeError, match="cast"):
        _core.scan_tar(lambda offset, length: None, len(data), ["jpg"], [])
    assert _core.scan_tar(lambda offset, length: b"", len(data), ["jpg"], [])["end"] == "truncated"


def test_shards_are_scanned_again_only_where_they_changed(tmp_path, monkeypatch):
    paths = [str(tar_of(tmp_path / f"{n}.tar", [(f"{n}.jpg", b"%d" % n)])) for n in range(4)]
    fields = TarFields.of("jpg", None)
    first = index_tars(paths, fields)
    scanned = []
    monkeypatch.setattr(
        tar_index, "scan_tar", lambda shard, *more: scanned.append(shard.path) or scan_tar(shard, *more)
    )
    assert index_tars(paths, fields).path == first.path
    assert scanned == []
    tar_of(paths[2], [("new.jpg", b"new"), ("newer.jpg", b"newer")])
    index = index_tars(paths, fields)
    assert scanned == [paths[2]]
    assert [index.source(row).read() for row in range(5)] == [b"0", b"1", b"new", b"newer", b"3"]
    assert [index.name(row) for row in range(5)] == ["0.jpg", "1.jpg", "new.jpg", "newer.jpg", "3.jpg"]


def test_names_that_come_in_several_shards_are_told_apart(tmp_path):
    paths = [str(tar_of(tmp_path / f"s{n}.tar", [("0.jpg", b"%d" % n)])) for n in range(2)]
    index = index_tars(paths, TarFields.of("jpg", None))
    assert [index.name(row) for row in range(2)] == ["s0/0.jpg", "s1/0.jpg"]
    tar_of(paths[0], [("1.jpg", b"x")])
    assert [index_tars(paths, TarFields.of("jpg", None)).name(row) for row in range(2)] == ["1.jpg", "0.jpg"]


def test_the_target_is_found_by_looking(tmp_path):
    for target, fields in {"cls": {"cls": b"1", "txt": b"t"}, "json:label": {"json": b'{"label": 1}'}}.items():
        tar_of(tmp_path / "a.tar", [("1.jpg", b""), *((f"1.{name}", data) for name, data in fields.items())])
        assert target_of_tars([str(tmp_path / "a.tar")]) == target
    tar_of(tmp_path / "a.tar", [("1.jpg", b""), ("1.json", b"{}"), ("1.txt", b"t")])
    assert target_of_tars([str(tmp_path / "a.tar")]) == "txt"
    tar_of(tmp_path / "a.tar", [("1.jpg", b"")])
    assert target_of_tars([str(tmp_path / "a.tar")]) is None


def test_an_index_of_many_shards_names_the_classes_once(tmp_path):
    paths = [str(tmp_path / f"{n}.tar") for n in range(3)]
    for n, path in enumerate(paths):
        write_tar(path, [Record(f"{n}.jpg", b"x", n)], ["first class", "b", "c"])
    index = index_tars(paths, TarFields.of("jpg", "cls"))
    assert str(index.facts).count("first class") == 1
    write_tar(paths[0], [Record("new.jpg", b"x", 0)], ["first class", "b", "c"])
    index = index_tars(paths, TarFields.of("jpg", "cls"))  # of one new shard, and two that are known
    assert index.facts["classes"] == ["first class", "b", "c"]
    write_tar(paths[1], [Record("new.jpg", b"x", 0)], ["other"])
    with pytest.raises(TarError, match="other classes"):
        index_tars(paths, TarFields.of("jpg", "cls"))


def test_what_a_terminal_would_obey_is_no_part_of_a_message(tmp_path):
    tar_of(tmp_path / "a.tar", [("\x1b[2J\n.jpg", b""), ("\x1b[2J\n.cls", b"\x07x")])
    with pytest.raises(TarError, match=r"member '\?\[2J\?\.cls' is no integer: '\?x'"):
        scan(tmp_path / "a.tar")


def corrupted(rng, whole):
    data = bytearray(whole)
    for _ in range(rng.randrange(1, 4)):
        kind = rng.randrange(6)
        header = rng.randrange(len(data) // 512) * 512
        if kind == 0:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data = data[: rng.randrange(1024, len(data) + 1)]
        elif kind == 2:  # a hostile size, with the right checksum
            size = rng.choice(
                [b"77777777777\0", b"\x80" + b"\xff" * 11, b"\xff" * 12, b"00000000000\0", b"9" * 12, bytes(12)]
            )
            data[header + 124 : header + 136] = size
        elif kind == 3:
            data[header + 156 : header + 157] = rng.choice(
                [b"L", b"x", b"g", b"S", b"5", b"1", b"K", b"\0", b"7", b"X"]
            )
        elif kind == 4:
            at = rng.randrange(len(data) // 512) * 512
            data[header : header + 512], data[at : at + 512] = data[at : at + 512], data[header : header + 512]
        else:
            data[header : header + 100] = rng.choice([b"../../evil.jpg", b"/etc/x.jpg", b"a\nb.jpg"]).ljust(100, b"\0")
        if kind in (2, 3, 5) and len(data) >= header + 512:
            data[header + 148 : header + 156] = b" " * 8
            data[header + 148 : header + 156] = b"%06o\0 " % sum(data[header : header + 512])
    return bytes(data)


@pytest.mark.parametrize("rounds", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_corrupted_tars_give_an_error_or_what_is_there(tmp_path, rounds):
    """Whatever is found lies in the shard and begins behind a header that names it; tarfile finds the same."""
    rng = random.Random(rounds)
    wholes = [
        tar_of(tmp_path / "whole.tar", members(), format, mtime=1.5).read_bytes()
        for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    ]
    errors = right = 0
    for _ in range(rounds):
        data = corrupted(rng, rng.choice(wholes))
        found = _core.scan_tar(lambda at, size, data=data: data[at : at + size], len(data), ["jpg"], [("cls", True)])
        names = texts_of(found["name"])
        assert len(names) == len(found["offset"]) == len(found["length"]) == len(found["number"])
        assert (found["offset"] >= 512).all() and (found["offset"] % 512 == 0).all()
        assert (found["length"] >= 0).all() and (found["offset"] + found["length"] <= len(data)).all()
        theirs = {}
        try:
            with tarfile.open(fileobj=io.BytesIO(data), mode="r:", ignore_zeros=False) as tar:
                for member in tar:
                    theirs[member.offset_data] = (member.name, member.size)
        except (tarfile.TarError, ValueError, OverflowError, EOFError):
            pass
        for name, offset, length in zip(names, found["offset"].tolist(), found["length"].tolist(), strict=True):
            if offset in theirs:
                assert theirs[offset] == (name.decode("utf-8", "surrogateescape"), length)
        errors += found["end"] in ("truncated", "damaged")
        right += found["end"] in ("marked", "unmarked")
        assert found["end"] != "none"
    assert errors > rounds / 10 and right > rounds / 10


def test_what_write_tar_writes_comes_back(tmp_path):
    records = [
        Record("n01/a.JPEG", image("1"), 0, "n01"),
        Record("n01/a.png", image("2"), 0, "n01"),
        Record("n02/with spaces.and.dots.jpg", image("3"), 1, "n02"),
        Record("é/../x.jpg", image("4"), 1, "n02"),
        Record("__x__/1.webp", memoryview(image("5")), 1, "n02"),
        Record("deep/" * 40 + "6.cls", np.frombuffer(image("6"), np.uint8), 1, "n02"),
        Record("000000002.jpg", image("7"), 0, "n01"),
        Record("no ending", image("8"), 0, "n01"),
    ]
    for name in ("a.tar", "b.tar"):
        write_tar(tmp_path / name, iter(records), ["n01", "n02", "n03"])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    fields = TarFields.of("jpg;png;webp;image", "cls")
    index = index_tars([str(tmp_path / "a.tar")], fields)
    assert index.facts["classes"] == ["n01", "n02", "n03"]
    assert [index.name(row) for row in range(8)] == [record.name for record in records]
    assert [index.target(row) for row in range(8)] == [record.target for record in records]
    assert [index.source(row).read() for row in range(8)] == [bytes(record.data) for record in records]
    with tarfile.open(tmp_path / "a.tar") as tar:
        found = tar.getmembers()
    assert {(m.mode, m.mtime, m.uid, m.gid, m.uname) for m in found} == {(0o444, 0, 0, 0, "")}
    assert all(re.fullmatch(r"[\x21-\x7e]{1,100}", m.name) for m in found)
    assert sorted(os.listdir(tmp_path)) == [".fastload", "a.tar", "b.tar"]


@pytest.mark.parametrize("targets", [["a", "b"], [{"x": 1}, [2]], [None, None], [True, False], [1, "a"]])
def test_other_targets_come_back_through_json(tmp_path, targets):
    write_tar(tmp_path / "a.tar", [Record(f"{n}.jpg", b"x", target) for n, target in enumerate(targets)], None)
    index = index_tars([str(tmp_path / "a.tar")], TarFields.of("jpg", "json:label"))
    assert [index.target(row) for row in range(2)] == targets


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    def records():
        yield Record("1.jpg", b"x", 0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_tar(tmp_path / "a.tar", records(), None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves files open
def test_webdataset_reads_what_write_tar_writes(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    from images import jpeg_bytes

    write_tar(tmp_path / "a.tar", [Record(f"c/{n}.jpg", jpeg_bytes(n), n, "c") for n in range(3)], ["c"])
    found = list(webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False, empty_check=False).decode("pil"))
    assert [(one["__key__"], one["cls"], one["json"]["filename"]) for one in found] == [
        (f"c/{n}", n, f"c/{n}.jpg") for n in range(3)
    ]
    assert found[0]["jpg"].size == (120, 90)
