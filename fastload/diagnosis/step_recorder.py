"""Each step of a training loop: how long it waited for its batch, and how long it took until it asked for the next one."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from torch.utils.data import dataloader as torch_dataloader
from torch.utils.data._utils import worker as torch_worker

from fastload.diagnosis.device_clock import DeviceClock
from fastload.diagnosis.fetch_recorder import FetchRecorder, WorkerLoop
from fastload.diagnosis.loader_facts import describe, is_ours, size_of
from fastload.diagnosis.patches import Patches
from fastload.diagnosis.rank_clock import RankClock, rank_and_ranks
from fastload.diagnosis.run_folder import Lines

_STATS_EVERY_S = 0.5


class _Loader:
    """One loader that is iterated over, as it is known here."""

    def __init__(self, number: int, loader: Any) -> None:
        self.number = number
        self.loader = weakref.ref(loader)
        self.epoch = -1
        self.stats_at = 0.0


class StepRecorder:
    """Of one process.

    Args:
        folder: of the run.
        seconds: measured for so long from the first batch; None: until the end.
        steps: as many at most; None: all.
        met: called with each loader when it is first iterated over.
        over: called once when ``seconds`` or ``steps`` are over; steps are recorded on while somebody else holds it.

    Attributes:
        holders: how many read what is recorded, beside its maker.
        watchers: called with each loader and its number when it is iterated over.
    """

    def __init__(
        self,
        folder: str,
        seconds: float | None = None,
        steps: int | None = None,
        met: Callable[[Any, int], None] = lambda loader, number: None,
        over: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder, self._seconds, self._steps = folder, seconds, steps
        self._met, self._over = met, over
        self._lines = Lines(folder, "process")
        self._fetches = FetchRecorder(self._lines, is_worker=False, now=lambda: self._measuring)
        self._device = DeviceClock(self._lines)
        self._ranks = RankClock()
        self._patches = Patches()
        self._loaders: weakref.WeakKeyDictionary[Any, _Loader] = weakref.WeakKeyDictionary()
        self._iterators: weakref.WeakKeyDictionary[Any, _Loader] = weakref.WeakKeyDictionary()
        self._here = threading.local()
        self._measuring = True
        self._is_over = False
        self.holders = 0
        self.watchers: list[Callable[[Any, int], None]] = []
        self._began: float | None = None
        self._taken = self._met_so_far = 0
        self._loop: WorkerLoop

    def install(self) -> None:
        """From now on."""
        iterator = torch_dataloader._BaseDataLoaderIter
        self._patches.wrap(torch_dataloader.DataLoader, "__iter__", self._around_iter)
        self._patches.wrap(iterator, "__init__", self._around_init)
        self._patches.wrap(iterator, "__next__", self._around_next)
        self._patches.wrap(iterator, "_next_index", self._around_index)
        self._patches.wrap(torch_worker, "_worker_loop", self._loop_in_place_of)
        self._fetches.install()
        self._ranks.install()
        self._device.install()

    def _loop_in_place_of(self, original: Callable[..., None]) -> WorkerLoop:
        self._loop = WorkerLoop(original, self._folder)
        return self._loop

    @property
    def measures(self) -> bool:
        """Whether steps are recorded."""
        return self._measuring

    def stop(self) -> None:
        """Measures no more, and leaves what was seen."""
        self._measuring = False
        self.flush()

    def stop_when_over(self) -> None:
        """Nobody else needs it: measures no more, if ``seconds`` or ``steps`` are over."""
        if self._is_over:
            self.stop()

    def flush(self) -> None:
        """What was seen is where others find it."""
        for loader, known in list(self._loaders.items()):
            self._note_stats(loader, known)
        self._device.finish()
        self._lines.flush()

    def uninstall(self) -> None:
        """As it was."""
        self.stop()
        self.leave()

    def leave(self) -> None:
        """Measures no more and writes nothing: what a forked process does that is none of the run's."""
        self._measuring = False
        for part in (self._patches, self._fetches, self._ranks, self._device):
            part.undo() if isinstance(part, Patches) else part.uninstall()

    def _around_iter(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def iterate(loader: Any) -> Any:
            if not self._measuring:
                return original(loader)
            known = self._known(loader)
            for watch in self.watchers:
                watch(loader, known.number)
            known.epoch += 1
            self._here.making = known
            self._loop.loader = known.number
            began = time.perf_counter()
            try:
                iterator = original(loader)
            finally:
                self._here.making = None
            self._iterators[iterator] = known
            line = {"kind": "epoch", "loader": known.number, "epoch": known.epoch, "at": began}
            rank, ranks = rank_and_ranks()
            self._lines.add({**line, "wall": time.perf_counter() - began, "rank": rank, "ranks": ranks})
            return iterator

        return iterate

    def _around_init(self, original: Callable[..., None]) -> Callable[..., None]:
        def begin(iterator: Any, loader: Any, *args: Any, **kwargs: Any) -> None:
            known = getattr(self._here, "making", None)
            original(iterator, loader, *args, **kwargs)
            if known is not None:
                self._iterators[iterator] = known

        return begin

    def _around_index(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def next_index(iterator: Any) -> Any:
            began = time.perf_counter()
            try:
                return original(iterator)
            finally:
                self._here.sampler = getattr(self._here, "sampler", 0.0) + time.perf_counter() - began

        return next_index

    def _around_next(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def following(iterator: Any) -> Any:
            known = self._iterators.get(iterator) if self._measuring else None
            if known is None or getattr(self._here, "inside", False):
                return original(iterator)
            return self._step(original, iterator, known)

        return following

    def _step(self, original: Callable[..., Any], iterator: Any, known: _Loader) -> Any:
        self._here.inside, self._here.sampler = True, 0.0
        self._fetches.loader = known.number
        began, cpu = time.perf_counter(), time.thread_time()
        self._device.asked(known.number, began)
        line: dict[str, Any] = {"kind": "step", "loader": known.number, "epoch": known.epoch, "at": began}
        line["sync"] = self._ranks.taken()
        try:
            batch = original(iterator)
        except BaseException as error:
            line["kind"] = "end"
            line["wait"] = time.perf_counter() - began
            if not isinstance(error, (StopIteration, KeyboardInterrupt)):
                line["error"] = f"{type(error).__name__}: {error}"[:500]
            if isinstance(error, KeyboardInterrupt):
                line["open"] = _whose_turn(iterator)
            self._lines.add(line)
            if isinstance(error, StopIteration):
                self._note_stats(known.loader(), known)
            self._lines.flush()
            raise
        finally:
            self._here.inside = False
        now = time.perf_counter()
        line.update(wait=now - began, cpu=time.thread_time() - cpu, sampler=self._here.sampler)
        line["images"], line["bytes"] = size_of(batch)
        if (cost := getattr(iterator, "newest_cost", None)) is not None:  # ours, of native threads
            line["made"], (seconds, index, path) = cost
            line["slowest"] = [seconds, str(index), path]
        self._device.given(known.number)
        self._lines.add(line)
        if now - known.stats_at > _STATS_EVERY_S:
            known.stats_at = now
            self._note_stats(known.loader(), known)
        self._count(now)
        return batch

    def _count(self, now: float) -> None:
        self._taken += 1
        self._began = self._began or now
        late = self._seconds is not None and now - self._began >= self._seconds
        if not self._is_over and (late or (self._steps is not None and self._taken > self._steps)):
            self._is_over = True
            self.flush() if self.holders else self.stop()
            self._over()

    def _known(self, loader: Any) -> _Loader:
        known = self._loaders.get(loader)
        if known is None:
            known = self._loaders[loader] = _Loader(self._met_so_far, loader)
            self._met_so_far += 1
            line = {"kind": "loader", "loader": known.number, "at": time.perf_counter()}
            self._lines.add({**line, **describe(loader)})
            self._lines.flush()
            self._met(loader, known.number)
        return known

    def _note_stats(self, loader: Any, known: _Loader) -> None:
        """Of ours: what its native threads have counted in this epoch so far."""
        stats = getattr(loader, "stats", None)
        if not callable(stats) or not is_ours(loader):
            return
        figures = stats()
        if figures.get("mode") == "native":
            figures.pop("decoders", None)
            self._lines.add({"kind": "stats", "loader": known.number, "epoch": known.epoch, **figures})


def _whose_turn(iterator: Any) -> int | None:
    """The worker that is to give the next batch, of torch's."""
    tasks = getattr(iterator, "_task_info", None)
    task = tasks.get(iterator._rcvd_idx) if isinstance(tasks, dict) else None
    return int(task[0]) if task else None
