"""Where the samples of a batch under way are written: in their places in its memory, where whoever makes the batch has some."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastload import _core


class _ThisThread(threading.local):
    places: _core.Places | None = None


_this_thread = _ThisThread()


def places_here() -> _core.Places | None:
    """Of the batch that this thread makes samples of; None: there are none."""
    return _this_thread.places


@contextmanager
def written_to(places: _core.Places) -> Iterator[None]:
    """What this thread makes inside lies there, as far as it has a place."""
    before, _this_thread.places = _this_thread.places, places
    try:
        yield
    finally:
        _this_thread.places = before
