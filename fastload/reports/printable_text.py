"""Text from elsewhere for people: a name in a shard may hold anything, also what a terminal obeys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


def printable(text: str | bytes) -> str:
    """In one line, with ``?`` for what cannot be printed."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)


@contextlib.contextmanager
def printable_errors() -> Iterator[None]:
    """Makes the message of a ValueError printable, whoever raises it."""
    try:
        yield
    except ValueError as error:
        error.args = tuple(printable(one) if isinstance(one, str) else one for one in error.args)
        raise
