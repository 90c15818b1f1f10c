"""What of a source is odd and no damage: one rule for all ways to read it, and words that say what to do and hide secrets."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import tarfile
import warnings

import click.testing
import pytest
import torchvision.transforms as T

import fastload
from fastload import FastloadWarning, ImageFiles, ImageFolder, WebDataset
from fastload.commands import main
from fastload.conversion import convert, describe, verify_samples
from fastload.conversion.damaged_sources import open_damaged
from fastload.shards import Record, TarError, write_tar
from images import jpeg_bytes, write_folder


def tar_bytes(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def both_ways(path, **options):
    """Targets by the index and by the stream, or the error of each."""
    told = []
    for made in (lambda: WebDataset(path, **options), lambda: WebDataset.stream(path, shuffle=False, **options)):
        try:
            told.append([target for _, target in made()])
        except TarError as error:
            told.append(error)
    return told


@pytest.mark.parametrize("text", [b"10", b" 7\n", b"+5", b"-3", b"007", b"\t-0\r\n", b"9223372036854775807"])
def test_integers_that_are_some(tmp_path, text):
    (tmp_path / "a.tar").write_bytes(tar_bytes(("1.jpg", jpeg_bytes(0)), ("1.cls", text)))
    assert both_ways(str(tmp_path / "a.tar")) == [[int(text)], [int(text)]]


@pytest.mark.parametrize(
    "text", [b"1_0", b"", b" ", b"1.0", b"+-5", b"0x1", "\u0661".encode(), b"9223372036854775808", b"9" * 5000, b"1 2"]
)
def test_integers_that_are_none(tmp_path, text):
    (tmp_path / "a.tar").write_bytes(tar_bytes(("1.jpg", jpeg_bytes(0)), ("1.cls", text)))
    for error in both_ways(str(tmp_path / "a.tar")):
        assert isinstance(error, TarError) and "a.tar" in str(error) and "no integer" in str(error)


def test_a_shard_of_no_bytes_is_an_error(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar_bytes(("1.jpg", jpeg_bytes(0)), ("1.cls", b"1")))
    (tmp_path / "b.tar").touch()
    for error in both_ways(str(tmp_path)):
        assert isinstance(error, TarError) and "b.tar is empty" in str(error)
    with pytest.warns(FastloadWarning, match=r"b\.tar is empty"):
        assert len(WebDataset(tmp_path, on_damage="warn")) == 1
    dataset, damage = open_damaged(str(tmp_path))
    assert [bad.file for bad in verify_samples(dataset, damage=damage).bad] == [str(tmp_path / "b.tar")]


def test_an_empty_tar_is_a_shard_without_samples(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar_bytes(("1.jpg", jpeg_bytes(0)), ("1.cls", b"1")))
    (tmp_path / "b.tar").write_bytes(tar_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert both_ways(str(tmp_path)) == [[1], [1]]


def test_a_tar_that_may_be_cut_between_samples_is_warned_of(tmp_path):
    samples = [
        (f"{n}.{ending}", data) for n in range(3) for ending, data in (("jpg", jpeg_bytes(n)), ("cls", b"%d" % n))
    ]
    whole, two = tar_bytes(*samples), tar_bytes(*samples[:4])
    (tmp_path / "a.tar").write_bytes(whole[: len(two.rstrip(b"\0")) // 512 * 512 + 512])
    (tmp_path / "b.tar").write_bytes(whole)
    for _ in range(2):  # also where the index is kept
        with pytest.warns(FastloadWarning, match=r"^1 shards end without the two blocks that close a tar, as .*a\.tar"):
            assert WebDataset(tmp_path).targets == [0, 1, 0, 1, 2]
    with pytest.warns(FastloadWarning, match=r"^1 shards end without .*a\.tar"):
        assert [target for _, target in WebDataset.stream(tmp_path, shuffle=False)] == [0, 1, 0, 1, 2]


SECRET = "SECRET"
MALFORMED = [
    "http://[::1/{}?sig=SECRET",
    "http://u:SECRET@[::1/{}?sig=SECRET",
    "http://[zz]/{}?sig=SECRET",
    "http://u:SECRET@host:port/{}?sig=SECRET",
    "http://u:SECRET@h\u2100st/{}?sig=SECRET",
    "http://u:SECRET@127.0.0.1:99999/{}?sig=SECRET",
    "https://127.0.0.1:9/{{{}?sig=SECRET",
    "ftp://u:SECRET@host/{}?sig=SECRET",
    "s3:///{}?sig=SECRET",
    "hf://{}?sig=SECRET",
]


@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_secret_in_a_url_is_not_shown(url, monkeypatch):
    monkeypatch.setenv("FASTLOAD_REMOTE_SECONDS", "0.2")
    monkeypatch.setattr("fastload.remote.transfers_here._here", [])
    tries = [
        lambda: WebDataset(url.format("a.tar")),
        lambda: next(iter(WebDataset.stream(url.format("a.tar")))),
        lambda: next(iter(WebDataset.stream("pipe:false " + url.format("a.tar")))),
        lambda: fastload.TFRecord(url.format("a.tfrecord")),
        lambda: fastload.Parquet(url.format("a.parquet")),
        lambda: fastload.LMDB(url.format("a.lmdb")),
        lambda: ImageFiles(url.format("")),
        lambda: fastload.datasets.open_source(url.format("a.tar")),
    ]
    if not url.startswith("ftp"):  # whose URLs are paths for us as for torchvision
        tries += [lambda: ImageFiles([url.format("a.jpg")])[0], lambda: ImageFolder(url.format(""))]
    for attempt in tries:
        with pytest.raises((OSError, ValueError, TypeError, ImportError)) as raised:
            attempt()
        assert SECRET not in "".join(map(str, (raised.value, repr(raised.value))))


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "folder", classes=2, images=2, largest=40)


def test_an_exclude_list_that_leaves_nothing_out_is_warned_of(tmp_path, folder):
    (tmp_path / "bad.txt").write_text("nobody.jpg\nzz.jpg\n")
    write_tar(tmp_path / "a.tar", [Record("x/1.jpg", jpeg_bytes(0), 0, "x")], ["x"])
    said = r"bad\.txt leaves no sample out: none has such a name, as 'nobody\.jpg'"
    makers = [
        lambda exclude: ImageFolder(folder, exclude=exclude),
        lambda exclude: ImageFiles([str(path) for path in folder.rglob("*.jpg")], exclude=exclude),
        lambda exclude: WebDataset(tmp_path / "a.tar", exclude=exclude),
        lambda exclude: convert(folder, tmp_path / "converted", exclude=exclude),
    ]
    for made in makers:
        with pytest.warns(FastloadWarning, match=said):
            made(tmp_path / "bad.txt")
    with pytest.warns(FastloadWarning, match=r"exclude= leaves no sample out: none has such a name, as 'a'"):
        WebDataset(tmp_path / "a.tar", exclude=["b", "a"])
    first = str(next(folder.rglob("*.jpg")).relative_to(folder))
    (tmp_path / "bad.txt").write_text(f"{first}\nnobody.jpg\n")
    assert len(ImageFolder(folder, exclude=tmp_path / "bad.txt")) == 3
    (tmp_path / "bad.txt").write_text("")
    assert len(ImageFolder(folder, exclude=tmp_path / "bad.txt")) == 4


def test_data_sets_are_shown_in_torchvisions_form(tmp_path, folder):
    transform = T.Compose([T.CenterCrop(8), T.ToTensor()])
    write_tar(tmp_path / "a.tar", [Record("x/1.jpg", jpeg_bytes(0), 0, "x")], ["x"])
    tail = repr(ImageFolder(folder, transform)).partition("    StandardTransform")[1:]
    shown = repr(WebDataset(tmp_path / "a.tar", transform))
    assert shown == "\n".join(
        [
            "Dataset WebDataset",
            "    Number of datapoints: 1",
            f"    Root location: {tmp_path / 'a.tar'} (tar, 1 files)",
            "".join(tail),
        ]
    )
    assert repr(ImageFiles(["a.jpg"])) == "Dataset ImageFiles\n    Number of datapoints: 1"
    stream = repr(WebDataset.stream(tmp_path / "a.tar", transform))
    assert (
        stream.startswith("Dataset WebDataset.stream\n    Number of datapoints: not known\n")
        and str(tmp_path) in stream
    )
    assert stream.endswith("".join(tail))


def test_lmdb_says_that_it_has_no_columns(tmp_path):
    with pytest.raises(TypeError, match=r"LMDB takes no image=: a database has no columns.* read="):
        fastload.LMDB(tmp_path, image="jpg")


@pytest.mark.parametrize("command", ["info", "verify", "preview", "convert"])
def test_a_source_that_is_not_there_is_told_at_once(tmp_path, command):
    """Before torch is imported."""
    more = ["x"] if command in ("preview", "convert") else []
    code = (
        "import sys, click.testing\nfrom fastload.commands import main\n"
        f"done = click.testing.CliRunner().invoke(main, [{command!r}, 'nosuch', *{more!r}])\n"
        "assert done.exit_code == 2 and 'nosuch is not there' in done.output, done.output\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_patterns_and_urls_are_left_to_their_data_set(tmp_path):
    runner = click.testing.CliRunner()
    for src in ("no*.tar", "{a,b}.tar", "s3:///x.tar"):
        done = runner.invoke(main, ["info", str(tmp_path / src) if "://" not in src else src])
        assert done.exit_code == 2 and "is not there" not in done.output.partition("no")[0]


@pytest.mark.skipif(not importlib.util.find_spec("pyarrow"), reason="needs pyarrow")
def test_what_is_described_of_a_shown_data_set(tmp_path, folder):
    convert(folder, tmp_path / "set", "parquet")
    dataset = fastload.Parquet(tmp_path / "set")
    assert "Dataset Parquet\n    Number of datapoints: 4\n    Root location: " in repr(dataset)
    assert describe(dataset).samples == 4
