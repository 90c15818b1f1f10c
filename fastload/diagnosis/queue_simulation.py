"""Batches on their way from workers to a training loop, as torch's loader has them."""

from __future__ import annotations

from collections.abc import Sequence


def loop_seconds(making: Sequence[float], working: Sequence[float], workers: int, ahead: int) -> float:
    """How long a loop takes over batches that take so long to make and to train with, in seconds each.

    Batch k is worker k % workers's; it is asked for when batch k - ahead has been taken; batches are taken in order.
    """
    free = [0.0] * workers
    taken: list[float] = []
    now = 0.0
    for k, (make, work) in enumerate(zip(making, working, strict=True)):
        asked = taken[k - ahead] if k >= ahead else 0.0
        done = max(free[k % workers], asked) + make
        free[k % workers] = done
        now = max(now, done)
        taken.append(now)
        now += work
    return now
