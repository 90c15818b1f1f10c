"""The life of engines: one a loader, made when first needed, ended before the interpreter is."""

from __future__ import annotations

import atexit
import functools
import os
import threading
import time
import weakref
from types import TracebackType

from fastload import _core

# For what runs when the interpreter ends.
_PATIENCE_SECONDS = 3.0


def engine_of(engine: _core.Engine | None, threads: int, niceness: int = 0) -> _core.Engine:
    """The given engine if it still serves this process and has as many threads, as nice ones, else a new one."""
    if engine is not None and not engine.is_forked_copy and (engine.threads, engine.niceness) == (threads, niceness):
        return engine
    made = _core.Engine(threads, niceness)
    _living().engines.add(made)
    return made


class AtWork:
    """Whoever waits for engines, ``with`` this.

    Daemon threads go on while the interpreter ends, and torch's code aborts the process if one of them wants Python's lock then. So
    they leave when the engines end: quietly, with SystemExit.
    """

    def __enter__(self) -> None:
        self._living: _Living | None = None
        if threading.current_thread() is threading.main_thread():
            return
        living = _living()
        living.at_work.append(threading.get_ident())
        if living.ending:
            living.at_work.remove(threading.get_ident())
            raise SystemExit
        self._living = living

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._living is None:
            return
        self._living.at_work.remove(threading.get_ident())
        if self._living.ending and error is not None:
            raise SystemExit from None


def leave_if_all_ends() -> None:
    """Between two steps of what may take long, for whoever is :class:`AtWork`."""
    if _living().ending and threading.current_thread() is not threading.main_thread():
        raise SystemExit


class _Living:
    def __init__(self) -> None:
        self.engines: weakref.WeakSet[_core.Engine] = weakref.WeakSet()
        self.at_work: list[int] = []  # threads, but for the main one; those that are in twice are here twice
        self.ending = False
        atexit.register(self._end)
        os.register_at_fork(after_in_child=self._in_a_forked_child)

    def _in_a_forked_child(self) -> None:
        here = threading.get_ident()  # the only thread
        self.at_work[:] = [thread for thread in self.at_work if thread == here]

    def _end(self) -> None:
        # A thread that waits for the interpreter's lock while the interpreter ends would never return. One that is stuck is left
        # behind, and there may be several: all of them together get the time that one would get.
        self.ending = True
        until = time.monotonic() + _PATIENCE_SECONDS
        for engine in list(self.engines):
            engine.end()
        while self.at_work and time.monotonic() < until:
            time.sleep(0.001)
        for engine in list(self.engines):
            engine.stop(max(0.0, until - time.monotonic()))


@functools.cache
def _living() -> _Living:
    return _Living()
