"""A Dockerfile, read: its stages and their instructions, of the few kinds that ours has."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KINDS = ("ARG", "FROM", "COPY", "RUN", "WORKDIR", "ENV", "USER", "CMD")
PROGRAM = ("RUN", "CMD")


@dataclass(frozen=True)
class Instruction:
    """``words``: of RUN and CMD the program and its arguments; of the others as they stand, variables not yet filled in."""

    kind: str
    words: list[str]


@dataclass
class Stage:
    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)


def read(path: Path, arguments: Mapping[str, str]) -> list[Stage]:
    """Its stages.

    Args:
        arguments: of ``--build-arg``, for the lines that say what a stage begins with.

    Raises:
        ValueError: an instruction of another kind, a RUN or CMD that a shell would have to read, or a variable without a value.
    """
    stages: list[Stage] = []
    known: dict[str, str] = {}
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE))
    for line in filter(str.strip, text.splitlines()):
        kind, _, rest = line.strip().partition(" ")
        if kind not in KINDS:
            raise ValueError(f"{path.name}: {kind} is none of {', '.join(KINDS)}")
        if kind in PROGRAM and not rest.lstrip().startswith("["):
            raise ValueError(f"{path.name}: {line}: not in the form that needs no shell")
        words = json.loads(rest) if kind in PROGRAM else shlex.split(rest)
        if kind == "FROM":
            filled = [filled_in(word, known) for word in words]
            stages.append(Stage(filled[2] if len(filled) == 3 else str(len(stages)), filled[0]))
        elif not stages:
            name, _, default = words[0].partition("=")
            known[name] = arguments.get(name, default)
        else:
            stages[-1].instructions.append(Instruction(kind, words))
    return stages


def filled_in(word: str, known: Mapping[str, str]) -> str:
    """With the values of its ``${VARIABLES}``."""

    def value(found: re.Match[str]) -> str:
        if not known.get(found[1]):
            raise ValueError(f"{found[1]} has no value")
        return known[found[1]]

    return re.sub(r"\$\{(\w+)\}", value, word)
