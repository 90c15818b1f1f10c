"""Which samples come next, and going on from there: the sampler begins as it began then, and is run forward over what was given."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.utils.data
from torch.utils.data import BatchSampler, IterableDataset
from torch.utils.data.dataloader import _InfiniteConstantSampler
from torch.utils.data.distributed import DistributedSampler

from fastload.engine import GeneratorStates, as_they_were
from fastload.resume.stateful_protocol import keeps_state


@dataclass(frozen=True)
class Sampling:
    """What decides which samples come next, as a loader has it now.

    Attributes:
        rng: the loader's.
        seed: of ``rng="index"``.
        dataset: the loader's.
        in_batches: whether it gives batches, not single samples.
        num_workers: the loader's.
        batch_sampler, sampler: the loader's; without batches the first is None.
        own: the generators that the loader and these were given.
    """

    rng: str
    seed: int
    dataset: Any
    in_batches: bool
    num_workers: int
    batch_sampler: Any
    sampler: Any
    own: list[torch.Generator]

    @classmethod
    def of(cls, loader: torch.utils.data.DataLoader[Any], rng: str, seed: int) -> Sampling:
        """As the loader has them now."""
        sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
        holders = (loader, loader.sampler, loader.batch_sampler, sampler)
        generators = (getattr(holder, "generator", None) for holder in holders)
        own = {id(generator): generator for generator in generators if isinstance(generator, torch.Generator)}
        return cls(
            rng,
            seed,
            loader.dataset,
            loader._auto_collation,
            loader.num_workers,
            loader.batch_sampler,
            sampler,
            list(own.values()),
        )

    @property
    def style(self) -> str:
        """What kind of data set the loader has, and what it makes of the samples."""
        style = "iterable" if isinstance(self.dataset, IterableDataset) else "map"
        return f"{style}-style, {'batches' if self.in_batches else 'single samples'}"

    @property
    def sampler_name(self) -> str:
        """What kind of sampler gives the indices."""
        return f"{type(self.sampler).__module__}.{type(self.sampler).__qualname__}"

    @property
    def length(self) -> int | None:
        """Of a map-style data set that tells it."""
        if isinstance(self.dataset, IterableDataset):
            return None
        try:
            return len(self.dataset)
        except (TypeError, NotImplementedError):
            return None

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

    def batches_of(self, samples: Iterator[Any]) -> Iterator[Any]:
        """As the plain batch sampler has them."""
        return iter(BatchSampler(samples, self.batch_sampler.batch_size, self.batch_sampler.drop_last))

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
            return self.batches_of(rest), rest
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
            batches = self.batches_of(samples)
        else:
            batches = samples = iter(self.sampler if self.batch_sampler is None else self.batch_sampler)
        if "iterator" in kept:
            if not keeps_state(samples):
                raise ValueError("the state holds that of a sampler's iterator, but here the iterator keeps none")
            samples.load_state_dict(kept["iterator"])
        return batches, samples

    def _rest_of_samples(self, state: dict[str, Any]) -> Any:
        sampler, given, ranks = self.sampler, state["samples"], self.replicas
        if not isinstance(sampler, DistributedSampler) or (ranks == state["num_replicas"] and given % ranks == 0):
            return _after(iter(sampler), given // ranks, "samples")
        # Another number of ranks: what all of them together have still to give is dealt out anew.
        whole: DistributedSampler[Any] = DistributedSampler(sampler.dataset, 1, 0, sampler.shuffle, sampler.seed)
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
