"""How far a conversion is: counted by the threads that work, shown by the one that waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from typing import Any

from fastload.conversion.parts import Watch

_POLL_S = 0.1


@dataclass
class Progress:
    """How far a conversion is.

    Attributes:
        step: "write" or "check".
        samples, bytes: done, in this step, of the source.
        all_samples, all_bytes: to be done.
        seconds: since the step began.
        found_samples, found_bytes: of those done, what an earlier call had done.
    """

    step: str
    samples: int
    bytes: int
    all_samples: int
    all_bytes: int
    seconds: float
    found_samples: int = 0
    found_bytes: int = 0


Show = Callable[[Progress], None]


class Counter(Watch):
    """Counts one step of a conversion.

    Args:
        step: its name.
        samples, size: to be done, and their bytes.
        show: is called with a :class:`Progress` by who waits, or None.
    """

    def __init__(self, step: str, samples: int, size: int, show: Show | None) -> None:
        self._progress = Progress(step, 0, 0, samples, size, 0.0)
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._show = show

    def count(self, samples: int, size: int) -> None:
        with self._lock:
            self._progress.samples += samples
            self._progress.bytes += size

    def found(self, samples: int, size: int) -> None:
        """So many were done before."""
        self.count(samples, size)
        self._progress.found_samples += samples
        self._progress.found_bytes += size

    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """All threads end soon."""
        self._stopped.set()

    def show(self) -> None:
        """Shows how far it is, now."""
        if self._show is not None:
            self._progress.seconds = time.monotonic() - self._began
            self._show(self._progress)

    def wait_for(self, futures: Iterable[Future[Any]]) -> None:
        """Shows how far it is until all are done; the first error ends the others and is raised."""
        waiting: set[Future[Any]] = set()
        try:
            for future in futures:  # which are begun here, so that Ctrl-C ends those that have begun
                waiting.add(future)
            while waiting:
                done, waiting = wait(waiting, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
                self.show()
                for future in done:
                    future.result()
        except BaseException:  # Ctrl-C, too
            self.stop()
            for future in waiting:
                future.cancel()
            raise
