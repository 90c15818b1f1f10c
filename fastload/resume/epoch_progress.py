"""How far one epoch has come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from fastload.engine import GeneratorStates


def always(value: Any) -> Callable[[], Any]:
    """A function that gives it."""
    return lambda: value


class Progress:
    """What is known of one epoch: kept up to date by its iterator, read by ``state_dict()``.

    Attributes:
        epoch: number of the epoch, from 0.
        base_seed: of the workers; None until it is drawn.
        start: the generators when the sampler began; None until then.
        at_iter: the generators when the iterator was made, if the sampler may have drawn right there.
        batches: how many the sampler gave that are out of the loader, failed ones included.
        samples: how many that are, of all ranks together.
        yielded: batches that the consumer was given.
        finished: whether the consumer has seen the end.
        workers: for each worker that gave a batch, a function that gives what it needs to go on.
        next_worker: whose turn it is, to be taken modulo their number.
        sampler_state: of a sampler that keeps its own.
        under_way: (samples, the sampler's state after them) of each batch between sampler and consumer.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.base_seed: int | None = None
        self.start: GeneratorStates | None = None
        self.at_iter: GeneratorStates | None = None
        self.batches = self.samples = self.yielded = 0
        self.finished = False
        self.workers: dict[int, Callable[[], Any]] = {}
        self.next_worker = 0
        self.sampler_state: Any = None
        self.under_way: deque[tuple[int, Any]] = deque()

    @classmethod
    def loaded(cls, state: dict[str, Any]) -> Progress:
        """Of the epoch in the middle of which ``state`` was taken."""
        progress = cls(state["epoch"])
        progress.base_seed = state["base_seed"]
        progress.start = GeneratorStates.from_json(state["start"]) if state["start"] is not None else None
        progress.batches, progress.samples = state["_sampler_iter_yielded"], state["samples"]
        progress.yielded, progress.next_worker = state["_num_yielded"], state["next_worker"]
        progress.sampler_state = state["sampler_state"]
        progress.workers = {int(worker): always(kept) for worker, kept in state["workers"].items()}
        return progress
