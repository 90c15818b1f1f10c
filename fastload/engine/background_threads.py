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


class Cancellation:
    """Says to work that goes on for a while, on other threads, that it is not wanted any more."""

    def __init__(self) -> None:
        self.cancelled = False
        _living().add(self)

    def cancel(self) -> None:
        """What has begun goes on to its end; the rest is not done."""
        self.cancelled = True

    def wait(self, event: Callable[[float], bool], look_seconds: float = 0.02) -> bool:
        """For an event that takes a timeout; False if it is cancelled first."""
        while not self.cancelled:
            if event(look_seconds):
                return True
        return False


class BackgroundThread:
    """One thread that does what it is given, in order. Work that takes long looks at ``cancellation``."""

    def __init__(self, name: str) -> None:
        self.cancellation = Cancellation()
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=_work, args=(self.cancellation, self._queue), name=name, daemon=True)
        self._thread.start()
        _threads()[self._thread] = self._queue
        weakref.finalize(self, _end, self.cancellation, self._queue)

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        """The future of ``work(*given)``."""
        future: Future[Any] = Future()
        self._queue.put((future, work, given))
        return future


def _work(cancellation: Cancellation, tasks: queue.SimpleQueue[Any]) -> None:
    while (one := tasks.get()) is not None:
        future, work, given = one
        if cancellation.cancelled:
            future.cancel()
        else:
            try:
                future.set_result(work(*given))
            except BaseException as error:  # whoever waits for it
                future.set_exception(error)
        del one, future, work, given  # nothing is held while waiting


def _end(cancellation: Cancellation, tasks: queue.SimpleQueue[Any]) -> None:
    cancellation.cancel()
    tasks.put(None)


def end_first() -> None:
    """At the interpreter's end these threads end before all that was registered with ``atexit`` so far: for who imports a library
    on one of them that shuts itself down there."""
    atexit.unregister(_end_all)
    atexit.register(_end_all)


def _end_all() -> None:
    for cancellation in list(_living()):
        cancellation.cancel()
    until = time.monotonic() + _MOST_SECONDS_TO_END  # for all of them
    for tasks in list(_threads().values()):
        tasks.put(None)
    for thread in list(_threads()):
        thread.join(max(0.0, until - time.monotonic()))


@functools.cache
def _living() -> weakref.WeakSet[Cancellation]:
    atexit.register(_end_all)
    return weakref.WeakSet()


@functools.cache
def _threads() -> weakref.WeakKeyDictionary[threading.Thread, queue.SimpleQueue[Any]]:
    return weakref.WeakKeyDictionary()
