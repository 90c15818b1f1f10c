"""Reads of objects, all at once: who needs bytes asks early, and waits late.

A read is one run of bytes of one object, or all of it. Reads that lie near each other go as one request; a request that is late is
sent a second time, and the first answer counts; one that failed is sent again, at once and then later each time, until the time
limit.
"""

from __future__ import annotations

import atexit
import errno
import heapq
import itertools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from fastload._core import Arrival
from fastload.remote.pace import Pace
from fastload.remote.reads import ALL, Learns, Read, Request, back_off, keep_promise, said
from fastload.remote.senders import Senders
from fastload.remote.store import Attempt, Got, Listed, Store
from fastload.remote.stores import Stores
from fastload.remote.trouble import Trouble, changed
from fastload.reports import REMOTE

_MOST_GAP = 1 << 15  # between two reads that go as one
_MOST_TOGETHER = 1 << 21
_MOST_AT_A_TIME = 3  # of one request
_MOST_FAILURES = 12
_END_SECONDS = 2.0


class Transfers:
    """Of one process; it has threads, so a forked one makes its own. Any thread may call."""

    def __init__(self, other: Any, *, most_at_once: int, seconds: float) -> None:
        self.seconds = seconds
        self._stores = Stores(other)
        self._lock = threading.Lock()
        self._pace = Pace(most_at_once)
        self._live: weakref.WeakValueDictionary[str, Read] = weakref.WeakValueDictionary()
        self._asked: deque[Read] = deque()
        self._of_object: dict[str, list[Read]] = {}  # the ranges among them
        self._again: deque[Request] = deque()
        self._senders = Senders(self._stores, self._next_one, self._came, self._failed)
        self._under_way = 0
        self._timing: threading.Thread | None = None
        self._running: set[Request] = set()
        self._extra = 0  # sent for those at once, as they were late or had failed
        self._timer = threading.Condition(self._lock)
        self._looks: list[tuple[float, int, Request, Attempt | None]] = []
        self._number = itertools.count()
        self._is_over = False
        self._figures = dict.fromkeys(REMOTE, 0)
        atexit.register(self.end)

    def figures(self) -> dict[str, int]:
        """So far: requests, bytes that came, requests that were sent again for late ones and for failed ones, and reads that
        somebody had to wait for."""
        with self._lock:
            return dict(self._figures)

    def _count(self, request: Request, what: str, more: int = 1) -> None:
        """With the lock; for whoever asked, too."""
        self._figures[what] += more
        if request.counts is not None:
            request.counts[what] += more

    def read(
        self,
        url: str,
        first: int = 0,
        length: int = ALL,
        size: int = -1,
        version: str = "",
        keep: Any = None,
        learns: Learns | None = None,
    ) -> Read:
        """Begins to read; the same read as one that somebody still has, where there is one. With ``keep``, ``(cache, path)``, it is
        put into a cache, too."""
        key = _key(url, first, length, version)
        with self._lock:
            found = self._live.get(key)
            if found is not None and (not found.is_over or found.data is not None):
                return found
            read = self._live[key] = Read(self, url, first, length, size, version, keep)
            read.learns = learns
            if self._is_over:
                read.error = errno.ECANCELED, "the interpreter ends"
                return read
            self._asked.append(read)
            if length >= 0:
                self._of_object.setdefault(url, []).append(read)
            self._need_timer()
        self._senders.wake()
        return read

    def forget(self, read: Read) -> None:
        """Whoever asks for the same from now on gets it from the store."""
        with self._lock:
            for version in {read.version, read.learned.version}:
                key = _key(read.url, read.first, read.length, version)
                if self._live.get(key) is read:
                    del self._live[key]

    def listing(self, url: str) -> list[Listed]:
        """All objects whose URLs begin with this one. Raises OSError."""
        listed: list[Listed] = self._patiently(url, lambda store: list(store.list(url)))
        return listed

    def stat(self, url: str) -> tuple[int, str]:
        """The size of an object, in bytes, and its version. Raises OSError."""
        got: Got = self._patiently(url, lambda store: store.look(url))
        if got.size < 0:
            raise OSError(errno.EIO, said(url, "the server does not say how large it is", 1))
        return got.size, got.version

    def _patiently(self, url: str, ask: Callable[[Store], Any]) -> Any:
        until = time.monotonic() + self.seconds
        for failures in itertools.count(1):
            try:
                return ask(self._stores.of(url))
            except Trouble as trouble:
                pause = back_off(failures, trouble)
                if not trouble.passes or failures >= _MOST_FAILURES or time.monotonic() + pause > until:
                    raise OSError(trouble.errno, said(url, str(trouble), failures)) from None
                time.sleep(pause)
        raise AssertionError

    def promise(self, read: Read, arrival: Arrival) -> None:
        with self._lock:
            if not read.is_over:
                read.promised += (arrival,)
                return
        keep_promise(read, arrival)

    # What is sent.

    def _next_one(self) -> Attempt | None:
        """For the senders."""
        with self._lock:
            if self._is_over or self._under_way >= self._pace.at_once:
                return None
            request = self._next()
            if request is None:
                return None
            began = time.monotonic()
            attempt = Attempt(request, began)
            request.attempts.append(attempt)
            request.sent += 1
            self._under_way += 1
            self._count(request, "requests")
            self._look_at(began + self._pace.hedge_after(request.bytes()), request, attempt)
            return attempt

    def _next(self) -> Request | None:
        """With the lock."""
        while self._again:
            request = self._again.popleft()
            if not request.is_over:
                return request
        while self._asked:
            read = self._asked.popleft()
            if read.promised and not read.is_wanted():
                read.error = errno.ECANCELED, "not wanted any more"
                self._forget(read)
                continue
            request = self._together(read)
            self._running.add(request)
            return request
        return None

    def _together(self, read: Read) -> Request:
        """With those that lie near it."""
        deadline = time.monotonic() + self.seconds
        if read.length < 0:
            return Request([read], 0, ALL, deadline)
        self._forget(read)
        reads, first, end = [read], read.first, read.first + read.length
        near = self._of_object.get(read.url, [])
        grows = bool(near)
        while grows:
            grows = False
            for other in list(near):
                low, high = min(first, other.first), max(end, other.first + other.length)
                is_near = other.first <= end + _MOST_GAP and other.first + other.length >= first - _MOST_GAP
                if is_near and high - low <= _MOST_TOGETHER and other.version == read.version:
                    first, end, grows = low, high, True
                    reads.append(other)
                    self._forget(other)
                    self._asked.remove(other)
        return Request(reads, first, end - first, deadline)

    def _forget(self, read: Read) -> None:
        near = self._of_object.get(read.url)
        if near is not None and read in near:
            near.remove(read)
            if not near:
                del self._of_object[read.url]

    def _check(self, request: Request, got: Got) -> None:
        expected, version = request.size, request.version
        is_same = bool(version) and got.version == version
        if version and got.version and not is_same:
            raise changed()
        if expected >= 0 <= got.size != expected:
            raise Trouble(f"the server says {got.size} bytes, and said {expected} before") if is_same else changed()
        if request.length < 0 and expected >= 0 and len(got.data) != expected:
            raise Trouble(f"{len(got.data)} of {expected} bytes came")

    def _learn(self, request: Request, got: Got) -> None:
        """Which object it is, where that was not known: who knows it from now on asks for the same read."""
        for read in request.reads:
            if read.learns is not None:
                with self._lock:
                    self._live[_key(read.url, read.first, read.length, got.version)] = read
                read.learned = read.learns.learn(got)
                read.keep = read.learned.keep

    def _came(self, attempt: Attempt, got: Got) -> None:
        request = attempt.request
        try:
            self._check(request, got)
            self._learn(request, got)
        except Trouble as trouble:
            self._failed(attempt, trouble)
            return
        with self._lock:
            self._ended(attempt)
            self._count(request, "bytes", len(got.data))
            self._pace.note(len(got.data), time.monotonic() - attempt.began)
            others = self._end(request)
            if others is None:
                return
            for read in request.reads:
                read.data = got.data
                if len(request.reads) > 1:
                    begin = read.first - request.first
                    read.data = memoryview(got.data)[begin : begin + read.length]
        for other in others:
            other.abort()
        waits = 0
        for read in request.reads:
            for arrival in read.promised:
                keep_promise(read, arrival)
                waits += arrival.late
            if read.keep is not None:
                read.keep[0].keep(read.keep[1], read.data)
            read.promised = ()
        request.reads = []  # it may be looked at once more, and holds nothing until then
        if waits:
            with self._lock:
                self._count(request, "waits", waits)

    def _ended(self, attempt: Attempt) -> None:
        """With the lock."""
        attempt.request.attempts.remove(attempt)
        self._under_way -= 1

    def _failed(self, attempt: Attempt, trouble: Trouble) -> None:
        request = attempt.request
        with self._lock:
            self._ended(attempt)
            if request.is_over:
                return
            request.failures += 1
            request.last = str(trouble)
            if trouble.passes and request.failures < _MOST_FAILURES:
                if request.attempts:
                    return  # another may still come
                at_once = trouble.at_once and request.failures == 1 and self._may_be_extra(request)
                at = time.monotonic() + (0.0 if at_once else back_off(request.failures, trouble))
                if at < request.deadline:
                    self._count(request, "retries")
                    if at_once:
                        self._repeat(request)
                    else:
                        self._look_at(at, request, None)
                    return
            others = self._end(request) or []
        self._give_up(request, trouble.errno, str(trouble), others)

    def _end(self, request: Request) -> list[Attempt] | None:
        """With the lock; what is still under way of it. None: it had ended."""
        if request.is_over:
            return None
        request.is_over = True
        self._extra -= request.extra
        self._running.discard(request)
        return list(request.attempts)

    def _give_up(self, request: Request, number: int, why: str, attempts: Iterable[Attempt]) -> None:
        for other in attempts:
            other.abort()
        for read in request.reads:
            where = f", bytes {read.first} to {read.first + read.length}" if read.length >= 0 else ""
            with self._lock:
                read.error = number, said(read.url, why, request.sent, where)
                promised, read.promised = read.promised, ()
            for arrival in promised:
                keep_promise(read, arrival)

    # The timer.

    def _need_timer(self) -> None:
        """With the lock."""
        if self._timing is None:
            self._timing = threading.Thread(target=self._look_after, name="fastload-remote-timer", daemon=True)
            self._timing.start()

    def _look_at(self, at: float, request: Request, attempt: Attempt | None) -> None:
        """With the lock: at that time this attempt of it is looked at, or, where there is none, it is sent again."""
        heapq.heappush(self._looks, (at, next(self._number), request, attempt))
        if self._looks[0][2] is request:
            self._timer.notify()

    def _look_after(self) -> None:
        while True:
            late: list[tuple[Request, list[Attempt]]] = []
            with self._lock:
                while not self._is_over and not (self._looks and self._looks[0][0] <= time.monotonic()):
                    self._timer.wait(self._looks[0][0] - time.monotonic() if self._looks else None)
                    while self._looks and self._looks[0][2].is_over:
                        heapq.heappop(self._looks)
                if self._is_over:
                    return
                _, _, request, attempt = heapq.heappop(self._looks)
                if not request.is_over:
                    self._look(request, attempt, late)
                del request, attempt
            for one, attempts in late:
                why = f"no answer within {self.seconds:g} s" + (f"; the last: {one.last}" if one.last else "")
                self._give_up(one, errno.ETIMEDOUT, why, attempts)
            del late

    def _look(self, request: Request, attempt: Attempt | None, late: list[tuple[Request, list[Attempt]]]) -> None:
        now = time.monotonic()
        if now >= request.deadline:
            late.append((request, self._end(request) or []))
            return
        if attempt is None:
            self._repeat(request)
            return
        if attempt not in request.attempts:
            return  # it has failed: the others are looked at, or it will be sent again
        is_newest = attempt is request.attempts[-1] and request not in self._again
        if is_newest and len(request.attempts) < _MOST_AT_A_TIME and self._may_be_extra(request):
            self._count(request, "hedges")
            self._repeat(request)
        self._look_at(min(request.deadline, now + self._pace.hedge_after(request.bytes())), request, attempt)

    def _may_be_extra(self, request: Request) -> bool:
        """With the lock: whether one more may be sent for it at once. Those are few, so a store that is slow, or fails, as a whole
        gets little more to do."""
        if self._extra >= self._pace.most_hedges():
            return False
        self._extra += 1
        request.extra += 1
        return True

    def _repeat(self, request: Request) -> None:
        self._again.append(request)
        self._senders.wake()

    def end(self) -> None:
        """Nothing comes any more: who waits gets an error."""
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            requests, self._running = list(self._running), set()
            reads = [*self._asked, *(read for request in requests for read in request.reads)]
            attempts = [attempt for request in requests for attempt in request.attempts]
            self._timer.notify_all()
        for attempt in attempts:
            attempt.abort()
        for read in reads:
            if not read.is_over:
                read.error = errno.ECANCELED, "the interpreter ends"
                for arrival in read.promised:
                    keep_promise(read, arrival)
        until = time.monotonic() + _END_SECONDS
        for thread in self._senders.end() + ([] if self._timing is None else [self._timing]):
            thread.join(max(0.0, until - time.monotonic()))


def _key(url: str, first: int, length: int, version: str) -> str:
    """Text, which Python's collector of garbage does not count, as it does a tuple."""
    return f"{first} {length} {version} {url}"
