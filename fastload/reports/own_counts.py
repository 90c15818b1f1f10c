"""What is counted for the whole process, as one loader's own, and one epoch's.

Reads from afar are those that were asked for inside :func:`counted_in`. What nobody can tell apart is what was added since the
epoch began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

REMOTE = ("requests", "bytes", "hedges", "retries", "waits")

_remote: ContextVar[dict[str, int] | None] = ContextVar("reads from afar", default=None)
_of_process: dict[str, Callable[[], dict[str, int]]] = {}


def remote_counts() -> dict[str, int] | None:
    """Where reads are counted that are asked for here."""
    return _remote.get()


@contextmanager
def counted_in(counts: dict[str, int]) -> Iterator[None]:
    """What is asked for inside is counted there, whenever it comes."""
    before = _remote.set(counts)
    try:
        yield
    finally:
        _remote.reset(before)


def counts_by_epoch(name: str, figures: Callable[[], dict[str, int]]) -> None:
    """That part of the statistics, of which ``figures`` has the sums so far."""
    _of_process[name] = figures


def counts_now() -> dict[str, dict[str, int]]:
    """The sums so far of all such parts."""
    return {name: figures() for name, figures in _of_process.items()}
