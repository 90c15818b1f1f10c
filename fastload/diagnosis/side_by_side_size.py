"""How much to compare: so many images that it is done in time, in batches that torch's workers have room for."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Dataset

from fastload.diagnosis.side_by_side import data_sets
from fastload.machine import shared_memory

IMAGES_A_WORKER = 800  # at most; of each an epoch then takes some seconds
MOST_IN_BATCH = 64
_BATCHES = 8  # an epoch has so many at least
_TRIED_S = 0.7
_TRIED = 24
_OURS = 0.4  # of torch's time: more than fastload takes of it
_IMAGE_BYTES = 3 * 224 * 224 * 4


@dataclass(frozen=True)
class Size:
    """Images an epoch, and images a batch; ``why`` the batches are smaller than they might be, if they are."""

    images: int
    batch_size: int
    why: str


def size_for(folder: str, recipe: str, *, seconds: float, runs: int, workers: int) -> Size:
    """What a comparison over a folder has time for, from some of its images, loaded as torch's loader loads them.

    Args:
        folder, recipe: as for :class:`SideBySide`.
        seconds: for one epoch that is compared and ``runs`` that are timed.
        workers: of torch's, at least 1.

    Raises:
        ValueError: there are no images.
    """
    plain, _, _ = data_sets(folder, recipe, _TRIED)
    each = _seconds_an_image(plain) / workers
    images = min(IMAGES_A_WORKER * workers, max(_BATCHES, math.floor(seconds / (each * (1 + _OURS) * (1 + runs)))))
    batch_size = min(MOST_IN_BATCH, images // _BATCHES)
    room = _room_for_batches(workers)
    if room >= batch_size:
        return Size(images, batch_size, "")
    return Size(images, max(1, room), "torch's workers have no room for larger ones in /dev/shm; fastload needs none")


def _seconds_an_image(images: Dataset[Any]) -> float:
    """The first one is not counted: with it, torch sets itself up."""
    began, tried = 0.0, -1
    while tried < 1 or (tried < _TRIED and time.perf_counter() - began < _TRIED_S):
        with contextlib.suppress(Exception):  # a file that is bad: the comparison names it
            images[(tried + 1) % len(images)]  # type: ignore[arg-type]
        tried += 1
        if tried == 0:
            began = time.perf_counter()
    return (time.perf_counter() - began) / tried


def _room_for_batches(workers: int) -> int:
    """Images a batch, such that /dev/shm holds what torch's workers have made and nobody has taken: two batches each, and some."""
    free, size = shared_memory()
    return free // (_IMAGE_BYTES * (2 * workers + 3)) if size else MOST_IN_BATCH
