"""Who sends requests: one thread all those that the native core can, on connections that are open; threads that wait all others.

A request that waits on a thread of its own costs a change of threads and a wait for Python's lock, most of its CPU time. So one
thread begins all of them and is woken when some have come. What it must not wait for (a connection, TLS, credentials, another
library) is done by others.
"""

from __future__ import annotations

import errno
import itertools
import queue
import threading
from collections.abc import Callable

from fastload import _core
from fastload.remote.http_connection import SILENT_SECONDS, Connection, answer_of, silent
from fastload.remote.store import Attempt, Got
from fastload.remote.stores import Stores
from fastload.remote.trouble import Trouble

_AT_ONCE = ("http", "s3")  # their stores may be prepared: see Store.prepared


class Senders:
    """Of one process. Any thread may call.

    Args:
        next_one: the next request to be sent; None: none now.
        came, failed: told what became of each.
    """

    def __init__(
        self,
        stores: Stores,
        next_one: Callable[[], Attempt | None],
        came: Callable[[Attempt, Got], None],
        failed: Callable[[Attempt, Trouble], None],
    ) -> None:
        self._stores = stores
        self._next_one, self._came, self._failed = next_one, came, failed
        self._loop = _core.HttpLoop(SILENT_SECONDS)
        self._talks: dict[int, Attempt] = {}
        self._numbers = itertools.count()
        self._waiting: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._is_woken = self._is_over = False

    def wake(self) -> None:
        """There may be a next one."""
        if self._is_woken:
            return
        self._is_woken = True
        self._loop.wake()
        if not self._threads:
            with self._lock:
                if not self._threads and not self._is_over:
                    self._start(self._run)

    def _start(self, work: Callable[[], None]) -> None:
        """With the lock."""
        thread = threading.Thread(target=work, name="fastload-remote", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        while not self._is_over:
            ended = self._loop.run()
            for one in ended:
                self._read(one)
            del ended  # nothing is held while waiting
            self._is_woken = False
            while not self._is_over and (attempt := self._next_one()) is not None:
                self._begin(attempt)
                del attempt

    def _begin(self, attempt: Attempt) -> None:
        request, connection, stores = attempt.request, None, self._stores
        try:
            if request.url.startswith(_AT_ONCE):
                prepared = stores.of(request.url).prepared(request.url, request.version)
                connection = None if prepared is None else stores.connections.free(prepared.origin)
            if connection is None or prepared is None:
                self._leave_to_others(attempt)
                return
            try:
                attempt.begins(connection)
            except Trouble:
                stores.connections.give_back(connection)
                raise
            number, first, length = next(self._numbers), request.first, request.length
            asked = connection.request(prepared.target, prepared.lines, first, length)
            self._loop.begin(number, connection.socket.fileno(), asked, first, length)
            self._talks[number] = attempt
        except Exception as error:
            self._failed(attempt, _trouble(error))

    def _read(self, ended: _core.HttpEnded) -> None:
        attempt = self._talks.pop(ended.number)
        connection, request = attempt.connection, attempt.request
        assert connection is not None
        attempt.ends()
        if ended.is_plain:
            self._let_go(connection, ended.closes)
            self._came(attempt, Got(ended.body, ended.size, ended.version))
            return
        if ended.why:
            connection.close()
            if connection.uses and not attempt.aborted:
                self._leave_to_others(attempt)  # the server has ended it before it knew of this
            else:
                self._failed(attempt, silent() if ended.error == errno.EAGAIN else Trouble(ended.why))
            return
        self._let_go(connection, ended.closes or ended.body is None)
        try:
            answer = answer_of(*ended.head)
            answer.body, answer.has_body = ended.body, ended.body is not None
            got = self._stores.of(request.url).read(connection.origin, request.first, request.length, answer)
        except Exception as error:
            self._failed(attempt, _trouble(error))
            return
        if got is None:
            self._leave_to_others(attempt)
        else:
            self._came(attempt, got)

    def _let_go(self, connection: Connection, closes: bool) -> None:
        connection.uses += 1
        if closes:
            connection.close()
        else:
            self._stores.connections.give_back(connection)

    def _leave_to_others(self, attempt: Attempt) -> None:
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif not self._is_over:
                self._start(self._work)
        self._waiting.put(attempt)

    def _work(self) -> None:
        attempt: Attempt | None
        while (attempt := self._waiting.get()) is not None:
            while attempt is not None:
                is_plain = self._send(attempt)
                attempt = (
                    None if is_plain or self._is_over else self._next_one()
                )  # by itself, as all the others will be
            self.wake()
            with self._lock:
                self._idle += 1

    def _send(self, attempt: Attempt) -> bool:
        """Whether it might have been sent by the thread of all requests."""
        request, is_plain = attempt.request, False
        try:
            store = self._stores.of(request.url)
            is_plain = store.is_plain(request.url)
            got = store.get(request.url, request.first, request.length, request.version, attempt)
        except Exception as error:
            self._failed(attempt, _trouble(error))
        else:
            self._came(attempt, got)
        return is_plain

    def end(self) -> list[threading.Thread]:
        """Nothing is sent any more; those threads will end."""
        with self._lock:
            self._is_over = True
            threads = list(self._threads)
        self._loop.wake()
        for _ in threads:
            self._waiting.put(None)
        return threads


def _trouble(error: Exception) -> Trouble:
    """Of what nobody has thought of, too: it has no URL in it."""
    return error if isinstance(error, Trouble) else Trouble(f"{type(error).__name__}: {error}", passes=False)
