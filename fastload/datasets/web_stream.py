"""Images in tars that are read from beginning to end: shards too many to index, compressed ones, commands, standard input."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info
from torchvision.datasets.vision import StandardTransform

from fastload.datasets.images_of_samples import ImagesOfSamples
from fastload.engine import Encoded, load_sample, names_files
from fastload.remote import redacted
from fastload.reports import FastloadWarning
from fastload.shards import STANDARD_INPUT, LeftOut, StreamSample, TarError, TarFields, stream_tar, summary_of, unclosed

# Items are made so many at a time, on the worker's share of the cores.
_ITEMS_AT_ONCE = 32


class _Images(ImagesOfSamples):
    """A few samples in memory."""

    def __init__(self, transform: Any, target_transform: Any, has_targets: bool) -> None:
        self.samples: list[tuple[Encoded, Any]] = []
        self.transform = transform
        self.target_transform = target_transform
        self.has_targets = has_targets
        self.loader = load_sample


names_files(_Images)


class WebStream(IterableDataset[Any]):
    """What :meth:`WebDataset.stream` gives.

    Each epoch the shards are shuffled, then dealt to the ranks and their workers; each shuffles what it reads in a buffer. Where
    there are fewer shards than workers of all ranks, each reads all shards and takes its share of their samples. Order and random
    numbers of torch in transforms depend on seed, epoch, rank and worker alone.

    **Equal steps.** Shards hold different numbers of samples, so the ranks' shares differ, and in distributed training the others
    would wait for ever for the first to end. So with several ranks the number of samples of an epoch is declared: each rank gives
    ``samples_per_epoch // world_size``; one whose shards hold fewer begins them again, one whose shards hold more leaves the rest.
    To stop all at the shortest would need a message at every step.

    ``state_dict()`` and ``load_state_dict()`` go on at the same sample; what lies before it is read again, but not decoded.
    """

    def __init__(
        self,
        shards: list[str],
        fields: TarFields,
        transform: Callable[[Any], Any] | None,
        target_transform: Callable[[Any], Any] | None,
        *,
        shuffle: bool,
        shuffle_buffer: int,
        seed: int,
        samples_per_epoch: int | None,
        rank: int | None,
        world_size: int | None,
    ) -> None:
        if shuffle_buffer < 1 or (samples_per_epoch is not None and samples_per_epoch < 1):
            raise ValueError("shuffle_buffer and samples_per_epoch are at least 1")
        in_group = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.world_size = (torch.distributed.get_world_size() if in_group else 1) if world_size is None else world_size
        self.rank = (torch.distributed.get_rank() if in_group else 0) if rank is None else rank
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank {self.rank} of {self.world_size}")
        if self.world_size > 1 and samples_per_epoch is None:
            raise ValueError(
                f"{self.world_size} ranks read different shards, which hold different numbers of samples: say "
                "samples_per_epoch, so that all ranks have as many batches (no rank then waits for one that has ended)"
            )
        if samples_per_epoch is not None and samples_per_epoch < self.world_size:
            raise ValueError(f"{samples_per_epoch} samples for {self.world_size} ranks: some would have none")
        self.shards, self.fields = shards, fields
        self.transform, self.target_transform = transform, target_transform
        self.shuffle, self.shuffle_buffer, self.seed = shuffle, shuffle_buffer, seed
        self.samples_per_epoch = samples_per_epoch
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()  # workers that live on see it
        self._given = 0
        self._skip = 0

    def __repr__(self) -> str:
        """In torchvision's form."""
        first, last = redacted(self.shards[0]), redacted(self.shards[-1])
        where = f"{first} … {last}" if len(self.shards) > 1 else first
        lines = [
            f"Number of datapoints: {'not known' if self.samples_per_epoch is None else self.samples_per_epoch}",
            f"Root location: {where} ({len(self.shards)} shards, rank {self.rank} of {self.world_size})",
        ]
        if self.transform is not None or self.target_transform is not None:
            lines.append(repr(StandardTransform(self.transform, self.target_transform)))
        return "\n".join(["Dataset WebDataset.stream", *(f"    {line}" for line in lines)])

    def set_epoch(self, epoch: int) -> None:
        """Before each epoch, as of a DistributedSampler; else all are in one order."""
        self._epoch[0] = epoch

    def state_dict(self) -> dict[str, Any]:
        """Of the process that iterates."""
        return {"epoch": int(self._epoch), "given": self._given, "consumer": list(self._consumer())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next iteration goes on there. Raises ValueError for the state of another rank or number of workers."""
        if state["consumer"] != list(self._consumer()):
            raise ValueError(
                f"a state of worker {state['consumer']} of a stream cannot go on as {list(self._consumer())}"
            )
        self._epoch[0] = state["epoch"]
        self._skip = int(state["given"])

    def __iter__(self) -> Iterator[Any]:
        skip, self._skip, self._given = self._skip, 0, self._skip
        images = _Images(self.transform, self.target_transform, bool(self.fields.targets))
        epoch, (number, _) = int(self._epoch), self._consumer()
        chunk: list[StreamSample] = []
        at = 0

        def made() -> Iterator[Any]:
            nonlocal at
            first, at = at, at + len(chunk)
            if at <= skip:
                return
            images.samples = [(Encoded(one.data, f"{one.shard}, sample {one.name}"), one.target) for one in chunk]
            before = torch.get_rng_state()
            torch.default_generator.manual_seed(self._random("items", epoch, number, first).getrandbits(63))
            try:
                items = images.__getitems__(list(range(len(chunk))))
            finally:
                torch.set_rng_state(before)
            for item in items[max(skip - first, 0) :]:
                self._given += 1
                yield item

        for sample in self._shuffled(epoch):
            chunk.append(sample)
            if len(chunk) == _ITEMS_AT_ONCE:
                yield from made()
                chunk = []
        if chunk:
            yield from made()

    def _consumer(self) -> tuple[int, int]:
        """This worker among those of all ranks, and how many there are."""
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return self.rank * workers + number, self.world_size * workers

    def _random(self, *words: Any) -> random.Random:
        return random.Random(repr((self.seed, *words)))

    def _quota(self) -> int | None:
        """How many samples this worker gives in an epoch; None: what there is."""
        if self.samples_per_epoch is None:
            return None
        number, consumers = self._consumer()
        workers = consumers // self.world_size
        of_rank = self.samples_per_epoch // self.world_size
        return of_rank // workers + (number % workers < of_rank % workers)

    def _shuffled(self, epoch: int) -> Iterator[StreamSample]:
        number, _ = self._consumer()
        rng = self._random("buffer", epoch, number)
        held: list[StreamSample] = []
        for sample in self._read(epoch):
            if not self.shuffle:
                yield sample
                continue
            if len(held) < self.shuffle_buffer:
                held.append(sample)
                continue
            place = rng.randrange(len(held))
            held[place], sample = sample, held[place]
            yield sample
        rng.shuffle(held)
        yield from held

    def _read(self, epoch: int) -> Iterator[StreamSample]:
        """This worker's samples of the epoch, as they lie."""
        number, consumers = self._consumer()
        if consumers > 1 and STANDARD_INPUT in self.shards:
            raise ValueError(
                f"standard input can be read once, not by {consumers} workers: num_workers=0 or 1, and one rank"
            )
        quota, left_out, given = self._quota(), LeftOut(), 0
        while quota != given:
            before = given
            for sample in self._once(epoch, number, consumers, left_out):
                yield sample
                given += 1
                if given == quota:
                    break
            if quota is None:
                break
            if given == before:
                raise TarError(
                    f"no sample for worker {number} of {consumers} in {len(self.shards)} shards, {redacted(self.shards[0])} …"
                )
        if said := summary_of([left_out.facts()]):
            warnings.warn(f"WebDataset.stream leaves samples out: {said}", FastloadWarning, stacklevel=2)
        if left_out.unclosed:
            warnings.warn(unclosed(list(left_out.unclosed)), FastloadWarning, stacklevel=2)

    def _once(self, epoch: int, number: int, consumers: int, left_out: LeftOut) -> Iterator[StreamSample]:
        shards = list(self.shards)
        if self.shuffle:
            self._random("shards", epoch).shuffle(shards)
        if len(shards) >= consumers:
            for shard in shards[number::consumers]:
                yield from stream_tar(shard, self.fields, left_out)
            return
        workers, seen = consumers // self.world_size, 0
        for shard in shards:
            for sample in stream_tar(shard, self.fields, left_out):
                if (seen % self.world_size, seen // self.world_size % workers) == divmod(number, workers):
                    yield sample
                seen += 1
