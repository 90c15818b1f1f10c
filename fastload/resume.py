"""How far an epoch has come, and going on from there.

An epoch is determined by the generators as they were when its sampler began, the base seed of its workers, and where each worker's
generators stood after the last batch that it gave. None of this grows with the data set, and nothing that was decoded is decoded
again: the sampler begins as it began then, and is run forward over the batches that were given.
"""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from torch.utils.data.dataloader import _InfiniteConstantSampler
from torch.utils.data.distributed import DistributedSampler

from fastload.generators import GeneratorStates, as_they_were
from fastload.progress import Progress
from fastload.served import keeps_state
from fastload.states import FORMAT, FORMAT_KEY, in_the_middle, length_of, style_of

if TYPE_CHECKING:
    from fastload.loader import DataLoader

# torch's own samplers, whose iterators keep no state either.
_KEEP_NO_STATE = frozenset(
    (
        SequentialSampler,
        RandomSampler,
        SubsetRandomSampler,
        WeightedRandomSampler,
        DistributedSampler,
        _InfiniteConstantSampler,
    )
)


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
        ranks = getattr(self.sampler, "num_replicas", 1)
        return ranks if type(ranks) is int else 1

    @property
    def is_plain(self) -> bool:
        """Whether batches are torch's own, of samples one after the other."""
        return type(self.batch_sampler) is BatchSampler

    def keepers(self) -> dict[str, Any]:
        """By name, what has state_dict() and load_state_dict() of its own; beside it the iterator may have them."""
        holder = {"batch_sampler": self.batch_sampler, "sampler": self.sampler}
        return dict([(name, keeper) for name, keeper in holder.items() if keeps_state(keeper)][:1])

    def state_of_keepers(self, iterator: Any) -> dict[str, Any] | None:
        """A copy of what they tell, with the iterator's; None if nothing keeps a state."""
        keepers = self.keepers()
        if keeps_state(iterator):
            keepers["iterator"] = iterator
        return {name: copy.deepcopy(keeper.state_dict()) for name, keeper in keepers.items()} or None

    def in_batches(self, samples: Iterator[Any]) -> Iterator[Any]:
        """As the plain batch sampler has them."""
        return iter(BatchSampler(samples, self.batch_sampler.batch_size, self.batch_sampler.drop_last))  # type: ignore[arg-type]

    def rest_of_epoch(self, state: dict[str, Any]) -> tuple[Iterator[Any], Any]:
        """What has still to come, and the iterator that may keep a state. Leaves the loader's generators as they are then."""
        if state["sampler_epoch"] is not None and hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(state["sampler_epoch"])
        GeneratorStates.from_json(state["start"]).restore(self.own)
        index_sampler = self.sampler if self.batch_sampler is None else self.batch_sampler
        kept = state["sampler_state"]
        if kept is not None:
            return self._where_left(kept)
        if isinstance(self.sampler, _InfiniteConstantSampler):
            return iter(index_sampler), None
        if self.is_plain:
            # Counted in samples, so that the batch size may change.
            rest = self._rest_of_samples(state)
            return self.in_batches(rest), rest
        return _after(iter(index_sampler), state["_sampler_iter_yielded"], "batches"), None

    def end_epoch(self, state: dict[str, Any]) -> None:
        """Leaves generators and samplers as they are after the whole epoch that ``state`` was taken at the end of."""
        if state["sampler_state"] is not None:
            with as_they_were():
                rest, _ = self._where_left(state["sampler_state"])
                next(rest, None)  # the end, seen again: that is where samplers with a state turn to the next epoch
        GeneratorStates.from_json(state["generators"]).restore_own(self.own)

    def _where_left(self, kept: dict[str, Any]) -> tuple[Iterator[Any], Any]:
        """The sampler's state first, then its iterator's, as torchdata does."""
        keepers = self.keepers()
        for name, keeper in keepers.items():
            if name in kept:
                keeper.load_state_dict(kept[name])
        if self.is_plain:
            samples = iter(self.sampler)
            batches = self.in_batches(samples)
        else:
            batches = samples = iter(self.sampler if self.batch_sampler is None else self.batch_sampler)
        if "iterator" in kept:
            if not keeps_state(samples):
                raise ValueError("the state holds that of a sampler's iterator, but here the iterator keeps none")
            samples.load_state_dict(kept["iterator"])  # type: ignore[attr-defined]
        return batches, samples

    def _rest_of_samples(self, state: dict[str, Any]) -> Any:
        sampler, given, ranks = self.sampler, state["samples"], self.replicas
        if not isinstance(sampler, DistributedSampler) or (ranks == state["num_replicas"] and given % ranks == 0):
            return _after(iter(sampler), given // ranks, "samples")
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


def _after(iterator: Iterator[Any], count: int, what: str) -> Iterator[Any]:
    """Without its first ``count``; begun in any case, because what it draws it draws now."""
    if count == 0:
        return itertools.chain(list(itertools.islice(iterator, 1)), iterator)
    found = sum(1 for _ in itertools.islice(iterator, count))
    if found < count:
        raise ValueError(f"cannot go on after {count} {what} of an epoch: the sampler gives {found}")
    return iterator


def state_of(loader: DataLoader[Any], progress: Progress | None) -> dict[str, Any]:
    """A fresh dictionary of plain Python values; JSON can hold it if it can hold the states of data set and sampler."""
    sampling = Sampling.of(loader)
    progress = progress or Progress(loader._record.epoch + 1)
    epoch = getattr(sampling.sampler, "epoch", None)
    start = progress.start
    if (
        start is None and progress.base_seed is not None and not progress.finished
    ):  # the sampler begins with the first batch
        start = progress.at_iter or GeneratorStates.now(sampling.own)
    return {
        FORMAT_KEY: FORMAT,
        "_num_yielded": progress.yielded,
        "_sampler_iter_yielded": progress.batches,
        "_iterator_finished": progress.finished,
        "rng": loader.rng,
        "seed": loader._index_seed,
        "style": style_of(loader),
        "length": length_of(loader),
        "num_workers": loader.num_workers,
        "num_replicas": sampling.replicas,
        "epoch": progress.epoch,
        "sampler_epoch": epoch if type(epoch) is int else None,
        "generators": GeneratorStates.now(sampling.own).to_json(),
        "base_seed": progress.base_seed,
        "start": start.to_json() if start is not None else None,
        "samples": progress.samples,
        "failures": [loader._record.tolerance.failed, loader._record.tolerance.in_a_row],
        "sampler_state": progress.sampler_state,
        "next_worker": progress.next_worker,
        "workers": {str(worker): kept() for worker, kept in list(progress.workers.items())},
    }


def outliving(kept: Any) -> Any:
    """What of a worker's state goes over into its next epoch; a stream begins anew."""
    return {**kept, "over": True} if isinstance(kept, dict) else kept


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
        if self._progress is not None and not inspect.isgenerator(self._sampler_iter):  # it may have drawn already
            self._progress.at_iter = self._at_iter
        # Without workers the coming batches are drawn from the process's own generators.
        resumed, draws_here = self._resumed, self._num_workers == 0 and self._sampling.rng == "stock"  # type: ignore[attr-defined]
        if resumed is None or self._progress is None:
            return
        before_first = resumed["_sampler_iter_yielded"] == 0 and resumed["generators"] == resumed["start"]
        if not self._sampler_has_begun and self._is_resumed_in_the_middle():
            # Now, so that a state from which this sampler cannot go on fails where the iterator is made.
            self._sampler_has_begun = True
            self._begin_sampling(self._progress, alone=not (draws_here and before_first))
        if draws_here and not before_first:
            GeneratorStates.from_json(resumed["generators"]).restore()

    def _begin_epoch(self) -> None:
        record, before = self._record, self._progress
        if not record.keeps_progress:
            return
        self._sampler_has_begun = False
        if self._is_resumed_in_the_middle():
            self._progress = Progress.loaded(self._resumed)
        else:
            self._progress = Progress(record.epoch)
            self._progress.base_seed = getattr(self, "_kept_base_seed", None)
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
            if self._progress is not None:
                self._progress.base_seed = drawn
        else:  # it was drawn when the first run began
            self._kept_base_seed = self._resumed["base_seed"]
            self._as_before.restore(self._sampling.own)

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        if not first_iter:
            self._resumed = None
            self._record.epoch += 1
            self._record.tolerance = self._record.tolerance.anew()
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
        count = len(indices) if self._auto_collation else 1  # type: ignore[attr-defined]
        progress.under_way.append((count, self._sampling.state_of_keepers(self._may_keep_state)))
        return indices

    def _is_resumed_in_the_middle(self) -> bool:
        return self._resumed is not None and in_the_middle(self._resumed)

    def _begin_sampling(self, progress: Progress, *, alone: bool = True) -> None:
        """``alone``: what the sampler draws is not missing in the generators of the process."""
        if self._is_resumed_in_the_middle():
            with as_they_were() if alone else nullcontext():
                self._sampler_iter, self._may_keep_state = self._sampling.rest_of_epoch(self._resumed)
            return
        if inspect.isgenerator(self._sampler_iter):  # nothing of it has run yet
            self._note_generators()
        progress.start = self._at_iter
        self._may_keep_state = self._sampler_iter
        if self._sampling.is_plain and type(self._sampling.sampler) not in _KEEP_NO_STATE:
            # In a plain batch sampler's iterator the sampler's own would be out of reach.
            self._may_keep_state = iter(self._sampling.sampler)
            self._sampler_iter = self._sampling.in_batches(self._may_keep_state)

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
