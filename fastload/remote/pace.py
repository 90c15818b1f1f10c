"""How long requests take, and what follows: how many are under way, and when a second one is sent for one that is late."""

from __future__ import annotations

import time
from collections import deque

_RECENT = 256
_EACH = 32  # so often the figures are drawn anew
_FIRST_HEDGE_SECONDS = 0.5  # while little is known
_FEWEST_KNOWN = 16
_SOONEST_HEDGE_SECONDS = 0.02
_HEDGED_SHARE = (
    8  # one of so many requests under way may be a second one: a store that is slow as a whole gets little more to do
)
_FEWEST_HEDGES = 4
_FEWEST_AT_ONCE = 16


class Pace:
    """Of one process. With its owner's lock.

    Attributes:
        at_once: requests that may be under way: twice the rate at which they end times the shortest time that one took of late
            (Little's law), so the way to the store is full and its queue is not.
    """

    def __init__(self, most_at_once: int) -> None:
        self._most = max(1, most_at_once)
        self._seconds: dict[int, deque[float]] = {}  # by size: 0: below 256 KiB, then each twice the one before
        self._hedge_after: dict[int, float] = {}
        self._ends: deque[float] = deque(maxlen=_RECENT)
        self._noted = 0
        self.at_once = min(self._most, 2 * _FEWEST_AT_ONCE)

    def note(self, size: int, seconds: float) -> None:
        """A request that has ended well."""
        kind = _kind(size)
        recent = self._seconds.setdefault(kind, deque(maxlen=_RECENT))
        recent.append(seconds)
        self._ends.append(time.monotonic())
        self._noted += 1
        if self._noted % _EACH == 0 or (len(recent) == _FEWEST_KNOWN and kind not in self._hedge_after):
            self._draw(kind, recent)

    def _draw(self, kind: int, recent: deque[float]) -> None:
        ordered = sorted(recent)
        if len(ordered) >= _FEWEST_KNOWN:
            late = ordered[len(ordered) * 95 // 100]
            self._hedge_after[kind] = max(_SOONEST_HEDGE_SECONDS, 1.5 * late, 2 * ordered[len(ordered) // 2])
        span = self._ends[-1] - self._ends[0]
        if len(self._ends) > _EACH and span > 0:
            wanted = 2 * (len(self._ends) - 1) / span * ordered[0]
            self.at_once = int(min(self._most, max(_FEWEST_AT_ONCE, wanted)))

    def hedge_after(self, size: int) -> float:
        """Seconds after which a request of so many bytes is late."""
        return self._hedge_after.get(_kind(size), _FIRST_HEDGE_SECONDS)

    def most_hedges(self) -> int:
        """So many second requests may be under way at a time."""
        return max(_FEWEST_HEDGES, self.at_once // _HEDGED_SHARE)


def _kind(size: int) -> int:
    return max(0, size >> 18).bit_length()
