"""What each batch costs where torch's own loop makes it, in a worker process or in the caller: wall, CPU, stages, items, bytes."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from torch.utils.data import get_worker_info
from torch.utils.data._utils import fetch as torch_fetch
from torch.utils.data._utils import worker as torch_worker

from fastload.diagnosis.fetch_stages import COLLATE, ITEM
from fastload.diagnosis.interrupt_in_pause import let_it_go_by
from fastload.diagnosis.patches import Patches
from fastload.diagnosis.run_folder import Lines
from fastload.diagnosis.sample_paths import path_of
from fastload.diagnosis.stage_clock import StageClock, run
from fastload.diagnosis.stage_hooks import StageHooks, name_of

# Stages are looked at in every batch if that costs no more than this share of it, else in as few as keep to it.
_MOST_COST = 0.005
_BOUNDARY_S = 3e-6
_in_worker = False  # of this process: set for good where it becomes one, which may have a copy of its parent's recorder
# Of threads that make batches here: hooks of two would be put in place and taken out across each other. Who lacks it has no stages.
_turn = threading.RLock()
_SENT_ALONE = 1 << 16  # bytes: what is larger than a pipe waits for its reader


class FetchRecorder:
    """Of one process.

    Args:
        lines: where a line for each batch goes.
        is_worker: this process does nothing but make batches.
        now: whether it is measured.
    """

    def __init__(self, lines: Lines, *, is_worker: bool, now: Callable[[], bool] = lambda: True) -> None:
        self._lines = lines
        self._is_worker = is_worker
        self._now = now
        self._hooks: dict[int, tuple[Any, StageHooks]] = {}
        self._every = 1
        self._count = 0
        self._patches = Patches()
        self._counters = _Counters()
        self.loader = -1  # whose batches they are

    def install(self) -> None:
        """From now on."""
        for kind in (torch_fetch._MapDatasetFetcher, torch_fetch._IterableDatasetFetcher):
            self._patches.wrap(kind, "fetch", self._around_fetch)
        if self._is_worker:
            self._patches.wrap(ForkingPickler, "dumps", self._around_dumps)
            self._patches.wrap(Connection, "_send_bytes", self._around_send)

    def uninstall(self) -> None:
        """As it was."""
        self._patches.undo()

    def _around_fetch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def fetch(fetcher: Any, indices: Any) -> Any:
            if not self._now() or self._is_worker != _in_worker:
                return original(fetcher, indices)
            return self._fetch(original, fetcher, indices)

        return fetch

    def _fetch(self, original: Callable[..., Any], fetcher: Any, indices: Any) -> Any:
        if self._is_worker:
            return self._fetch_in_turn(original, fetcher, indices, True)
        has_turn = _turn.acquire(blocking=False)
        try:
            return self._fetch_in_turn(original, fetcher, indices, has_turn)
        finally:
            if has_turn:
                _turn.release()

    def _fetch_in_turn(self, original: Callable[..., Any], fetcher: Any, indices: Any, has_turn: bool) -> Any:
        dataset, collate = fetcher.dataset, fetcher.collate_fn
        hooks = self._hooks_of(dataset) if has_turn else None
        self._count += 1
        detailed = hooks is not None and self._count % self._every == 0
        clock = StageClock()
        items = _Items(dataset, clock, detailed)
        stream = getattr(fetcher, "dataset_iter", None)
        before = self._counters.now()
        fetcher.dataset = items
        fetcher.collate_fn = _Collate(collate, clock)
        if stream is not None:
            fetcher.dataset_iter = _Stream(stream, items, clock)
        run(clock if detailed else None)
        interrupted = False
        try:
            with (
                hooks.in_place() if hooks is not None and detailed and not self._is_worker else contextlib.nullcontext()
            ):
                return original(fetcher, indices)
        except KeyboardInterrupt:
            interrupted = True
            raise
        finally:
            run(None)
            fetcher.dataset, fetcher.collate_fn = dataset, collate
            if stream is not None:
                fetcher.dataset_iter = stream
            after = self._counters.now()
            self._note(before, after, items, clock, detailed, interrupted)

    def _note(
        self,
        before: list[float],
        after: list[float],
        items: _Items,
        clock: StageClock,
        detailed: bool,
        interrupted: bool,
    ) -> None:
        began = before[0]
        wall, cpu, process_cpu, waited, asked, read = (b - a for a, b in zip(before, after, strict=True))
        if detailed:
            entered = sum(entry[2] for entry in clock.stages.values())
            self._every = max(1, math.ceil(entered * _BOUNDARY_S / (_MOST_COST * max(wall, 1e-6)) - 1))
        worker = get_worker_info()
        line: dict[str, Any] = {
            "kind": "batch",
            "loader": self.loader,
            "worker": worker.id if worker is not None else -1,
            "at": began,
            "wall": wall,
            "cpu": cpu,
            "others_cpu": max(0.0, process_cpu - cpu),
            "queued": waited,
            "asked_bytes": asked,
            "read_bytes": read,
            "items": items.count,
            "item_seconds": items.total,
        }
        if items.slowest is not None:
            seconds, line["slowest_cpu"], index = items.slowest
            line["slowest"] = [seconds, str(index), path_of(items.dataset, index) if worker or detailed else None]
        if detailed:
            line["stages"] = clock.stages
        if interrupted:
            line["open"] = True
        self._lines.add(line)

    def _hooks_of(self, dataset: Any) -> StageHooks:
        known = self._hooks.get(id(dataset))
        if known is None:
            native = type(dataset).__module__.startswith("fastload.batches.") and hasattr(dataset, "_is_native_now")
            hooks = StageHooks(dataset, native=native)
            if self._is_worker:
                hooks.leave_in_place()
            known = self._hooks[id(dataset)] = dataset, hooks  # held: its id stays its own
        return known[1]

    def _note_sent(self, began: float, seconds: float, size: int = 0) -> None:
        self._lines.add({"kind": "sent", "loader": self.loader, "at": began, "wall": seconds, "bytes": size})

    def _around_dumps(self, original: Callable[..., Any]) -> Any:
        def dumps(cls: Any, what: Any, *args: Any) -> Any:
            began, cpu, size = time.perf_counter(), time.thread_time(), 0
            try:
                pickled = original(what, *args)
                size = len(pickled)
                return pickled
            finally:  # beside the next batch, whose Python code it waits for: what it works itself counts
                self._note_sent(began, time.thread_time() - cpu, size)

        return classmethod(dumps)

    def _around_send(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def send(connection: Any, buffer: Any) -> Any:
            if len(buffer) < _SENT_ALONE:
                return original(connection, buffer)
            began = time.perf_counter()
            try:
                return original(connection, buffer)
            finally:
                self._note_sent(began, time.perf_counter() - began)

        return send


class WorkerLoop:
    """torch's loop of a worker process, with a recorder; goes to the process in the place of the loop."""

    def __init__(self, original: Callable[..., None], folder: str) -> None:
        self._original: Callable[..., None] | None = original
        self._folder = folder
        self.loader = -1

    def __getstate__(self) -> dict[str, Any]:
        return {"_original": None, "_folder": self._folder, "loader": self.loader}  # a spawned process has its own

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        global _in_worker
        _in_worker = True
        lines = Lines(self._folder, "worker")
        recorder = FetchRecorder(lines, is_worker=True)
        recorder.loader = self.loader
        lines.add({"kind": "worker", "at": time.perf_counter(), "parent": os.getppid(), "loader": self.loader})
        recorder.install()
        let_it_go_by(self._folder)
        try:
            (self._original or torch_worker._worker_loop)(*args, **kwargs)
        finally:
            lines.flush()


def in_a_worker() -> bool:
    """Whether this process is one of torch's workers."""
    return _in_worker


class _Counters:
    """Of this thread and process: seconds and counts that only grow."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def now(self) -> list[float]:
        """[wall, CPU of the thread, CPU of the process, waited for a core, bytes read, those from devices]."""
        queued = asked = read = 0.0
        files = self._files()
        if files[0] is not None:
            queued = int(os.pread(files[0], 100, 0).split()[1]) * 1e-9
        if files[1] is not None:
            counts = os.pread(files[1], 300, 0)
            asked = float(counts.partition(b"rchar: ")[2].partition(b"\n")[0] or 0)
            read = float(counts.partition(b"\nread_bytes: ")[2].partition(b"\n")[0] or 0)
        return [time.perf_counter(), time.thread_time(), time.process_time(), queued, asked, read]

    def _files(self) -> list[int | None]:
        files = getattr(self._of_thread, "files", None)
        if files is None or self._of_thread.pid != os.getpid():
            files = self._of_thread.files = [_opened("/proc/thread-self/schedstat"), _opened("/proc/self/io")]
            self._of_thread.pid = os.getpid()
        return files


def _opened(path: str) -> int | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.pread(file, 1, 0)
    except OSError:  # another system, or not permitted: the rest goes on
        return None
    return file


class _Items:
    """A data set, for torch's fetcher alone, that times each item."""

    def __init__(self, dataset: Any, clock: StageClock, detailed: bool) -> None:
        self.dataset = dataset
        self._clock = clock
        self._detailed = detailed
        self.count = 0
        self.total = 0.0
        self.slowest: tuple[float, float, Any] | None = None  # wall, CPU, index

    def __getitem__(self, index: Any) -> Any:
        return self._one(lambda: self.dataset[index], index)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.__dict__["dataset"], name)
        if name != "__getitems__" or not value:
            return value
        return lambda indices: self._many(value, indices)

    def _many(self, getitems: Callable[..., Any], indices: Any) -> Any:
        wall, _ = self._clock.enter(ITEM)
        try:
            return getitems(indices)
        finally:
            self.total += self._clock.leave()[0] - wall
            with contextlib.suppress(TypeError):
                self.count += len(indices)

    def _one(self, make: Callable[[], Any], index: Any) -> Any:
        wall, cpu = self._clock.enter(ITEM)
        try:
            return make()
        finally:
            end, cpu_end = self._clock.leave()
            self.count += 1
            self.total += end - wall
            if self.slowest is None or end - wall > self.slowest[0]:
                self.slowest = end - wall, cpu_end - cpu, index


class _Stream:
    """An iterable data set's iterator that times each item."""

    def __init__(self, stream: Any, items: _Items, clock: StageClock) -> None:
        self._stream, self._items, self._clock = stream, items, clock

    def __next__(self) -> Any:
        return self._items._one(lambda: next(self._stream), None)


class _Collate:
    """The loader's collate_fn as a stage of its name."""

    def __init__(self, collate_fn: Any, clock: StageClock) -> None:
        self._collate_fn, self._clock = collate_fn, clock

    def __call__(self, items: Any) -> Any:
        inner = getattr(self._collate_fn, "_collate_fn", self._collate_fn)  # ours carries the user's
        self._clock.enter(COLLATE + name_of(inner))
        try:
            return self._collate_fn(items)
        finally:
            self._clock.leave()
