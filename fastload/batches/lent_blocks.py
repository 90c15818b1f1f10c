"""In the loader: blocks of its workers' shared memory that came as batches, and go back when nobody holds them any more."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from typing import Any

import torch

from fastload.batches.block_table import DROPPED, FREE, GONE, NONE, BlockTable, blocks_of_each_worker, was_shared_again
from fastload.engine import Lender, as_tensors_have_it, is_as_it_was, is_forking, is_held, tell_of_forks

# Batches beside those under way that a consumer may hold while their blocks are waited for.
_HELD_BATCHES = 3

_tokens = itertools.count(1)
_iterators: weakref.WeakValueDictionary[int, LentBlocks] = weakref.WeakValueDictionary()


class LentBlocks(Lender):
    """Of one iterator. Blocks arrive on the thread that unpickles batches, torch's pinning thread say.

    Attributes:
        table: for the workers.
    """

    def __init__(self, table: BlockTable, workers: int, ahead: int) -> None:
        self.table = table
        self._states = [table.of_worker(worker) for worker in range(workers)]
        self._remembered_turns = ahead + _HELD_BATCHES
        self._storages: dict[tuple[int, int], tuple[torch.UntypedStorage, int, int]] = {}  # by worker and slot
        self._keys: dict[tuple[int, int], tuple[int, int]] = {}
        self._lent: dict[tuple[int, int], int] = {}  # with the turn in which it came
        self._turn = 0
        self._made = self._used_again = 0
        self._pid = os.getpid()
        self._lock = threading.RLock()  # a collection may come back here
        _iterators[table.token] = self
        tell_of_forks(self)

    @classmethod
    def for_iterator(cls, workers: int, prefetch_factor: int | None) -> LentBlocks | None:
        """None where memory is not to be used again, or there is none."""
        blocks = blocks_of_each_worker(workers)
        if blocks == 0:
            return None
        try:
            table = BlockTable(next(_tokens), workers, blocks)
        except (OSError, RuntimeError):
            return None
        return cls(table, workers, workers * (prefetch_factor or 2))

    def arrived(self, worker: int, slot: int, nbytes: int, descriptor: Any) -> torch.UntypedStorage:
        """The memory of a block that a worker has sent; ``descriptor`` is there the first time."""
        place = worker, slot
        with self._lock:
            if descriptor is not None:
                number = descriptor.detach()
                try:
                    found = os.fstat(number)
                    made = torch.UntypedStorage._new_shared_fd_cpu(number, nbytes)  # type: ignore[attr-defined]
                    storage = as_tensors_have_it(made)
                finally:
                    os.close(number)
                self._storages[place] = storage, storage.data_ptr(), nbytes
                self._keys[place] = found.st_ino, found.st_dev
                self._made += 1
            else:
                self._used_again += 1
            self._lent[place] = self._turn
            return self._storages[place][0]

    def next_turn(self) -> tuple[int, int]:
        """When a batch is asked for. What was made and what was used again since the last time."""
        if self._pid != os.getpid():  # the lock may be held by a thread that stayed in the parent
            return 0, 0
        with self._lock:
            self._turn += 1
            self.reclaim()
            counts = self._made, self._used_again
            self._made = self._used_again = 0
            return counts

    def reclaim(self) -> None:
        """Gives back what nobody holds. What is held for too long is its holder's for good."""
        with self._lock:
            for place, turn in list(self._lent.items()):
                held = is_held(self._storages, place)
                if is_forking():  # asked last: what was held when the fork began may have been dropped since
                    return
                if held:
                    if turn < self._turn - self._remembered_turns:
                        self._give(place, GONE)
                elif is_as_it_was(self._storages, place) and not was_shared_again(self._keys[place]):
                    self._give(place, FREE)
                else:
                    self._give(place, GONE)
            for worker, slot in list(self._storages):
                if self._states[worker][slot] == DROPPED:
                    self._forget((worker, slot))
                    self._states[worker][slot] = NONE

    def was_forked(self) -> None:
        with self._lock:
            for place in list(self._lent):
                self._give(place, GONE)

    def _give(self, place: tuple[int, int], state: int) -> None:
        del self._lent[place]
        if state == GONE:
            self._forget(place)
        self._states[place[0]][place[1]] = state

    def _forget(self, place: tuple[int, int]) -> None:
        del self._storages[place], self._keys[place]


def block_arrived(token: int, worker: int, slot: int, nbytes: int, descriptor: Any) -> torch.UntypedStorage:
    """Called by pickle in the process of the loader."""
    blocks = _iterators.get(token)
    if blocks is None:
        raise RuntimeError("a batch of a loader's worker was unpickled outside of its loader")
    return blocks.arrived(worker, slot, nbytes, descriptor)


def blocks_of(token: int) -> LentBlocks | None:
    """Of the iterator of this token, while it lives."""
    return _iterators.get(token)
