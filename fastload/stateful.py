"""``StatefulDataLoader``: a loader that can say where it is and go on from there."""

from __future__ import annotations

import copy
import inspect
from typing import Any, TypeVar

from torch.utils.data import IterDataPipe, MapDataPipe

from fastload.batches import Way, after_the_end, choose
from fastload.loader import DataLoader
from fastload.resume import check, in_the_middle, state_of

_T_co = TypeVar("_T_co", covariant=True)


class StatefulDataLoader(DataLoader[_T_co]):
    """:class:`DataLoader` with ``state_dict()`` and ``load_state_dict()``, of torchdata's meaning, for any data set.

    A loader that loads a state gives the batches that the other one had still to give, bit for bit: the random numbers of
    transforms go on too, in workers and without. The state is some tens of kilobytes, whatever the size of the data set, costs
    well under a millisecond, and is valid before an epoch, in the middle and at its end; at the end, the next epoch is a whole
    one. With ``rng="index"`` it may be loaded with another number of workers, threads or ranks (of a ``DistributedSampler``), or
    another batch size; every sample of the epoch is still given once.

    Python code keeps its part of the bargain by drawing from torch's, Python's or numpy's generators. A data set, an iterator of
    an iterable-style one, or a sampler that has ``state_dict`` and ``load_state_dict`` itself is asked for its own state.
    ``in_order=False`` makes no promise.

    Where batches are drawn from the process's own generators (``num_workers=0`` and ``rng="stock"``), going on in the middle of
    an epoch puts these back; otherwise they are left alone. The epochs after the resumed one are those of the first run if the
    loader has a ``generator``, or if torch's default generator is restored, as training scripts do.

    Args:
        snapshot_every_n_steps: torchdata's parameter; an int from 0, or None. Whatever it says, a state is exact after every batch.

    All others are those of :class:`DataLoader`.

    Example:
        >>> loader = StatefulDataLoader(range(8), batch_size=2)
        >>> iterator = iter(loader)
        >>> next(iterator), next(iterator)
        (tensor([0, 1]), tensor([2, 3]))
        >>> again = StatefulDataLoader(range(8), batch_size=2)
        >>> again.load_state_dict(loader.state_dict())
        >>> list(again)
        [tensor([4, 5]), tensor([6, 7])]
    """

    _keeps_progress = True
    _loaded: dict[str, Any] | None = None
    _loaded_seed: int | None = None

    def __init__(self, *args: Any, snapshot_every_n_steps: int | None = 1, **options: Any) -> None:
        every = snapshot_every_n_steps
        if every is not None and (not isinstance(every, int) or every < 0):
            raise ValueError(f"snapshot_every_n_steps should be an int from 0 or None, but got {every!r}")
        super().__init__(*args, **options)
        self.snapshot_every_n_steps = snapshot_every_n_steps

    def state_dict(self) -> dict[str, Any]:
        """Where the newest iterator is: what the consumer was given counts, not what was read ahead.

        A fresh dictionary of plain values. JSON can hold it if it can hold the states of the data set and the sampler.
        """
        if self._loaded is not None:
            return copy.deepcopy(self._loaded)
        return state_of(self._sampling(), self._record)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next iterator goes on from ``state_dict``; later ones begin anew. An empty one means a whole epoch.

        A state that is refused leaves the loader as it was. One that was taken stays loaded until an iterator has gone on from
        it: where the loader was changed in between and cannot, ``iter()`` raises, and raises again.

        Raises:
            ValueError: not a state of this class, a damaged one, one of another ``rng``, data set or kind of loader.
            AssertionError: with ``rng="stock"``, another number of workers or ranks.
        """
        if isinstance(self.dataset, (IterDataPipe, MapDataPipe)):
            raise NotImplementedError("DataPipes keep no state; use a data set")
        if state_dict is None or state_dict != {}:
            check(state_dict, self._sampling(), self._made_in_threads)
        self._iterator = None
        self._record.progress = None
        self._loaded = copy.deepcopy(state_dict) or None

    def _get_iterator(self) -> Any:
        iterator = super()._get_iterator()
        self._loaded = None
        return iterator

    def _take_state(self) -> dict[str, Any] | None:
        """What the next iterator goes on from; None for a new epoch with new workers."""
        state = self._loaded
        if state is None:
            return None
        sampling = self._sampling()
        check(state, sampling, self._made_in_threads)  # the loader may have been changed since
        self._loaded_seed = state["seed"]
        self._record.epoch = state["epoch"] + state["_iterator_finished"]
        if in_the_middle(state):
            self._record.tolerance.failed, self._record.tolerance.in_a_row = state["failures"]
            return state
        sampling.end_epoch(state)
        if state["num_workers"] != self.num_workers or not state["workers"]:
            return None
        if self.num_workers == 0:
            after_the_end(self.dataset, state["workers"]["0"])
        return state if self.persistent_workers else None

    def _made_in_threads(self) -> bool:
        mode = choose(self._settings())
        return mode.way is Way.native and not mode.in_workers

    @property
    def _index_seed(self) -> int:
        return super()._index_seed if self._loaded_seed is None else self._loaded_seed


def _with_snapshots(signature: inspect.Signature) -> inspect.Signature:
    """The parameters of a DataLoader and torchdata's own one, where torchdata has it: after torch's."""
    parameters = list(signature.parameters.values())
    own = inspect.signature(StatefulDataLoader.__init__).parameters["snapshot_every_n_steps"]
    after = [parameter.name for parameter in parameters].index("in_order") + 1
    return signature.replace(parameters=[*parameters[:after], own, *parameters[after:]])


# Lightning and others read there which parameters a loader takes.
StatefulDataLoader.__init__.__signature__ = _with_snapshots(inspect.signature(DataLoader.__init__))  # type: ignore[attr-defined]
