"""How long each stage of making samples takes on one thread, wall and CPU seconds, without what other stages inside it take."""

from __future__ import annotations

import threading
import time
from typing import Any


class StageClock:
    """Stages that lie in one another; each gets its own time alone.

    Attributes:
        stages: name -> [wall seconds, CPU seconds, times entered].
    """

    def __init__(self) -> None:
        self.stages: dict[str, list[float]] = {}
        self._open: list[str] = []
        self._wall = self._cpu = 0.0

    def enter(self, name: str) -> tuple[float, float]:
        """Until :meth:`leave`, time counts for ``name``. Gives the thread's wall and CPU clocks."""
        self._charge()
        self._open.append(name)
        self.stages.setdefault(name, [0.0, 0.0, 0])[2] += 1
        return self._wall, self._cpu

    def leave(self) -> tuple[float, float]:
        """Time counts again for the stage around it. Gives the clocks, too."""
        self._charge()
        self._open.pop()
        return self._wall, self._cpu

    def _charge(self) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        if self._open:
            entry = self.stages[self._open[-1]]
            entry[0] += wall - self._wall
            entry[1] += cpu - self._cpu
        self._wall, self._cpu = wall, cpu


class _Running(threading.local):
    clock: StageClock | None = None


_running = _Running()


def running() -> StageClock | None:
    """This thread's clock while it makes a batch whose stages are looked at."""
    return _running.clock


def run(clock: StageClock | None) -> None:
    """``clock`` is this thread's from now on."""
    _running.clock = clock


def timed(name: str, function: Any) -> Any:
    """``function``, whose calls are a stage of that name on a thread with a running clock."""

    def call(*args: Any, **kwargs: Any) -> Any:
        clock = _running.clock
        if clock is None:
            return function(*args, **kwargs)
        clock.enter(name)
        try:
            return function(*args, **kwargs)
        finally:
            clock.leave()

    return call
