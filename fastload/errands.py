"""Threads of ours in Python: each does what it is given, in order.

They end with whoever owns them, and always before the interpreter does: what is left then is not done. concurrent.futures would do
it first, and the program would end only when every batch that had been asked for was made.
"""

from __future__ import annotations

import atexit
import functools
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

# At the interpreter's end. A thread that is stuck (in a file system that does not answer) is left behind.
_MOST_SECONDS_TO_END = 5.0


class Run:
    """Something that goes on for a while, and may be over before all of it is done."""

    def __init__(self) -> None:
        self.over = False
        _living().add(self)

    def end(self) -> None:
        """What has begun goes on to its end; the rest is not done."""
        self.over = True

    def wait(self, event: Callable[[float], bool], look_seconds: float = 0.02) -> bool:
        """For an event that takes a timeout; False if the run ended first."""
        while not self.over:
            if event(look_seconds):
                return True
        return False


class Errands:
    """One thread. ``run`` is over when it should end; long errands look at it."""

    def __init__(self, name: str) -> None:
        self.run = Run()
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=_work, args=(self.run, self._queue), name=name, daemon=True)
        self._thread.start()
        _threads()[self._thread] = self._queue
        weakref.finalize(self, _end, self.run, self._queue)

    def submit(self, errand: Callable[..., Any], *given: Any) -> Future[Any]:
        """The future of ``errand(*given)``."""
        future: Future[Any] = Future()
        self._queue.put((future, errand, given))
        return future


def _work(run: Run, errands: queue.SimpleQueue[Any]) -> None:
    while (one := errands.get()) is not None:
        future, errand, given = one
        if run.over:
            future.cancel()
        else:
            try:
                future.set_result(errand(*given))
            except BaseException as error:  # whoever waits for it
                future.set_exception(error)
        del one, future, errand, given  # nothing is held while waiting


def _end(run: Run, errands: queue.SimpleQueue[Any]) -> None:
    run.end()
    errands.put(None)


def end_first() -> None:
    """At the interpreter's end these threads end before all that was registered with ``atexit`` so far: for who imports a library
    on one of them that shuts itself down there."""
    atexit.unregister(_end_all)
    atexit.register(_end_all)


def _end_all() -> None:
    for run in list(_living()):
        run.end()
    until = time.monotonic() + _MOST_SECONDS_TO_END  # for all of them
    for errands in list(_threads().values()):
        errands.put(None)
    for thread in list(_threads()):
        thread.join(max(0.0, until - time.monotonic()))


@functools.cache
def _living() -> weakref.WeakSet[Run]:
    atexit.register(_end_all)
    return weakref.WeakSet()


@functools.cache
def _threads() -> weakref.WeakKeyDictionary[threading.Thread, queue.SimpleQueue[Any]]:
    return weakref.WeakKeyDictionary()
