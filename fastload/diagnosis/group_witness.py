"""Whether a signal was for the whole process group, as Ctrl-C at a terminal is, or for this process alone, as ``kill PID`` is.

A process of the group in which such signals are blocked: one that reached it waits there, where the kernel shows it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

_LOOKS, _BETWEEN_S = 3, 0.02  # the kernel signals one process of a group after the other


class GroupWitness:
    """Of this process's group; ends with this process.

    Args:
        numbers: signals that are looked for.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = tuple(numbers)
        self._stand()

    def _stand(self) -> None:
        ends, self._alive = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.dup2(ends, 0)
                os.closerange(1, os.sysconf("SC_OPEN_MAX"))  # others wait for the end of what was open here
                os.read(0, 1)  # until the other end is gone
            finally:
                os._exit(0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(ends)

    def saw(self, number: int) -> bool:
        """Whether a signal that has just come here came to the group."""
        for look in range(_LOOKS):
            time.sleep(_BETWEEN_S if look else 0.0)
            if self._has(number):
                self.close()
                self._stand()  # for the next one
                return True
        return False

    def _has(self, number: int) -> bool:
        try:
            pending = Path(f"/proc/{self._pid}/status").read_text().split("\nShdPnd:")[1].split()[0]
        except (OSError, IndexError):  # no Linux: a Ctrl-C is the group's, as nearly always
            return number == signal.SIGINT
        return bool(int(pending, 16) >> (number - 1) & 1)

    def close(self) -> None:
        """It ends."""
        with contextlib.suppress(OSError):
            os.close(self._alive)
            os.waitpid(self._pid, 0)
