"""Attributes of classes and modules that are replaced for a while."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

_absent = object()


class Patches:
    """What was replaced, and how to put it back. What somebody else has replaced since stays."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """``owner.name`` becomes ``make(what it was)``; nothing happens where there is none."""
        before = vars(owner).get(name, _absent)
        present = getattr(owner, name, _absent)
        if present is _absent:
            return
        now = make(present)
        if callable(present) and not isinstance(now, (classmethod, staticmethod)):
            functools.update_wrapper(now, present)
        setattr(owner, name, now)
        self._done.append((owner, name, before, now))

    def again(self) -> None:
        """After :meth:`undo`: the same once more."""
        for owner, name, _, now in self._done:
            setattr(owner, name, now)

    def undo(self) -> None:
        """Everything is as it was."""
        for owner, name, before, now in reversed(self._done):
            if vars(owner).get(name) is not now:
                continue
            if before is _absent:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
