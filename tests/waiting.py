"""Waiting for what a test means, never for a time; files that never answer; Ctrl-C at the right moment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from children import LIMIT, interruptible

LOOKS = 5  # in a row, before a thread counts as one that waits


def until(condition: Callable[[], object], what: str = "what is waited for") -> None:
    """Returns when it holds. There is no other way out but the limit, which only guards."""
    late = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < late, f"{what} did not come within {LIMIT} s"
        time.sleep(0.01)


def tree(root: int) -> list[int]:
    """A process and all that it started, and they."""
    parents: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(entry))
    found = [root]
    for process in found:
        found += parents.get(process, [])
    return found


def sleeps(process: int, thread: int) -> bool:
    """Whether a thread waits in the kernel."""
    return Path(f"/proc/{process}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def until_asleep(process: int, thread: int, among: Callable[[], bool] = lambda: True) -> None:
    """Returns when it waits for more than its turn: whenever one looks; and ``among`` holds as well."""
    looks = 0

    def waits() -> bool:
        nonlocal looks
        looks = looks + 1 if sleeps(process, thread) and among() else 0
        return looks == LOOKS

    until(waits, "a thread that waits")


def until_all_asleep(root: int) -> None:
    """Returns when every thread of a process, and of all that it started, waits for more than its turn, whenever one looks."""
    looks = 0

    def wait() -> bool:
        nonlocal looks
        try:
            asleep = all(
                sleeps(process, int(name)) for process in tree(root) for name in os.listdir(f"/proc/{process}/task")
            )
        except (FileNotFoundError, ProcessLookupError):  # one has ended meanwhile
            asleep = False
        looks = looks + 1 if asleep else 0
        return looks == LOOKS

    until(wait, "threads that all wait")


@contextlib.contextmanager
def when_asleep(action: Callable[[], object], function: str = "__next__") -> Iterator[None]:
    """Acts, in another thread, once the thread that runs the body waits in a function of that name."""
    thread, number = threading.get_ident(), threading.get_native_id()
    over, failures = threading.Event(), []

    def inside() -> bool:
        assert not over.is_set(), f"the body did not wait in {function}"
        frame = sys._current_frames()[thread]
        while frame is not None and frame.f_code.co_name != function:
            frame = frame.f_back
        return frame is not None

    def act() -> None:
        try:
            until_asleep(os.getpid(), number, inside)
            action()
        except BaseException as error:
            failures.append(error)

    helper = threading.Thread(target=act)
    helper.start()
    try:
        yield
    finally:
        over.set()
        helper.join()
    assert not failures, failures


@contextlib.contextmanager
def interrupted_in(function: str = "__next__") -> Iterator[None]:
    """Ctrl-C, once, when the body, which must end with KeyboardInterrupt and catch it, waits in a function of that name."""
    with interruptible(), when_asleep(lambda: os.kill(os.getpid(), signal.SIGINT), function):
        yield


class Pipe:
    """A file that does not answer: who reads it waits until ``let_go``, and then gets nothing."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path.resolve()
        self._other_name = path.with_name(f"{path.name}.pipe")
        os.link(path, self._other_name)
        # It is held open by a process of its own, since processes that are forked here would hold it too.
        writer = os.open(path, os.O_RDWR)
        self._writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[writer])
        os.close(writer)

    def is_read(self, process: int | None = None) -> bool:
        """Whether a process, or one that it started, has it open: by default, this one."""
        for reader in set(tree(process or os.getpid())) - {self._writer.pid}:
            with contextlib.suppress(OSError):
                for file in Path(f"/proc/{reader}/fd").iterdir():
                    with contextlib.suppress(OSError):
                        if os.readlink(file) in (str(self.path), str(self._other_name)):
                            return True
        return False

    def until_read(self, process: int | None = None) -> None:
        until(lambda: self.is_read(process), "a reader")

    def let_go(self) -> None:
        if self._writer.returncode is not None:
            return
        nothing = self.path.with_name(f"{self.path.name}.nothing")
        nothing.touch()
        os.replace(nothing, self.path)
        self._writer.kill()
        self._writer.communicate()
        for _ in range(10):  # for who is just opening it
            with contextlib.suppress(OSError):
                os.close(os.open(self._other_name, os.O_WRONLY | os.O_NONBLOCK))
            time.sleep(0.01)
        self._other_name.unlink()


@contextlib.contextmanager
def never_read(path: Path) -> Iterator[Pipe]:
    """A pipe at a path, in place of what was there."""
    path.unlink(missing_ok=True)
    pipe = Pipe(path)
    try:
        yield pipe
    finally:
        pipe.let_go()
