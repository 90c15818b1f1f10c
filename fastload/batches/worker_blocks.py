"""In a worker: blocks of shared memory that batches are written into, used again when neither side holds them any more.

Fresh shared memory is dear: of a sample of 600 KB its first touch took 340 microseconds, used memory takes 30. To hand over its
descriptor takes a socket with a handshake, half a millisecond on each side for each tensor. So a block goes over once, and then by
its number alone.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.reduction import DupFd, ForkingPickler
from typing import Any

import torch
from torch.multiprocessing import reductions
from torch.utils.data._utils.collate import collate_tensor_fn

from fastload import _core
from fastload.batches.block_table import DROPPED, FREE, GONE, LENT, NONE, BlockTable, was_shared_again
from fastload.batches.lent_blocks import block_arrived
from fastload.engine import Lender, as_tensors_have_it, is_as_it_was, is_forking, is_held, tell_of_forks

# A block is made only while so many times its size is free: what is kept must not be what others lack.
_ROOM = 16
_SHARED_MEMORY = "/dev/shm"
_TAKES_A_WINDOW = 32


@dataclass
class _Block:
    key: tuple[int, int]  # of its descriptor
    descriptor: int
    is_known: bool = False  # to the loader
    is_sent: bool = False  # since it was taken
    is_childs: bool = False  # a process forked from this one may hold it


class WorkerBlocks(Lender):
    """Of one worker, not of a process forked from it. Taken by the thread that makes batches, sent by the one that pickles them."""

    def __init__(self, table: BlockTable, worker: int) -> None:
        self._table, self._worker = table, worker
        self._states = table.of_worker(worker)
        self._storages: dict[int, tuple[torch.UntypedStorage, int, int]] = {}  # by slot: with its address and bytes
        self._blocks: dict[int, _Block] = {}  # by slot, the longest unused first
        self._lock = threading.RLock()
        self._most = [0, 0]  # bytes in use at a time, in this window of takes and the one before
        self._takes = 0
        self._is_inherited = False
        tell_of_forks(self)

    def take(self, nbytes: int) -> torch.UntypedStorage | None:
        """A block of exactly this size, with anything in it; None: today there is none, make it as torch does."""
        if self._is_inherited:
            return None
        with self._lock:
            if nbytes <= 0:
                return None
            self._let_go()
            unheld = [slot for slot in self._blocks if self._is_unheld(slot)]
            if is_forking():  # asked last: what was held when the fork began may have been dropped since
                return None
            fitting = [slot for slot in unheld if self._storages[slot][2] == nbytes]
            self._make_room(nbytes, unheld, bool(fitting))
            slot = fitting[-1] if fitting else self._make(nbytes)
            if slot is None:
                return None
            block = self._blocks[slot] = self._blocks.pop(slot)  # the last used
            block.is_sent = False
            return self._storages[slot][0]

    def send(self, storage: torch.UntypedStorage) -> Any:
        """As pickle's reducers. A block that was sent before, and has not come back, goes the way of all others."""
        if self._is_inherited:
            return None
        with self._lock:
            slot = next((slot for slot, kept in self._storages.items() if kept[0] is storage), None)
            if slot is None or self._blocks[slot].is_sent:
                return None
            block = self._blocks[slot]
            descriptor = None if block.is_known else DupFd(block.descriptor)
            block.is_known = block.is_sent = True
            self._states[slot] = LENT
            return block_arrived, (self._table.token, self._worker, slot, self._storages[slot][2], descriptor)

    def descriptor_of(self, storage: torch.UntypedStorage) -> int:
        """Of a block that was taken, and not sent since."""
        with self._lock:
            return next(self._blocks[slot].descriptor for slot, kept in self._storages.items() if kept[0] is storage)

    def will_be_forked(self) -> None:
        _core.Column.set_all_apart()

    def is_inherited(self) -> None:
        self._is_inherited = True

    def was_forked(self) -> None:
        with self._lock:
            for slot, block in self._blocks.items():
                block.is_childs = block.is_childs or is_held(self._storages, slot)

    def _let_go(self) -> None:
        """Of blocks that somebody keeps, here or there."""
        for slot in list(self._blocks):
            block = self._blocks[slot]
            if self._states[slot] == GONE:
                self._drop(slot, NONE)
            elif self._states[slot] == FREE and (block.is_childs or was_shared_again(block.key)):
                self._drop(slot, DROPPED if block.is_known else NONE)

    def _is_unheld(self, slot: int) -> bool:
        return self._states[slot] == FREE and not is_held(self._storages, slot) and is_as_it_was(self._storages, slot)

    def _make_room(self, nbytes: int, unheld: list[int], fits: bool) -> None:
        """Sizes come and go: all blocks are no more than half as much again as was in use of late."""
        total = sum(kept[2] for kept in self._storages.values())
        in_use = total - sum(self._storages[slot][2] for slot in unheld) + nbytes
        self._takes += 1
        if self._takes >= _TAKES_A_WINDOW:
            self._most, self._takes = [0, self._most[0]], 0
        self._most[0] = max(self._most[0], in_use)
        allowed = max(self._most) * 3 // 2
        total += 0 if fits else nbytes
        for slot in unheld:
            if total > allowed and self._storages[slot][2] != nbytes:
                total -= self._storages[slot][2]
                self._drop(slot, DROPPED if self._blocks[slot].is_known else NONE)

    def _make(self, nbytes: int) -> int | None:
        slot = next((slot for slot in range(len(self._states)) if self._states[slot] == NONE), None)
        try:
            memory = os.statvfs(_SHARED_MEMORY)
            if slot is None or memory.f_bavail * memory.f_frsize < nbytes * _ROOM:
                return None
            storage = as_tensors_have_it(torch.UntypedStorage._new_using_fd_cpu(nbytes))
            descriptor, _ = storage._share_fd_cpu_()
        except (OSError, RuntimeError):  # no memory, no descriptors
            return None
        found = os.fstat(descriptor)
        self._storages[slot] = storage, storage.data_ptr(), nbytes
        self._blocks[slot] = _Block((found.st_ino, found.st_dev), descriptor)
        self._states[slot] = FREE
        return slot

    def _drop(self, slot: int, state: int) -> None:
        del self._storages[slot], self._blocks[slot]
        self._states[slot] = state


class _ThisThread(threading.local):
    sends: WorkerBlocks | None = None


_this_thread = _ThisThread()
_of_this_worker: WorkerBlocks | None = None


def use_blocks(table: BlockTable, worker: int) -> None:
    """In a worker, before anything of the user's: what default_collate stacks is stacked into blocks from now on."""
    global _of_this_worker
    _of_this_worker = WorkerBlocks(table, worker)
    ForkingPickler.register(torch.UntypedStorage, _reduce_storage)
    torch.UntypedStorage._new_shared = classmethod(_new_shared_over(torch.UntypedStorage._new_shared))  # type: ignore[method-assign,assignment]


def blocks_of_this_worker() -> WorkerBlocks | None:
    """None in all other processes."""
    return _of_this_worker


def send_blocks_from_this_thread() -> None:
    """It pickles what goes to the loader, and nothing else. Other queues of the user's send memory as torch does."""
    _this_thread.sends = _of_this_worker


def _reduce_storage(storage: torch.UntypedStorage) -> Any:
    sent = _this_thread.sends.send(storage) if _this_thread.sends is not None else None
    return reductions.reduce_storage(storage) if sent is None else sent


def _new_shared_over(torchs: Any) -> Callable[..., torch.UntypedStorage]:
    """For collate_tensor_fn, which writes every byte of it; others may rely on its being empty."""

    def _new_shared(cls: Any, size: int, *, device: Any = "cpu") -> torch.UntypedStorage:
        block = None
        if _of_this_worker is not None and torch.device(device).type == "cpu" and _is_for_collate():
            block = _of_this_worker.take(size)
        return torchs(size, device=device) if block is None else block

    return _new_shared


def _is_for_collate() -> bool:
    """Whether collate_tensor_fn has asked a typed storage, which has asked _new_shared above."""
    return sys._getframe(3).f_code is collate_tensor_fn.__code__
