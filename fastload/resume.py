"""How far an epoch has come, and going on from there.

An epoch is determined by the generators as they were when its sampler began, the base seed of its workers, and where each worker's
generators stood after the last batch that it gave. None of this grows with the data set, and nothing that was decoded is decoded
again: the sampler begins as it began then, and is run forward over the batches that were given.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import BatchSampler
from torch.utils.data.distributed import DistributedSampler

from fastload.generators import GeneratorStates, as_they_were
from fastload.progress import Progress

if TYPE_CHECKING:
    from fastload.loader import DataLoader

FORMAT = 1
_FORMAT_KEY = "_fastload_format"


@dataclass(frozen=True)
class Sampling:
    """What decides which samples come next.

    Attributes:
        rng: the loader's.
        batch_sampler, sampler: the loader's; without batches the first is None.
        own: the generators that the loader and these were given.
    """

    rng: str
    batch_sampler: Any
    sampler: Any
    own: list[torch.Generator]

    @classmethod
    def of(cls, loader: DataLoader[Any]) -> Sampling:
        """As the loader has them now."""
        sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
        holders = (loader, loader.sampler, loader.batch_sampler, sampler)
        generators = (getattr(holder, "generator", None) for holder in holders)
        own = {id(generator): generator for generator in generators if isinstance(generator, torch.Generator)}
        return cls(loader.rng, loader.batch_sampler, sampler, list(own.values()))

    @property
    def replicas(self) -> int:
        """Ranks that share the data set."""
        return getattr(self.sampler, "num_replicas", 1)

    def state_keeper(self, iterator: Any = None) -> Any:
        """What has state_dict() and load_state_dict() of its own; None if nothing has."""
        candidates = (iterator, self.batch_sampler, self.sampler)
        return next((c for c in candidates if hasattr(c, "state_dict") and hasattr(c, "load_state_dict")), None)

    def rest_of_epoch(self, state: dict[str, Any]) -> Iterator[Any]:
        """What has still to come. Leaves the loader's generators as they are then."""
        if state["sampler_epoch"] is not None and hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(state["sampler_epoch"])
        GeneratorStates.from_json(state["start"]).restore(self.own)
        index_sampler = self.sampler if self.batch_sampler is None else self.batch_sampler
        if state["sampler_state"] is not None:
            keeper = self.state_keeper()
            if keeper is not None:
                keeper.load_state_dict(state["sampler_state"])
            rest = iter(index_sampler)
            if keeper is None:
                rest.load_state_dict(state["sampler_state"])
            return rest
        if self.rng == "index" and type(self.batch_sampler) is BatchSampler:
            # Counted in samples, so that the batch size may change too.
            batches = self.batch_sampler
            return iter(BatchSampler(self._rest_of_samples(state), batches.batch_size, batches.drop_last))
        return _after(iter(index_sampler), state["_sampler_iter_yielded"])

    def _rest_of_samples(self, state: dict[str, Any]) -> Any:
        sampler, given, ranks = self.sampler, state["samples"], self.replicas
        if not isinstance(sampler, DistributedSampler) or (ranks == state["num_replicas"] and given % ranks == 0):
            return _after(iter(sampler), given // ranks)
        # Another number of ranks: what all of them together have still to give is dealt out anew.
        whole = DistributedSampler(sampler.dataset, 1, 0, sampler.shuffle, sampler.seed)
        whole.set_epoch(sampler.epoch)
        rest = list(whole)[given:]
        missing = -len(rest) % ranks
        if sampler.drop_last:
            del rest[len(rest) - (ranks - missing) % ranks :]
        else:  # as DistributedSampler does, some twice, so that every rank has as many
            rest += list(itertools.islice(itertools.cycle(rest), missing))
        return rest[sampler.rank :: ranks]


def _after(iterator: Iterator[Any], count: int) -> Iterator[Any]:
    """Without its first ``count``; begun in any case, because what it draws it draws now."""
    if count == 0:
        return itertools.chain(list(itertools.islice(iterator, 1)), iterator)
    for _ in itertools.islice(iterator, count):
        pass
    return iterator


def state_of(loader: DataLoader[Any], progress: Progress | None) -> dict[str, Any]:
    """A fresh dictionary of plain Python values; JSON can hold it if it can hold the states of data set and sampler."""
    sampling = Sampling.of(loader)
    progress = progress or Progress(loader._record.epoch + 1)
    return {
        _FORMAT_KEY: FORMAT,
        "_num_yielded": progress.yielded,
        "_sampler_iter_yielded": progress.batches,
        "_iterator_finished": progress.finished,
        "rng": loader.rng,
        "seed": loader._index_seed,
        "num_workers": loader.num_workers,
        "num_replicas": sampling.replicas,
        "epoch": progress.epoch,
        "sampler_epoch": getattr(sampling.sampler, "epoch", None),
        "generators": GeneratorStates.now(sampling.own).to_json(),
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
    for what, saved, here in (
        ("num_workers", state["num_workers"], loader.num_workers),
        ("num_replicas", state["num_replicas"], Sampling.of(loader).replicas),
    ):
        if saved != here:
            raise AssertionError(
                f"the state was saved with {what}={saved}, but here it is {here}, and stock's random numbers depend on it; "
                "with rng='index' it may change"
            )


def outliving(kept: Any) -> Any:
    """What of a worker's state goes over into its next epoch; a stream begins anew."""
    return {name: kept[name] for name in kept if name in ("generators", "dataset")} if isinstance(kept, dict) else kept


class KeepsProgress:
    """Mixed into torch's iterators: writes down how far the epoch is, and begins where another one was left.

    Does nothing where ``record.keeps_progress`` is false.
    """

    def _begin(self, loader: DataLoader[Any], resumed: dict[str, Any] | None) -> None:
        """To be called before torch's constructor, with the state to go on from if there is one."""
        self._record, self._sampling = loader._record, Sampling.of(loader)
        self._resumed = resumed
        self._progress: Progress | None = None
        if self._resumed is not None:
            self._as_before = GeneratorStates.now(self._sampling.own)
        self._begin_epoch()

    def _begun(self) -> None:
        """To be called after torch's constructor."""
        # Without workers the coming batches are drawn from the process's own generators.
        if self._resumed is not None and self._num_workers == 0 and self._sampling.rng == "stock":  # type: ignore[attr-defined]
            GeneratorStates.from_json(self._resumed["generators"]).restore()

    def _begin_epoch(self) -> None:
        record, before = self._record, self._progress
        if not record.keeps_progress:
            return
        self._sampler_has_begun = False
        if self._resumed is not None and in_the_middle(self._resumed):
            self._progress = Progress.loaded(self._resumed)
        else:
            self._progress = Progress(record.epoch)
            if before is None and self._resumed is not None:
                before = Progress.loaded(self._resumed)
            if before is not None:  # workers that live on
                outlived = {worker: outliving(kept()) for worker, kept in before.workers.items()}
                self._progress.workers = {worker: lambda kept=kept: kept for worker, kept in outlived.items()}
        record.progress = self._progress
        self._note_generators()

    def _note_generators(self) -> None:
        """Before ``iter(sampler)``: some samplers draw right there."""
        if self._progress is not None:
            self._at_iter = GeneratorStates.now(self._sampling.own)

    @property
    def _base_seed(self) -> int:
        return self._kept_base_seed

    @_base_seed.setter
    def _base_seed(self, drawn: int) -> None:
        if self._resumed is None:
            self._kept_base_seed = drawn
        else:  # it was drawn when the first run began
            self._kept_base_seed = self._resumed["base_seed"]
            self._as_before.restore(self._sampling.own)

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        if not first_iter:
            self._resumed = None
            self._record.epoch += 1
            self._begin_epoch()
        self._note_generators()
        super()._reset(loader, first_iter)  # type: ignore[misc]

    def _next_index(self) -> Any:
        progress = self._progress
        if progress is None:
            return super()._next_index()  # type: ignore[misc]
        if not self._sampler_has_begun:
            self._sampler_has_begun = True
            self._begin_sampling(progress)
        indices = super()._next_index()  # type: ignore[misc]
        keeper = self._sampling.state_keeper(self._sampler_iter)  # type: ignore[has-type]
        count = len(indices) if self._auto_collation else 1  # type: ignore[attr-defined]
        progress.under_way.append((count, keeper.state_dict() if keeper is not None else None))
        return indices

    def _begin_sampling(self, progress: Progress) -> None:
        if self._resumed is not None and in_the_middle(self._resumed):
            with as_they_were():
                self._sampler_iter = self._sampling.rest_of_epoch(self._resumed)
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
            progress.samples += samples * self._sampling.replicas
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
