"""The machine, several times a second: a process of its own, started by this file's path, that writes lines into a run's folder.

``python machine_sampler.py FOLDER PID``: samples the process and all below it until standard input ends. Needs psutil; what a
counter does not tell, or is not permitted, is left out and named in the last line.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # this folder is no place for other libraries' imports; that of the package is for ours
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from fastload.machine import (
    allowed_cores,
    group_counters,
    has_gpu,
    pressure,
    processes_below,
    shared_memory,
    virtual_memory,
)

_LINE_EVERY_S = 0.5
_STATES_EVERY_S = 0.1
_STATES_AT_ONCE = 24  # processes looked at each time, in turn
# What a thread that waits for a file system or a device waits in, by the kernel's name.
_STORAGE = re.compile(
    r"folio|wait_on_page|io_schedule|request_wait_answer|fuse|nfs|rpc_|cifs|smb|9p|ceph|blk_|rq_qos|bit_wait|filemap|ext4|xfs|btrfs|jbd2"
)


class Machine:
    """Counters of the machine and of one tree of processes."""

    def __init__(self, root: int) -> None:
        import psutil

        self._psutil = psutil
        self._root = root
        self._tree: list[int] = []
        self._states: dict[int, list[int]] = {}
        self._turn = 0
        self._cores = allowed_cores(root)
        self.missing: list[str] = []
        self._gpus: list[Any] = []
        try:
            self._gpus = _gpus()
        except Exception as error:  # whatever a driver has to say, or that there is no library to ask it
            if has_gpu():
                self.missing.append(f"GPUs ({_why(error)})")

    def look(self) -> None:
        """Which state some of the processes are in: [looks, running or runnable, waiting for storage]."""
        pids = sorted(self._tree)
        for pid in pids[self._turn : self._turn + _STATES_AT_ONCE]:
            state = _state(pid)
            if state is not None:
                counts = self._states.setdefault(pid, [0, 0, 0])
                counts[0] += 1
                counts[1] += state == "R"
                counts[2] += state == "storage"
        self._turn = self._turn + _STATES_AT_ONCE if self._turn + _STATES_AT_ONCE < len(pids) else 0

    def line(self) -> dict[str, Any]:
        """All counters; those that only grow as they stand."""
        psutil = self._psutil
        cpu_seconds, runnable = self._refresh()
        with contextlib.suppress(OSError, AttributeError):  # of a process that has ended nobody knows
            self._cores = len(os.sched_getaffinity(self._root))
        line: dict[str, Any] = {
            "kind": "machine",
            "at": time.perf_counter(),
            "usable_cores": self._cores,
            "cores_percent": psutil.cpu_percent(percpu=True),
            "steal_seconds": getattr(psutil.cpu_times(), "steal", 0.0),
            "load": os.getloadavg()[0],
            "tree_cpu_seconds": cpu_seconds,
            "tree_runnable": runnable,
            "tree_processes": len(self._tree),
            "states": self._states,
        }
        self._states = {}
        memory = psutil.virtual_memory()
        line.update(memory_available=memory.available, memory_total=memory.total)
        for name, read in (
            ("vm", virtual_memory),
            ("disk", self._disk),
            ("pressure", pressure),
            ("group", lambda: group_counters(self._root)),
            ("shm", _shm),
            ("gpus", self._gpu),
        ):
            try:
                line[name] = read()
                if line[name] == {} and name not in self.missing:
                    self.missing.append(name)
            except Exception as error:  # a counter that this system lacks: named once, the rest goes on
                if name not in self.missing:
                    self.missing.append(f"{name} ({type(error).__name__})")
        return line

    def _refresh(self) -> tuple[float, int]:
        """CPU seconds of the tree so far, and how many of its threads want a core now."""
        self._tree = [pid for pid in self._processes() if pid != os.getpid()]
        seconds, runnable = 0.0, 0
        for pid in self._tree:
            try:
                for thread in os.listdir(f"/proc/{pid}/task"):
                    fields = _stat(f"/proc/{pid}/task/{thread}/stat")
                    runnable += fields[0] == b"R"
                    seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            except (OSError, IndexError):
                continue
        return seconds, runnable

    def _processes(self) -> list[int]:
        """Of the tree; none once its root has ended."""
        psutil = self._psutil
        if not os.path.exists(f"/proc/{self._root}"):
            return []
        below = processes_below(self._root)
        if not below and not os.path.exists(
            f"/proc/{self._root}/task/{self._root}/children"
        ):  # a kernel without such lists
            with contextlib.suppress(psutil.Error):
                below = [child.pid for child in psutil.Process(self._root).children(recursive=True)]
        return [self._root, *below]

    def _disk(self) -> dict[str, float]:
        counters = self._psutil.disk_io_counters()
        return {
            "read_bytes": counters.read_bytes,
            "reads": counters.read_count,
            "read_ms": counters.read_time,
            "busy_ms": getattr(counters, "busy_time", 0),
        }

    def _gpu(self) -> list[dict[str, float]]:
        return [read() for read in self._gpus]


def _gpus() -> list[Any]:
    """A function for each GPU that gives its figures.

    Raises:
        ImportError: nvidia-ml-py is not installed.
        pynvml.NVMLError: there is no driver, or it does not answer.
    """
    import pynvml as nvml

    nvml.nvmlInit()
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]

    def figures(handle: Any) -> dict[str, float]:
        use, memory = nvml.nvmlDeviceGetUtilizationRates(handle), nvml.nvmlDeviceGetMemoryInfo(handle)
        found = {"percent": use.gpu, "memory_percent": use.memory, "memory_used": memory.used}
        with contextlib.suppress(nvml.NVMLError):  # not every card tells
            found["to_device_kb_s"] = nvml.nvmlDeviceGetPcieThroughput(handle, nvml.NVML_PCIE_UTIL_RX_BYTES)
        return found

    return [lambda handle=handle: figures(handle) for handle in handles]


def _why(error: Exception) -> str:
    return "pip install 'fastload-torch[profile]' for nvidia-ml-py" if isinstance(error, ImportError) else str(error)


def _shm() -> dict[str, int]:
    free, size = shared_memory()
    return {"free": free, "size": size} if size else {}


def _stat(path: str) -> list[bytes]:
    return _read(path).rpartition(b")")[2].split()


def _read(path: str) -> bytes:
    """A short file of the kernel; raises OSError. What ``open`` adds would be most of a look's cost."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


def _state(pid: int) -> str | None:
    try:
        state = _stat(f"/proc/{pid}/stat")[0]
        if state == b"R":
            return "R"
        where = _read(f"/proc/{pid}/wchan").decode("ascii", "replace")
    except (OSError, IndexError):
        return None
    return "storage" if state == b"D" or _STORAGE.search(where) else "other"


def main(folder: str, root: int) -> None:
    """Until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's, for the script
    machine = Machine(root)
    next_line = time.monotonic()
    with open(os.path.join(folder, f"machine-{os.getpid()}.jsonl"), "w", buffering=1) as file:
        while True:
            ready, _, _ = select.select([sys.stdin], [], [], _STATES_EVERY_S)
            if ready and not os.read(0, 1):
                break
            machine.look()
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + _LINE_EVERY_S
                file.write(json.dumps(machine.line()) + "\n")
        file.write(json.dumps({**machine.line(), "missing": machine.missing}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
