"""The commands that the documentation tells people to type: whether they are what they are called, and what they do."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import click
import tomllib
from click.testing import CliRunner

import children
from code_blocks import ROOT
from fastload.commands import main

# Done at once, in this process.
QUICK = {"convert", "index", "info", "preview", "verify"}
# Each run takes seconds, or a minute as it stands: here they have less to do.
SHORTER = {
    "demo": [],
    "bench": ["--images", "16", "--runs", "1", "--workers", "1"],
    "doctor": ["--seconds", "0.5"],
    "profile": ["--seconds", "3", "--experiments", "1"],
    "run": [],
    "tune": ["--budget", "6"],
}
# They may find a fault of the machine, or no time on a busy one.
MAY_FIND = {"doctor", "tune"}
# What they say does not depend on the page: run once.
ALIKE = {"bench", "doctor", "profile"}
_done: set[str] = set()
# Of which nothing here is ours to look at.
FOREIGN = {"apt-get", "cd", "cp", "docker", "export", "git", "ls", "rm", "tar", "time", "tree", "wandb"}
_PYTHON = {"python", "python3"}
# Whose options are not ours; what they start is looked at.
LAUNCHERS = {"torchrun", "accelerate"}


def parts_of(line: str) -> list[list[str]]:
    """The words of each command of a line."""
    words = shlex.split(line, comments=True)
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", "||", "|", ";"):
            parts.append([])
        else:
            parts[-1].append(word.removesuffix(";"))
            if word.endswith(";"):
                parts.append([])
    named = [[*_without_environment(part)] for part in parts]
    return [part for part in named if part]


def _without_environment(words: list[str]) -> list[str]:
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    return words


def ours_in(words: list[str]) -> list[str] | None:
    """What comes behind ``fastload``, by whatever way it is started; None: it is not."""
    if words[0] == "fastload":
        return words[1:]
    if words[0] in _PYTHON | LAUNCHERS:
        for number in range(len(words) - 1):
            if words[number : number + 2] == ["-m", "fastload"]:
                return words[number + 2 :]
    return None


def check(words: list[str], here: Path) -> None:
    """Raises where a command, a file, a target or an option is not there."""
    ours = ours_in(words)
    if ours is not None:
        _check_ours(ours)
    elif words[0] == "make":
        _check_make(words[1:])
    elif words[0] in ("pip", "pipx", "uv"):
        _check_pip(words[1:])
    elif words[0] in _PYTHON:
        _check_python(words[1:], here)
    else:
        assert words[0] in FOREIGN or (ROOT / words[0]).is_file(), f"{words[0]} is not known to {Path(__file__).name}"


def _check_ours(words: list[str]) -> None:
    if words[0] in ("--help", "--version"):
        return
    command = main.commands[words[0]]
    with click.Context(command, info_name=words[0], **command.context_settings) as context:
        given, _, _ = command.make_parser(context).parse_args(list(words[1:]))
        for parameter in command.params:
            values = given.get(parameter.name)
            if not isinstance(values, str | list) or parameter.nargs == -1 or isinstance(parameter.type, click.Path):
                continue
            for value in values if parameter.multiple else [values]:
                parameter.type_cast_value(context, [value] if parameter.multiple else value)


def _check_make(words: list[str]) -> None:
    text = (ROOT / "Makefile").read_text()
    for word in words:
        name, is_set, _ = word.partition("=")
        pattern = rf"^(export )?{name} *[?:]?=|\$\(if \$\({name}\)" if is_set else rf"^([\w. -]+ )?{name}( [\w. -]+)?:"
        assert re.search(pattern, text, re.MULTILINE), f"the Makefile has no {word}"


def _check_pip(words: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words:
        named = re.search(r"fastload-torch\[([\w,]+)\]", word)
        assert named is None or set(named[1].split(",")) <= set(extras), f"no such extra: {word}"


def _check_python(words: list[str], here: Path) -> None:
    if words[0] == "-m":
        module = words[1]
        if module.partition(".")[0] == "benchmarks":
            base = ROOT / module.replace(".", "/")
            source = base / "__main__.py" if base.is_dir() else base.with_suffix(".py")
            assert source.is_file(), f"no module {module}"
            text = "".join(path.read_text() for path in source.parent.glob("*.py"))
            for option in (word for word in words[2:] if word.startswith("--")):
                assert f'"{option}"' in text, f"{module} has no {option}"
        return
    if not words[0].startswith("-"):
        assert (ROOT / words[0]).is_file() or (here / words[0]).is_file(), f"no file {words[0]}"


def run_quick(words: list[str]) -> int:
    """A command of ours, in this process and folder; its status."""
    ended = CliRunner().invoke(main, words)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    assert ended.exit_code != 2, ended.output
    return ended.exit_code


def run_slow(words: list[str], here: Path) -> int:
    """The same in a process of its own, with less to do than it says; 0 of what was run before."""
    name, *rest = words
    if name in ALIKE and " ".join(words) in _done:
        return 0
    _done.add(" ".join(words))
    shorter = SHORTER[name]
    pairs = zip(shorter[::2], shorter[1::2], strict=True)
    rest = [word for option, value in pairs if option not in rest for word in (option, value)] + rest
    ended = children.run(sys.executable, "-m", "fastload", name, *rest, cwd=here)
    assert ended.returncode != 2, ended.stdout + ended.stderr
    return ended.returncode
