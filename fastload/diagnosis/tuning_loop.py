"""A script's process under ``fastload tune``: one of its loaders gives batches of loaders with other settings, without end."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset, SequentialSampler
from torch.utils.data import dataloader as torch_dataloader

from fastload.diagnosis.fetch_recorder import in_a_worker
from fastload.diagnosis.loader_facts import describe
from fastload.diagnosis.patches import Patches
from fastload.diagnosis.rank_clock import rank_and_ranks
from fastload.diagnosis.run_folder import Lines
from fastload.diagnosis.tuning import Surroundings, Tuning
from fastload.gpu import GpuDecode, why_unavailable
from fastload.machine import usable_cores

# Of the time that is left: for so long a loader that does not shuffle is left alone, since another may come that does.
_LEFT_ALONE = 0.2


class TuningLoop:
    """Of one process.

    Args:
        folder: of the run.
        settings: ``until`` (monotonic clock), ``loader`` (a number; None: the first that shuffles) and
            ``supervisor`` (a process: without it all ends).
    """

    def __init__(self, folder: str, settings: dict[str, Any]) -> None:
        self._until, self._wanted = float(settings["until"]), settings["loader"]
        self._first_use: float | None = None
        self._supervisor = settings["supervisor"]
        self._lines = Lines(folder, "tuning")
        self._patches = Patches()
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._met = 0
        self._tuned: Any = None  # the loader
        self._batches: Iterator[Any] | None = None
        self._inside = False  # the loaders that are iterated over are those under trial

    def install(self) -> None:
        """From now on."""
        self._patches.wrap(torch_dataloader.DataLoader, "__iter__", self._around_iter)

    def _around_iter(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def iterate(loader: Any) -> Any:
            if self._inside or in_a_worker():
                return original(loader)
            if self._number_of(loader):
                self._begin(loader)
            if loader is self._tuned:
                return _Batches(self._next, loader)
            return original(loader) if self._tuned is not None else self._for_now(original(loader), loader)

        return iterate

    def _number_of(self, loader: Any) -> bool:
        """Whether this is the loader to be tuned."""
        if loader not in self._numbers:
            self._numbers[loader] = self._met
            self._met += 1
            self._tell({"kind": "met"})
        if self._tuned is not None:
            return False
        if self._wanted is not None:
            return bool(self._numbers[loader] == self._wanted)
        return not isinstance(loader.sampler, SequentialSampler) and not isinstance(loader.dataset, IterableDataset)

    def _for_now(self, iterator: Any, loader: Any) -> Iterator[Any]:
        """Of a loader that does not shuffle; after a while it is the one."""
        self._first_use = self._first_use or time.monotonic()
        patience = _LEFT_ALONE * (self._until - self._first_use)
        for batch in iterator:
            yield batch
            is_late = time.monotonic() > self._first_use + patience
            if self._wanted is None and is_late and self._tuned is None:
                break
        else:
            return
        del iterator  # its workers end before others begin
        self._begin(loader)
        while True:
            yield self._next()

    def _begin(self, loader: Any) -> None:
        self._tuned = loader
        _, ranks = rank_and_ranks()
        if ranks > 1:
            self._tell({"kind": "problem", "text": f"the script runs in {ranks} ranks; tune one process of it"})
            self._end()
        here = surroundings()
        facts = describe(loader)
        self._tell({"kind": "loader", "cores": here.cores, "cuda": here.cuda, "number": self._numbers[loader], **facts})
        self._batches = Tuning(loader, here, self._until, self._tell).batches()

    def _next(self) -> Any:
        assert self._batches is not None
        self._inside = True
        try:
            return next(self._batches)
        except StopIteration:
            self._end()
        except Exception as error:
            self._tell({"kind": "problem", "text": f"{type(error).__name__}: {error}"[:500]})
            self._end()
        finally:
            self._inside = False

    def _tell(self, line: dict[str, Any]) -> None:
        self._lines.add(line)
        self._lines.flush()
        if not os.path.exists(f"/proc/{self._supervisor}"):
            self._end()

    def _end(self) -> None:
        """Of the whole script: it was no training, and what comes after an epoch is not to come."""
        self._lines.flush()
        os._exit(0)


def surroundings() -> Surroundings:
    """Of this process."""
    if not torch.cuda.is_available():
        return Surroundings(usable_cores())
    return Surroundings(usable_cores(), cuda=True, no_decoder=why_unavailable(GpuDecode(), torch.device("cuda")))


class _Batches:
    """What a script iterates over."""

    def __init__(self, following: Callable[[], Any], loader: Any) -> None:
        self._following, self._loader = following, loader

    def __iter__(self) -> _Batches:
        return self

    def __next__(self) -> Any:
        return self._following()

    def __len__(self) -> int:
        return len(self._loader)
