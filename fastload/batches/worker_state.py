"""Where one worker is, so that another one can go on from there: its generators, and its data set's state or position."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from torch._utils import ExceptionWrapper
from torch.utils.data import get_worker_info

from fastload.engine import GeneratorStates
from fastload.resume import keeps_state


class WorkerState:
    """Where one worker is: its generators, and its data set's state if it keeps one. One object for each loader and process.

    Args:
        keeps: whether batches are to carry it.
        resumed: by worker, what to begin with.
    """

    def __init__(self, keeps: bool, resumed: dict[str, Any]) -> None:
        self.keeps = keeps
        self._resumed = resumed
        self.stream: CountedStream | None = None

    def arrived(self) -> dict[str, Any]:
        """What this worker is to begin with, the first time; then empty."""
        if not self._resumed:
            return {}
        mine: dict[str, Any] = self._resumed.get(str(worker_id()), {})
        self._resumed = {}
        return mine

    def begin(self, dataset: Any) -> None:
        """Before each batch of a map-style data set."""
        mine = self.arrived()
        if "dataset" in mine:
            dataset.load_state_dict(mine["dataset"])
        restore_generators(mine)

    def after_batch(self, dataset: Any) -> dict[str, Any] | None:
        """After each batch."""
        if not self.keeps:
            return None
        state: dict[str, Any] = {}
        if get_worker_info() is not None:  # else they are the caller's
            state["generators"] = GeneratorStates.now()
        # Copies: what is given may be the live state, and it leaves this process later.
        if self.stream is None:
            if keeps_state(dataset):
                state["dataset"] = copy.deepcopy(dataset.state_dict())
            return state
        if keeps_state(dataset) and self.stream.iterator is not dataset:
            state["stream"] = copy.deepcopy(dataset.state_dict())
        return {**state, **self.stream.state()}


def as_json(kept: dict[str, Any]) -> dict[str, Any]:
    """What :meth:`WorkerState.after_batch` gave, as plain values."""
    if "generators" not in kept:
        return kept
    return {**kept, "generators": kept["generators"].to_json()}


def iterator_where_left(dataset: Any, kept: dict[str, Any]) -> Iterator[Any]:
    """Of an iterable-style data set, after what was taken. The data set's state first, then the iterator's, as torchdata does."""
    if "stream" in kept:
        dataset.load_state_dict(kept["stream"])
    iterator: Any = iter(dataset)
    if "iterator" in kept:
        iterator.load_state_dict(kept["iterator"])
    elif "stream" not in kept and not kept.get("ended"):
        taken = kept.get("taken", 0)
        found = sum(1 for _ in itertools.islice(iterator, taken))
        if found < taken:
            raise ValueError(f"cannot go on after {taken} samples of {type(dataset).__name__}: it gives {found}")
    going_on: Iterator[Any] = iterator
    return going_on


def see_the_end(iterator: Iterator[Any], kept: dict[str, Any]) -> None:
    """Of the epoch: that is where data sets with a state turn to the next one."""
    if not kept.get("ended") and ("stream" in kept or "iterator" in kept):
        next(iterator, None)


def after_the_end(dataset: Any, kept: dict[str, Any]) -> None:
    """Puts a data set that is used in this process where the end of an epoch left it."""
    if not isinstance(kept, dict):
        return
    if "dataset" in kept:
        dataset.load_state_dict(kept["dataset"])
    if "stream" in kept or "iterator" in kept:
        states = GeneratorStates.now()
        see_the_end(iterator_where_left(dataset, kept), kept)
        states.restore()


class CountedStream:
    """An iterable-style data set's iterator, and how many samples it has given."""

    def __init__(self, iterator: Iterator[Any], taken: int = 0, ended: bool = False) -> None:
        self.iterator = iterator
        self.taken = taken
        self.ended = ended

    def __iter__(self) -> CountedStream:
        return self

    def __next__(self) -> Any:
        if self.ended:  # also where another one was left: its data set may already stand before the next epoch
            raise StopIteration
        try:
            item = next(self.iterator)
        except StopIteration:
            self.ended = True
            raise
        self.taken += 1
        return item

    def state(self) -> dict[str, Any]:
        """As plain values, but for what the iterator itself gives."""
        own = {"iterator": copy.deepcopy(self.iterator.state_dict())} if keeps_state(self.iterator) else {}  # type: ignore[attr-defined]
        return {"taken": self.taken, "ended": self.ended, **own}


def value_or_failure(state: WorkerState, make: Callable[[], Any]) -> Any:
    """What ``make()`` gives. In a worker whose state is kept an error is given too: the state after it is needed."""
    try:
        return make()
    except StopIteration:
        raise
    except Exception:
        if not state.keeps or get_worker_info() is None:
            raise
        return ExceptionWrapper(where=f"in DataLoader worker process {worker_id()}")


def worker_id() -> int:
    """Of this process; 0 where it is no worker."""
    info = get_worker_info()
    return info.id if info is not None else 0


def restore_generators(kept: dict[str, Any]) -> None:
    """Puts back what a worker's state holds of them."""
    if "generators" in kept:
        GeneratorStates.from_json(kept["generators"]).restore()
