"""How far an epoch has come, and going on from there.

An epoch is determined by the generators as they were when its sampler began, the base seed of its workers, and where each worker's
generators stood after the last batch that it gave. None of this grows with the data set, and nothing that was decoded is decoded
again: the sampler begins as it began then, and is run forward over the batches that were given.
"""

from __future__ import annotations

import inspect
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import BatchSampler
from torch.utils.data.distributed import DistributedSampler

from fastload.generators import GeneratorStates, as_they_were

if TYPE_CHECKING:
    from fastload.loader import DataLoader

FORMAT = 1
_FORMAT_KEY = "_fastload_format"


class Progress:
    """What is known of one epoch: kept up to date by its iterator, read by ``state_dict()``.

    Attributes:
        epoch: number of the epoch, from 0.
        base_seed: of the workers; None until the sampler begins.
        start: the generators when the sampler began; None until then.
        batches, samples: how many the sampler gave for batches that are out of the loader, failed ones included.
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
        progress.start = GeneratorStates.from_json(state["start"])
        progress.batches, progress.samples = state["_sampler_iter_yielded"], state["samples"]
        progress.yielded, progress.next_worker = state["_num_yielded"], state["next_worker"]
        progress.sampler_state = state["sampler_state"]
        progress.workers = {int(worker): lambda kept=kept: kept for worker, kept in state["workers"].items()}
        return progress


def state_of(loader: DataLoader[Any], progress: Progress | None) -> dict[str, Any]:
    """A fresh dictionary of plain Python values; JSON can hold it if it can hold the states of data set and sampler."""
    sampler = _sampler(loader)
    progress = progress or Progress(loader._epoch + 1)
    return {
        _FORMAT_KEY: FORMAT,
        "_num_yielded": progress.yielded,
        "_sampler_iter_yielded": progress.batches,
        "_iterator_finished": progress.finished,
        "rng": loader.rng,
        "seed": loader._index_seed,
        "num_workers": loader.num_workers,
        "num_replicas": getattr(sampler, "num_replicas", 1),
        "epoch": progress.epoch,
        "sampler_epoch": getattr(sampler, "epoch", None),
        "generators": GeneratorStates.now(own_generators(loader)).to_json(),
        "base_seed": progress.base_seed,
        "start": progress.start.to_json() if progress.start is not None else None,
        "samples": progress.samples,
        "sampler_state": progress.sampler_state,
        "next_worker": progress.next_worker,
        "workers": {str(worker): kept() for worker, kept in progress.workers.items()},
    }


def in_the_middle(state: dict[str, Any]) -> bool:
    """Whether an epoch was under way."""
    return state["start"] is not None and not state["_iterator_finished"]


def check(state: dict[str, Any], loader: DataLoader[Any]) -> None:
    """Refuses what this loader cannot go on from."""
    if state.get(_FORMAT_KEY) != FORMAT:
        raise ValueError(
            f"this is no state of fastload.StatefulDataLoader: {_FORMAT_KEY} should be {FORMAT}, "
            f"but is {state.get(_FORMAT_KEY)!r}"
        )
    if state["rng"] != loader.rng:
        raise ValueError(f"the state was saved with rng={state['rng']!r}, but this loader has rng={loader.rng!r}")
    if not in_the_middle(state) or loader.rng == "index":
        return
    replicas = getattr(_sampler(loader), "num_replicas", 1)
    for what, saved, here in (
        ("num_workers", state["num_workers"], loader.num_workers),
        ("num_replicas", state["num_replicas"], replicas),
    ):
        if saved != here:
            raise AssertionError(
                f"the state was saved with {what}={saved}, but here it is {here}, and stock's random numbers depend on it; "
                "with rng='index' it may change"
            )


class KeepsProgress:
    """Mixed into torch's iterators: writes down how far the epoch is, and begins where another one was left.

    Does nothing for a loader whose ``_keeps_progress`` is false.
    """

    def _begin(self, loader: DataLoader[Any], resumed: dict[str, Any] | None) -> None:
        """To be called before torch's constructor, with the state to go on from if there is one."""
        self._real_loader = loader
        self._resumed = resumed
        self._progress: Progress | None = None
        if self._resumed is not None:
            self._as_before = GeneratorStates.now(own_generators(loader))
        self._begin_epoch()

    def _begun(self) -> None:
        """To be called after torch's constructor."""
        # Without workers the coming batches are drawn from the process's own generators.
        if self._resumed is not None and self._num_workers == 0 and self._real_loader.rng == "stock":  # type: ignore[attr-defined]
            GeneratorStates.from_json(self._resumed["generators"]).restore()

    def _begin_epoch(self) -> None:
        loader, before = self._real_loader, self._progress
        if not loader._keeps_progress:
            return
        self._sampling = False
        if self._resumed is not None and in_the_middle(self._resumed):
            self._progress = Progress.loaded(self._resumed)
        else:
            self._progress = Progress(loader._epoch)
            if before is not None:  # workers that live on
                self._progress.workers = before.workers
            elif self._resumed is not None:
                self._progress.workers = Progress.loaded(self._resumed).workers
        loader._progress = self._progress
        self._note_generators()

    def _note_generators(self) -> None:
        """Before ``iter(sampler)``: some samplers draw right there."""
        if self._progress is not None:
            self._at_iter = GeneratorStates.now(own_generators(self._real_loader))

    @property
    def _base_seed(self) -> int:
        return self._kept_base_seed

    @_base_seed.setter
    def _base_seed(self, drawn: int) -> None:
        if self._resumed is None:
            self._kept_base_seed = drawn
        else:  # it was drawn when the first run began
            self._kept_base_seed = self._resumed["base_seed"]
            self._as_before.restore(own_generators(self._real_loader))

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        if not first_iter:
            self._resumed = None
            self._real_loader._epoch += 1
            self._begin_epoch()
        self._note_generators()
        super()._reset(loader, first_iter)  # type: ignore[misc]

    def _next_index(self) -> Any:
        progress = self._progress
        if progress is None:
            return super()._next_index()  # type: ignore[misc]
        if not self._sampling:
            self._sampling = True
            self._begin_sampling(progress)
        indices = super()._next_index()  # type: ignore[misc]
        keeper = _keeps_state(self._sampler_iter, self._index_sampler, _sampler(self._real_loader))  # type: ignore[has-type,attr-defined]
        count = len(indices) if self._auto_collation else 1  # type: ignore[attr-defined]
        progress.under_way.append((count, keeper.state_dict() if keeper is not None else None))
        return indices

    def _begin_sampling(self, progress: Progress) -> None:
        if self._resumed is not None and in_the_middle(self._resumed):
            with as_they_were():
                self._sampler_iter = _rest_of_epoch(self._real_loader, self._resumed)
            return
        progress.base_seed = self._base_seed
        if inspect.isgenerator(self._sampler_iter):  # nothing of it has run yet
            self._note_generators()
        progress.start = self._at_iter

    def _taken(self, worker: int = 0) -> None:
        """The next batch, of this worker, is out of the loader's hands."""
        progress = self._progress
        if progress is not None and progress.under_way:
            samples, progress.sampler_state = progress.under_way.popleft()
            progress.batches += 1
            progress.samples += samples
            progress.next_worker = worker + 1

    def __next__(self) -> Any:
        try:
            data = super().__next__()  # type: ignore[misc]
        except StopIteration:
            if self._progress is not None:
                self._progress.finished = True
            raise
        if self._progress is not None:
            self._progress.yielded += 1
        return data


def own_generators(loader: DataLoader[Any]) -> list[torch.Generator]:
    """The generators that the loader and its samplers were given."""
    found: dict[int, torch.Generator] = {}
    for holder in (loader, loader.sampler, loader.batch_sampler, _sampler(loader)):
        generator = getattr(holder, "generator", None)
        if isinstance(generator, torch.Generator):
            found[id(generator)] = generator
    return list(found.values())


def _sampler(loader: DataLoader[Any]) -> Any:
    """What gives single indices."""
    return getattr(loader.batch_sampler, "sampler", loader.sampler)


def _keeps_state(*candidates: Any) -> Any:
    """The first that has state_dict() and load_state_dict()."""
    return next((c for c in candidates if hasattr(c, "state_dict") and hasattr(c, "load_state_dict")), None)


def _rest_of_epoch(loader: DataLoader[Any], state: dict[str, Any]) -> Iterator[Any]:
    """What the sampler has still to give. Leaves the loader's generators as the sampler then leaves them."""
    sampler = _sampler(loader)
    if state["sampler_epoch"] is not None and hasattr(sampler, "set_epoch"):
        sampler.set_epoch(state["sampler_epoch"])
    GeneratorStates.from_json(state["start"]).restore(own_generators(loader))
    if state["sampler_state"] is not None:
        keeper = _keeps_state(loader._index_sampler, sampler)
        if keeper is not None:
            keeper.load_state_dict(state["sampler_state"])
        rest = iter(loader._index_sampler)
        if keeper is None:
            rest.load_state_dict(state["sampler_state"])  # type: ignore[attr-defined]
        return rest
    if loader.rng == "index" and type(loader.batch_sampler) is BatchSampler:
        # Counted in samples, so that the batch size may change too.
        batches = loader.batch_sampler
        return iter(BatchSampler(_rest_of_samples(sampler, state), batches.batch_size, batches.drop_last))
    return _after(iter(loader._index_sampler), state["_sampler_iter_yielded"])


def _rest_of_samples(sampler: Any, state: dict[str, Any]) -> Any:
    given, replicas = state["samples"], state["num_replicas"]
    if not isinstance(sampler, DistributedSampler) or sampler.num_replicas == replicas:
        return _after(iter(sampler), given)
    # Another number of ranks: what all of them together have still to give is dealt out anew.
    whole = DistributedSampler(
        sampler.dataset, num_replicas=1, rank=0, shuffle=sampler.shuffle, seed=sampler.seed, drop_last=False
    )
    whole.set_epoch(sampler.epoch)
    rest = list(whole)[given * replicas :]
    missing = -len(rest) % sampler.num_replicas
    if sampler.drop_last:
        del rest[len(rest) - (sampler.num_replicas - missing) % sampler.num_replicas :]
    elif rest:  # as DistributedSampler does, some twice, so that every rank has as many
        rest += list(itertools.islice(itertools.cycle(rest), missing))
    return rest[sampler.rank :: sampler.num_replicas]


def _after(iterator: Iterator[Any], count: int) -> Iterator[Any]:
    """Without its first ``count``; begun in any case, because what it draws it draws now."""
    if count == 0:
        return itertools.chain(list(itertools.islice(iterator, 1)), iterator)
    for _ in itertools.islice(iterator, count):
        pass
    return iterator
