"""Child processes as the parent sees them: commands in, answers out, memory of the whole tree."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.arms import Options

SAMPLES_PER_SECOND = 20
# For one answer: to write a format of its own takes an arm minutes.
MOST_SECONDS = 900.0


class Child:
    """One arm's process, which is ended when an answer takes more than ``most_seconds``. ``why`` says why it cannot run, if so."""

    def __init__(self, name: str, options: Options, most_seconds: float = MOST_SECONDS) -> None:
        self.name = name
        self.most_seconds = most_seconds
        given = json.dumps({**asdict(options), "data": str(options.data), "build": str(options.build)})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.child", name, given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.pid = self._process.pid
        self.ready = self._answer()
        self.why: str | None = self.ready.get("unavailable")
        self.pictures: dict[str, Any] = {}  # how far from Pillow's

    def ask(self, command: str) -> dict[str, Any]:
        """Runs one command to its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        limit = threading.Timer(self.most_seconds, self._process.kill)
        limit.start()
        try:
            for line in self._process.stdout:
                if line.startswith("{"):  # libraries print too
                    return json.loads(line)
            status = self._process.wait()
        finally:
            limit.cancel()
        late = f", or gave no answer in {self.most_seconds:g} seconds" if status == -signal.SIGKILL else ""
        return {"unavailable": f"its process ended with status {status}{late}"}

    def peak_memory(self, command: str) -> dict[str, int]:
        """Runs a command; the largest sums over the process tree, in bytes: PSS (shared pages counted once) and RSS."""
        peak = {"pss": 0, "rss": 0}
        done = threading.Event()

        def watch() -> None:
            while not done.wait(1 / SAMPLES_PER_SECOND):
                total = {"pss": 0, "rss": 0}
                for pid in _tree(self._process.pid):
                    for kind, size in _rollup(pid).items():
                        total[kind] += size
                for kind in peak:
                    peak[kind] = max(peak[kind], total[kind])

        watcher = threading.Thread(target=watch)
        watcher.start()
        self.ask(command)
        done.set()
        watcher.join()
        return peak

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:  # FFCV's threads do not end with their loader
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def check_equal(children: dict[str, Child], reference: str, seeds: Sequence[int]) -> None:
    """Ends the process where an arm does not give the reference's batches: there is no speed then."""
    for seed in seeds:
        hashes = {label: child.ask(f"digest {seed}").get("hashes") for label, child in children.items()}
        for label, own in hashes.items():
            if own is None or own != hashes[reference]:
                why = children[label].why or "they differ"
                raise SystemExit(f"{label} does not give torch's batches: no speed ({why})")


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, front = [], [root]
    while front:
        pid = front.pop()
        found.append(pid)
        front += parents.get(pid, [])
    return found


def _rollup(pid: int) -> dict[str, int]:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return {}
    sizes = {
        line.split(":")[0].lower(): int(line.split()[1]) * 1024 for line in text.splitlines()[1:] if line.endswith("kB")
    }
    return {kind: sizes[kind] for kind in ("pss", "rss")}
