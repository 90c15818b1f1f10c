"""Which blocks of shared memory are whose: one byte each, in memory that a loader and its workers share.

A byte is written only by the side that it belongs to, which gives it away by that::

    none ──▶ free ──▶ lent ──▶ free          the worker makes a block, sends it, and gets it back
                      lent ──▶ gone ──▶ none  its holder keeps it: both sides let go of it
             free ──▶ dropped ──▶ none        the worker needs it no more: the loader lets go of it, too
"""

from __future__ import annotations

import ctypes
import resource
import sys

import numpy as np
import torch
import torch.multiprocessing
from torch.multiprocessing import reductions

from fastload.engine import can_tell

NONE, FREE, GONE = 0, 1, 2  # the worker's
LENT, DROPPED = 3, 4  # the loader's

# Of descriptors, which are one for each block, blocks take no more than this share; and of blocks nobody needs more.
_SHARE_OF_DESCRIPTORS = 1 / 8
_MOST_BLOCKS = 64


class BlockTable:
    """The bytes of all blocks of one iterator; goes to its workers by fork or pickle.

    Attributes:
        token: tells the iterators of a process apart.
    """

    def __init__(self, token: int, workers: int, blocks: int) -> None:
        self.token = token
        self._blocks = blocks
        self._states = torch.UntypedStorage._new_shared(workers * blocks)  # zeros: NONE

    def of_worker(self, worker: int) -> np.ndarray:
        """uint8 [blocks]. It lives as long as the table."""
        memory = ctypes.c_uint8 * self._blocks  # no tensor: modes of torch have no say
        address = self._states.data_ptr() + worker * self._blocks
        return np.frombuffer(memoryview(memory.from_address(address)), np.uint8)


def blocks_of_each_worker(workers: int) -> int:
    """How many a worker may have; 0 where shared memory is not to be used again."""
    if not sys.platform.startswith("linux") or not can_tell() or not hasattr(torch.UntypedStorage, "_new_using_fd_cpu"):
        return 0
    if workers < 1 or torch.multiprocessing.get_sharing_strategy() != "file_descriptor":
        return 0
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return _MOST_BLOCKS
    return min(_MOST_BLOCKS, int(descriptors * _SHARE_OF_DESCRIPTORS) // workers)


def was_shared_again(key: tuple[int, int]) -> bool:
    """Whether this process has sent that memory (inode and device of its descriptor) anywhere by torch's own means."""
    known = reductions.shared_cache.get(key)
    return known is not None and not known.expired()
