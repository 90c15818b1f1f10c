"""Iterators that write down how far their epoch is, and begin where another one was left."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from torch.utils.data import RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler
from torch.utils.data.dataloader import _InfiniteConstantSampler
from torch.utils.data.distributed import DistributedSampler

from fastload.engine import GeneratorStates, as_they_were
from fastload.resume.epoch_log import EpochLog
from fastload.resume.epoch_progress import Progress, always
from fastload.resume.sampling import Sampling
from fastload.resume.state_checks import in_the_middle

if TYPE_CHECKING:
    from torch.utils.data.dataloader import _BaseDataLoaderIter as _MixedInto
else:
    _MixedInto = object

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


def outliving(kept: Any) -> Any:
    """What of a worker's state goes over into its next epoch; a stream begins anew."""
    return {**kept, "over": True} if isinstance(kept, dict) else kept


class KeepsProgress(_MixedInto):
    """Mixed into torch's iterators: writes down how far the epoch is, and begins where another one was left.

    Does nothing where ``record.keeps_progress`` is false.
    """

    _sampler_iter: Iterator[Any]  # torch's
    _sampler_has_begun: bool
    _may_keep_state: Any  # the sampler's iterator, which may have a state
    _at_iter: GeneratorStates
    _as_before: GeneratorStates
    _kept_base_seed: int

    def _begin(self, record: EpochLog, sampling: Sampling, resumed: dict[str, Any] | None) -> None:
        """To be called before torch's constructor, with the state to go on from if there is one."""
        self._record, self._sampling = record, sampling
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
        resumed, draws_here = self._resumed, self._num_workers == 0 and self._sampling.rng == "stock"
        if resumed is None or self._progress is None:
            return
        before_first = resumed["_sampler_iter_yielded"] == 0 and resumed["generators"] == resumed["start"]
        if not self._sampler_has_begun and self._middle is not None:
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
        if self._middle is not None:
            self._progress = Progress.loaded(self._middle)
        else:
            self._progress = Progress(record.epoch)
            self._progress.base_seed = getattr(self, "_kept_base_seed", None)
            if before is None and self._resumed is not None:
                before = Progress.loaded(self._resumed)
            if before is not None:  # workers that live on
                outlived = {worker: outliving(kept()) for worker, kept in before.workers.items()}
                self._progress.workers = {worker: always(kept) for worker, kept in outlived.items()}
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
        super()._reset(loader, first_iter)

    def _next_index(self) -> Any:
        progress = self._progress
        if progress is None:
            return super()._next_index()
        if not self._sampler_has_begun:
            self._sampler_has_begun = True
            self._begin_sampling(progress)
        indices = super()._next_index()
        count = len(indices) if self._auto_collation else 1
        progress.under_way.append((count, self._sampling.state_of_keepers(self._may_keep_state)))
        return indices

    @property
    def _middle(self) -> dict[str, Any] | None:
        """The state to go on from, if it is of the middle of an epoch."""
        return self._resumed if self._resumed is not None and in_the_middle(self._resumed) else None

    def _begin_sampling(self, progress: Progress, *, alone: bool = True) -> None:
        """``alone``: what the sampler draws is not missing in the generators of the process."""
        if self._middle is not None:
            with as_they_were() if alone else nullcontext():
                self._sampler_iter, self._may_keep_state = self._sampling.rest_of_epoch(self._middle)
            return
        if inspect.isgenerator(self._sampler_iter):  # nothing of it has run yet
            self._note_generators()
        progress.start = self._at_iter
        self._may_keep_state = self._sampler_iter
        if self._sampling.is_plain and type(self._sampling.sampler) not in _KEEP_NO_STATE:
            # In a plain batch sampler's iterator the sampler's own would be out of reach.
            self._may_keep_state = iter(self._sampling.sampler)
            self._sampler_iter = self._sampling.batches_of(self._may_keep_state)

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
            data = super().__next__()
        except StopIteration:
            if self._progress is not None:
                self._progress.finished = True
            raise
        if self._progress is not None:
            self._progress.yielded += 1
        return data
