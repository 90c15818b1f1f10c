"""The command: fastload convert."""

from __future__ import annotations

import json
import os
import signal

import click.testing
import pytest
import trees

from fastload.commands import main


def convert(*args):
    return click.testing.CliRunner().invoke(main, ["convert", *map(str, args)])


@pytest.fixture
def src(tmp_path):
    return trees.plain_folder(tmp_path / "src")


def test_it_writes_and_says_what(tmp_path, src):
    ended = convert(src, tmp_path / "dst", "--to", "folder")
    assert ended.exit_code == 0, ended.output
    assert "24 samples of 3 classes" in ended.output and "read back equal" in ended.output
    assert trees.images(tmp_path / "dst") == trees.images(src)
    again = convert(src, tmp_path / "dst", "--to", "folder")
    assert again.exit_code == 0 and "was done before" in again.output and "MB/s" not in again.output
    other = convert(src, tmp_path / "dst", "--to", "folder", "--shard-size", "1MB")
    assert other.exit_code == 2 and "was converted with other settings (shard_size" in " ".join(other.output.split())


def test_the_report_as_json(tmp_path, src):
    (tmp_path / "names").write_text("class0/0000.jpg\n")
    ended = convert(src, tmp_path / "dst", "--to", "folder", "--json", "--no-check", "--exclude", tmp_path / "names")
    report = json.loads(ended.stdout)
    assert (report["samples"], report["checked"]) == (23, False)


@pytest.mark.parametrize(
    "args",
    [
        ("--to", "zip"),
        ("--quality", "90"),
        ("--shard-size", "many"),
        ("--shard-size", "0"),
        ("--workers", "0"),
        ("--max-side", "0"),
    ],
)
def test_wrong_use(tmp_path, src, args):
    assert convert(src, tmp_path / "dst", *args).exit_code == 2
    assert not (tmp_path / "dst").exists()


def test_wrong_places(tmp_path, src):
    assert convert(tmp_path / "nowhere", tmp_path / "dst").exit_code == 2
    trees.put(tmp_path, "mine/letter.txt", b"precious")
    refused = convert(src, tmp_path / "mine")
    assert refused.exit_code == 2 and "letter.txt" in refused.output


def test_a_bad_sample(tmp_path, src):
    (src / "class0" / "broken.jpg").symlink_to("nowhere")
    ended = convert(src, tmp_path / "dst", "--to", "folder")
    assert ended.exit_code == 1 and "class0/broken.jpg" in ended.output
    skipped = convert(src, tmp_path / "other", "--to", "folder", "--on-error", "skip")
    assert skipped.exit_code == 0 and "left out: 'class0/broken.jpg'" in skipped.output


@pytest.mark.parametrize(
    ("text", "size"), [("512MB", 512_000_000), ("1GiB", 1 << 30), ("3 kb", 3000), ("17", 17), ("1.5m", 1_500_000)]
)
def test_sizes(text, size):
    from fastload.commands.convert import _bytes

    assert _bytes(text) == size


def test_ctrl_c_ends_it_and_the_same_command_goes_on(tmp_path, src):
    """In a forked process, which gets the signal when the first file is in its place, and goes on after it."""
    reached, go_on, told = os.pipe(), os.pipe(), tmp_path / "told"
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.close(go_on[1])
            signal.signal(signal.SIGINT, signal.default_int_handler)
            rename = os.rename

            def renamed(*args, **options):
                rename(*args, **options)
                os.write(reached[1], b"!")
                os.read(go_on[0], 1)  # until the parent closes it

            os.rename = renamed
            ended = convert(src, tmp_path / "dst", "--to", "folder", "--workers", "1")
            told.write_text(ended.output)
            status = ended.exit_code
        finally:
            os._exit(status)
    assert os.read(reached[0], 1) == b"!"
    os.kill(child, signal.SIGINT)
    os.close(go_on[1])
    _, status = os.waitpid(child, 0)
    for end in (*reached, go_on[0]):
        os.close(end)
    assert os.waitstatus_to_exitcode(status) == 130 and "the same command goes on" in told.read_text()
    assert (tmp_path / "dst/.fastload-conversion/plan.json").exists()
    assert convert(src, tmp_path / "dst", "--to", "folder", "--workers", "1").exit_code == 0
    assert trees.images(tmp_path / "dst") == trees.images(src)
