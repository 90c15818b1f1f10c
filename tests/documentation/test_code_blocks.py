"""What the documentation tells people to write and to type works: each block of each page runs, or has a reason why not."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import pytest
import tomllib

import fastload
from code_blocks import PAGES, ROOT, Block, blocks_of, commands_of
from images import jpeg_bytes
from shell_commands import LAUNCHERS, MAY_FIND, QUICK, check, ours_in, parts_of, run_quick, run_slow

PYTHON = ("python", "set-up")
SHELL = ("sh", "console")
READ_ONLY = {"json": json.loads, "toml": tomllib.loads, "text": str, "": str, "yaml": str, "diff": str}
WITH_CODE = [page for page in PAGES if any(block.language for block in blocks_of(page))]


def commands(page: Path) -> list[list[str]]:
    """Those of ours that a page has and that take seconds."""
    lines = [
        line
        for block in blocks_of(page)
        if block.language in SHELL and not block.why_not
        for line in commands_of(block)
    ]
    ours = [ours_in(words) for line in lines for words in parts_of(line)]
    return [words for words in ours if words and words[0] not in QUICK and not words[0].startswith("-")]


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """``photos/train`` and ``photos/val``: class folders."""
    root = tmp_path_factory.mktemp("documentation") / "photos"
    for part, count in (("train", 8), ("val", 2)):
        for number, name in enumerate(("bird", "cat", "dog")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                seed = number * 10 + index
                (folder / f"{index:03d}.jpg").write_bytes(jpeg_bytes(seed, 100 + 7 * index, 90 + 5 * number))
    return root


@pytest.fixture
def folder(photos, tmp_path, monkeypatch):
    """Where a page's code runs."""
    shutil.copytree(photos, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    yield tmp_path
    fastload.uninstall()


def run_page(page: Path, folder: Path, *, whole: bool) -> None:
    """``whole``: with the commands that take seconds."""
    names: dict[str, object] = {"__name__": "page"}
    printed: str | None = None
    for block in blocks_of(page):
        if block.language in PYTHON:
            printed = run_python(block, folder, names)
        elif block.language in SHELL:
            run_shell(block, folder, whole=whole)
        elif block.language == "text" and printed is not None:
            compare(block, printed)
            printed = None
        else:
            READ_ONLY[block.language](block.code)


def run_python(block: Block, folder: Path, names: dict[str, object]) -> str | None:
    """What it prints."""
    code = compile("\n" * (block.line - 1) + block.code, str(block.page), "exec", dont_inherit=True)
    if block.title:
        (folder / block.title).write_text(block.code + "\n", "utf-8")
        return None
    if block.why_not:
        return None
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, names)
    return out.getvalue()


def run_shell(block: Block, folder: Path, *, whole: bool) -> None:
    for line in commands_of(block):
        for words in parts_of(line):
            check(words, folder)
            ours = ours_in(words)
            if block.why_not or not ours or ours[0].startswith("-"):
                continue
            if ours[0] in QUICK:
                assert run_quick(ours) == block.status, f"{block.place}: {line}"
            elif whole and words[0] not in LAUNCHERS:
                status = run_slow(ours, folder)
                assert status == block.status or (ours[0] in MAY_FIND and status == 1), f"{block.place}: {line}"


def compare(block: Block, printed: str) -> None:
    pattern = "".join(".*?" if part == "…" else re.escape(part) for part in re.split("(…)", block.code.strip()))
    assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"{block.place}: it printed\n{printed}"


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_every_block_of_a_page_runs(page, folder):
    run_page(page, folder, whole=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in WITH_CODE if commands(page)], ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page, folder):
    run_page(page, folder, whole=True)


@pytest.mark.parametrize("code", ["print(1)", "print()", "x = 1"])
def test_a_text_that_is_not_what_was_printed_is_found(code, folder, monkeypatch):
    monkeypatch.setattr("code_blocks.ROOT", folder)
    (folder / "page.md").write_text(f"```python\n{code}\n```\n\n```text\n2\n```\n")
    with pytest.raises(AssertionError, match=r"page.md:6: it printed"):
        run_page(folder / "page.md", folder, whole=False)


def test_what_is_not_run_says_why():
    """And it is not much: what needs a GPU, an object store, several machines or a file of the reader's own."""
    not_run = [block for page in PAGES for block in blocks_of(page) if block.why_not]
    assert all(len(block.why_not.split()) >= 2 for block in not_run), [block.place for block in not_run]
    run = [block for page in PAGES for block in blocks_of(page) if block.language in PYTHON and not block.why_not]
    assert len(run) > 2 * len([block for block in not_run if block.language in PYTHON])
    assert (ROOT / "README.md") in {block.page for block in run}


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("fastload verify photos --lits bad.txt", "No such option"),
        ("fastload convert a b --to zip", "'zip' is not one of"),
        ("make tset", "no tset"),
        ("python -m benchmarks.run --fotos DIR", "has no --fotos"),
        ('pip install "fastload-torch[gpu]"', "no such extra"),
        ("fastlaod run train.py", "not known"),
    ],
)
def test_a_wrong_command_is_found(code, fault, tmp_path):
    with pytest.raises(Exception, match=fault):
        for words in parts_of(code):
            check(words, tmp_path)
