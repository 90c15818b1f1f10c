"""Seconds of a step in which ranks meet: the backward pass, in which DDP averages gradients, and collectives called from Python."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import torch

from fastload.diagnosis.patches import Patches

_COLLECTIVES = ("all_reduce", "all_gather", "all_gather_into_tensor", "barrier", "broadcast", "reduce_scatter_tensor")


class RankClock:
    """Of one process; counts only where there is more than one rank."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._seconds = 0.0
        self._inside = threading.local()

    def install(self) -> None:
        """From now on."""
        self._patches.wrap(torch.autograd, "backward", self._around)
        if torch.distributed.is_available():
            for name in _COLLECTIVES:
                self._patches.wrap(torch.distributed, name, self._around)

    def uninstall(self) -> None:
        """As it was."""
        self._patches.undo()

    def taken(self) -> float:
        """Seconds since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _around(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, "here", False) or not _has_ranks():
                return original(*args, **kwargs)
            self._inside.here = True
            began = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                self._inside.here = False
                self._seconds += time.perf_counter() - began

        return call


def _has_ranks() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def rank_and_ranks() -> tuple[int, int]:
    """Of this process, (0, 1) where there are no others."""
    return (torch.distributed.get_rank(), torch.distributed.get_world_size()) if _has_ranks() else (0, 1)
