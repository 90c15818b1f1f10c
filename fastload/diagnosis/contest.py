"""Whether one setting is faster than another, from rates that were measured in turn: by more than the noise, or not."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_GAIN = 0.01  # less than a hundredth is none
_CLEAR = 4.0  # times the noise: no further round is needed


@dataclass(frozen=True)
class Gain:
    """Of one over the other: ``median`` and ``noise`` are relative, 0.1 for a tenth."""

    median: float
    noise: float

    @property
    def is_one(self) -> bool:
        """Whether it is more than the noise."""
        return self.median > max(LEAST_GAIN, self.noise)

    @property
    def is_clear(self) -> bool:
        """Whether further rounds would hardly say anything else."""
        return abs(self.median) > _CLEAR * max(LEAST_GAIN, self.noise)


def gain(before: Sequence[float], after: Sequence[float]) -> Gain:
    """From rates of the same rounds, pair by pair: the median of their ratios, and half their range over the root of their number.

    From one round alone the noise is taken to be a tenth.
    """
    ratios = [math.log(new / old) for old, new in zip(before, after, strict=False) if old > 0 and new > 0]
    if not ratios:
        return Gain(0.0, math.inf)
    noise = 0.1 if len(ratios) == 1 else (max(ratios) - min(ratios)) / 2 / math.sqrt(len(ratios))
    return Gain(math.exp(statistics.median(ratios)) - 1, noise)
