"""The folder of one profiled run: every process writes lines of JSON into a file of its own; whoever reports reads them all."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What a process that is killed may take with it, in seconds.
_KEPT_BACK_S = 0.25


class Lines:
    """Lines of one process. A forked process begins a file of its own."""

    def __init__(self, folder: str, role: str) -> None:
        self._folder = folder
        self._role = role
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._waiting: list[str] = []
        self._written = time.monotonic()
        self._file: int | None = None

    def add(self, line: dict[str, Any]) -> None:
        """Kept for a moment, then written."""
        if self._pid != os.getpid():
            self._begin()
        self._waiting.append(json.dumps(line, separators=(",", ":"), default=str))
        if time.monotonic() - self._written > _KEPT_BACK_S:
            self.flush()

    def flush(self) -> None:
        """Writes what is kept. A folder that is gone is nobody's concern any more."""
        if self._pid != os.getpid():
            self._begin()
        waiting, self._waiting = self._waiting, []
        self._written = time.monotonic()
        if not waiting:
            return
        try:
            if self._file is None:
                name = os.path.join(self._folder, f"{self._role}-{self._pid}.jsonl")
                self._file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.write(self._file, ("\n".join(waiting) + "\n").encode("utf-8", "surrogatepass"))
        except OSError:
            self._file = None


def lines_of(folder: str | Path, role: str) -> Iterator[dict[str, Any]]:
    """All lines that processes in this role wrote; one that was cut off is left out."""
    for path in sorted(Path(folder).glob(f"{role}-*.jsonl")):
        pid = int(path.stem.rpartition("-")[2])
        for text in path.read_text("utf-8", "replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            yield {"pid": pid, **line}
