"""The life of engines: one a loader, made when first needed, ended before the interpreter is."""

from __future__ import annotations

import atexit
import functools
import weakref

from fastload import _core


def engine_of(engine: _core.Engine | None, threads: int, niceness: int = 0) -> _core.Engine:
    """The given engine if it still serves this process and has as many threads, as nice ones, else a new one."""
    if engine is not None and not engine.is_forked_copy and (engine.threads, engine.niceness) == (threads, niceness):
        return engine
    made = _core.Engine(threads, niceness)
    _running().add(made)
    return made


@functools.cache
def _running() -> weakref.WeakSet[_core.Engine]:
    engines: weakref.WeakSet[_core.Engine] = weakref.WeakSet()

    def stop_all() -> None:
        # A thread that waits for the interpreter's lock while the interpreter ends would never return.
        for engine in list(engines):
            engine.stop()

    atexit.register(stop_all)
    return engines
