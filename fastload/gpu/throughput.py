"""How fast something has been of late."""

from __future__ import annotations

import threading
import time

_KEPT = 0.8  # of what was known, with each addition


class Pace:
    """Seconds an image; ``guess`` until something is known. Several threads may use it."""

    def __init__(self, guess: float) -> None:
        self._seconds, self._images = guess, 1.0
        self._under_way, self._since = 0, 0.0
        self._lock = threading.Lock()

    @property
    def per_image(self) -> float:
        return self._seconds / self._images

    def add(self, seconds: float, images: int) -> None:
        """So many took so long."""
        with self._lock:
            self._seconds = _KEPT * self._seconds + seconds
            self._images = _KEPT * self._images + images

    def fade(self, factor: float) -> None:
        """What is known counts less: it is taken for faster."""
        with self._lock:
            self._seconds *= factor

    def begin(self) -> None:
        """Some images are worked on from here on, maybe beside others."""
        with self._lock:
            if self._under_way == 0:
                self._since = time.perf_counter()
            self._under_way += 1

    def end(self, images: int) -> None:
        """Some that had begun are done, in the time since others were, or since they began."""
        now = time.perf_counter()
        with self._lock:
            seconds, self._since = now - self._since, now
            self._under_way -= 1
        self.add(seconds, images)
