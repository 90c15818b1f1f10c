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
from typing import NamedTuple

from fastload import _core
from fastload.remote.http_connection import SILENT_SECONDS, Connection, answer_of, silent
from fastload.remote.reads import Request
from fastload.remote.store import Attempt, Got, Prepared, Store
from fastload.remote.stores import Stores
from fastload.remote.trouble import Trouble

_AT_ONCE = ("http", "s3")  # their stores may be prepared: see Store.prepared


class Sent(NamedTuple):
    """A request under way."""

    request: Request
    attempt: Attempt
    began: float


class _Talk(NamedTuple):
    sent: Sent
    store: Store
    prepared: Prepared
    connection: Connection


class Senders:
    """Of one process. Any thread may call.

    Args:
        next_one: the next request to be sent; None: none now.
        came, failed: told what became of each.
    """

    def __init__(
        self,
        stores: Stores,
        next_one: Callable[[], Sent | None],
        came: Callable[[Sent, Got], None],
        failed: Callable[[Sent, Trouble], None],
    ) -> None:
        self._stores = stores
        self._next_one, self._came, self._failed = next_one, came, failed
        self._loop = _core.HttpLoop(SILENT_SECONDS)
        self._talks: dict[int, _Talk] = {}
        self._numbers = itertools.count()
        self._waiting: queue.SimpleQueue[Sent | None] = queue.SimpleQueue()
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
            while not self._is_over and (sent := self._next_one()) is not None:
                self._begin(sent)
                del sent

    def _begin(self, sent: Sent) -> None:
        try:
            talk = self._talk(sent)
            if talk is None:
                self._leave_to_others(sent)
                return
            try:
                sent.attempt.begins(talk.connection)
            except Trouble:
                self._stores.connections.give_back(talk.connection)
                raise
            number, prepared = next(self._numbers), talk.prepared
            asked = talk.connection.request(prepared.target, prepared.headers, prepared.first, prepared.length)
            self._loop.begin(number, talk.connection.socket.fileno(), asked, prepared.first, prepared.length)
            self._talks[number] = talk
        except Exception as error:
            self._failed(sent, _trouble(error))

    def _talk(self, sent: Sent) -> _Talk | None:
        request = sent.request
        if not request.url.startswith(_AT_ONCE):
            return None
        store = self._stores.of(request.url)
        prepared = store.prepared(request.url, request.first, request.length, request.version)
        connection = None if prepared is None else self._stores.connections.free(prepared.origin)
        if prepared is None or connection is None:
            return None
        return _Talk(sent, store, prepared, connection)

    def _read(self, ended: _core.HttpEnded) -> None:
        talk = self._talks.pop(ended.number)
        sent, connection = talk.sent, talk.connection
        sent.attempt.ends()
        if ended.is_plain:
            self._let_go(connection, ended.closes)
            self._came(sent, Got(ended.body, ended.size, ended.version))
            return
        if ended.why:
            connection.close()
            if connection.uses and not sent.attempt.aborted:
                self._leave_to_others(sent)  # the server has ended it before it knew of this
            else:
                self._failed(sent, silent() if ended.error == errno.EAGAIN else Trouble(ended.why))
            return
        self._let_go(connection, ended.closes or ended.body is None)
        try:
            answer = answer_of(*ended.head)
            answer.body, answer.has_body = ended.body, ended.body is not None
            got = talk.store.read(talk.prepared, answer)
        except Exception as error:
            self._failed(sent, _trouble(error))
            return
        if got is None:
            self._leave_to_others(sent)
        else:
            self._came(sent, got)

    def _let_go(self, connection: Connection, closes: bool) -> None:
        connection.uses += 1
        if closes:
            connection.close()
        else:
            self._stores.connections.give_back(connection)

    def _leave_to_others(self, sent: Sent) -> None:
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif not self._is_over:
                self._start(self._work)
        self._waiting.put(sent)

    def _work(self) -> None:
        sent: Sent | None
        while (sent := self._waiting.get()) is not None:
            while sent is not None:
                is_plain = self._send(sent)
                sent = None if is_plain or self._is_over else self._next_one()  # by itself, as all the others will be
            self.wake()
            with self._lock:
                self._idle += 1

    def _send(self, sent: Sent) -> bool:
        """Whether it might have been sent by the thread of all requests."""
        request, is_plain = sent.request, False
        try:
            store = self._stores.of(request.url)
            is_plain = store.is_plain(request.url)
            got = store.get(request.url, request.first, request.length, request.version, sent.attempt)
        except Exception as error:
            self._failed(sent, _trouble(error))
        else:
            self._came(sent, got)
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
