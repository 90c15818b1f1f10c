"""What the instructions of a program's code make of several values, and take apart again: tuples, lists, texts."""

from __future__ import annotations

import dis
from typing import Any

from fastload.transforms.code_world import TEXT, NotCertain, World


class Putting:
    """The part of a walk through code that knows nothing but its stack."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stack: list[Any] = []

    def _taken(self, count: int) -> list[Any]:
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def _build_tuple(self, one: dis.Instruction) -> None:
        self.stack.append(tuple(self._taken(one.arg or 0)))

    def _build_list(self, one: dis.Instruction) -> None:
        made = self._taken(one.arg or 0)
        self.world.lists.append(made)
        self.stack.append(made)

    def _build_string(self, one: dis.Instruction) -> None:
        self._taken(one.arg or 0)
        self.stack.append(TEXT)

    def _format_value(self, one: dis.Instruction) -> None:
        self._taken(2 if (one.arg or 0) & 4 else 1)
        self.stack.append(TEXT)

    def _format_with_spec(self, one: dis.Instruction) -> None:
        self._taken(2)
        self.stack.append(TEXT)

    def _convert_value(self, one: dis.Instruction) -> None:
        self.stack[-1] = TEXT

    def _format_simple(self, one: dis.Instruction) -> None:
        self.stack[-1] = TEXT

    def _unpack_sequence(self, one: dis.Instruction) -> None:
        values = self.world.unpacked(self.stack.pop())
        if len(values) != one.arg:
            raise NotCertain("another number of values")
        self.stack += reversed(values)
