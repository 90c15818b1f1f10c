"""How long requests take, and what follows: how many are under way, and when a second one is sent for one that is late."""

from __future__ import annotations

import time
from collections import deque

_RECENT = 256
_RECENT_LARGE = 64  # of each size: there are few, and the first ones had to wait for connections
_EACH = 32  # so often the figures are drawn anew
_EACH_LARGE = 8
_FIRST_HEDGE_SECONDS = 0.5  # while nothing is known
_FEWEST_KNOWN = 16
_SOONEST_HEDGE_SECONDS = 0.02
_HEDGED_SHARE = (
    8  # one of so many requests under way may be a second one: a store that is slow as a whole gets little more to do
)
_FEWEST_HEDGES = 4
_FEWEST_AT_ONCE = 16
_PAUSE_SECONDS = 1.0  # without an end: nobody asked, and what ended before says nothing of the rate


class Pace:
    """Of one process. With its owner's lock.

    Attributes:
        at_once: requests that may be under way: twice as many as there are, by the rate at which they end and the time that they
            usually take (Little's law). So those who read more get more, and the store's queue does not grow without need.
    """

    def __init__(self, most_at_once: int) -> None:
        self._most = max(1, most_at_once)
        self._by_size: dict[int, _Recent] = {}  # 0: below 256 KiB, then each twice the one before
        self._ends: deque[tuple[float, float]] = deque(maxlen=_RECENT)  # of all sizes: when, and after how many seconds
        self._noted = 0
        self.at_once = min(self._most, 2 * _FEWEST_AT_ONCE)

    def note(self, size: int, seconds: float) -> None:
        """A request that has ended well."""
        now, kind = time.monotonic(), _kind(size)
        if self._ends and now - self._ends[-1][0] > _PAUSE_SECONDS:
            self._ends.clear()
        self._ends.append((now, seconds))
        self._noted += 1
        if self._noted % _EACH == 0:
            self._draw()
        recent = self._by_size.get(kind)
        if recent is None:
            recent = self._by_size[kind] = _Recent(_RECENT_LARGE if kind else _RECENT, _EACH_LARGE if kind else _EACH)
        recent.note(seconds)

    def _draw(self) -> None:
        span = self._ends[-1][0] - self._ends[0][0]
        if len(self._ends) > _EACH and span > 0:
            usual = sorted(seconds for _, seconds in self._ends)[len(self._ends) // 2]
            self.at_once = int(min(self._most, max(_FEWEST_AT_ONCE, 2 * (len(self._ends) - 1) / span * usual)))

    def hedge_after(self, size: int) -> float:
        """Seconds after which a request of so many bytes is late; where too few of such were seen, twice as long for each doubling
        of the size as for the nearest smaller ones."""
        kind = _kind(size)
        for smaller in range(kind, -1, -1):
            recent = self._by_size.get(smaller)
            if recent is not None and recent.hedge_after is not None:
                return recent.hedge_after * float(1 << kind - smaller)
        return _FIRST_HEDGE_SECONDS

    def most_hedges(self) -> int:
        """So many second requests may be under way at a time."""
        return max(_FEWEST_HEDGES, self.at_once // _HEDGED_SHARE)


class _Recent:
    """How long requests of one size took of late.

    Attributes:
        hedge_after: None: too few are known.
    """

    __slots__ = ("_each", "_noted", "_seconds", "hedge_after")

    def __init__(self, most: int, each: int) -> None:
        self._seconds: deque[float] = deque(maxlen=most)
        self._each = each
        self._noted = 0
        self.hedge_after: float | None = None

    def note(self, seconds: float) -> None:
        self._seconds.append(seconds)
        self._noted += 1
        known = len(self._seconds)
        if known >= _FEWEST_KNOWN and (self._noted % self._each == 0 or self.hedge_after is None):
            self.hedge_after = max(_SOONEST_HEDGE_SECONDS, 1.5 * sorted(self._seconds)[known * 95 // 100])


def _kind(size: int) -> int:
    return max(0, size >> 18).bit_length()
