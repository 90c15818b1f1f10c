"""The universal scalability law: how a rate grows with the number of workers, and where it stops growing.

N. Gunther, "A Simple Capacity Model of Massively Parallel Transaction Systems" (1993):
rate(n) = r n / (1 + s (n - 1) + k n (n - 1)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def fitted(rates: Sequence[Sequence[float]]) -> dict[str, float] | None:
    """The law through (n, rate) pairs; None from under three.

    ``rate`` of one, ``contention`` s, ``crosstalk`` k, ``knee``: the best n of those between.

    n / rate is linear in 1, n - 1 and n (n - 1): least squares, none of the three below zero, each point by its relative error.
    """
    points = [(n, rate) for n, rate in rates if n > 0 and rate > 0]
    if len(points) < 3:
        return None
    n = np.array([point[0] for point in points], float)
    y = n / np.array([point[1] for point in points], float)
    terms = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1) / y[:, None]
    kept = [0, 1, 2]
    solution = np.zeros(3)
    while kept:
        part, *_ = np.linalg.lstsq(terms[:, kept], np.ones_like(n), rcond=None)
        if (part >= 0).all():
            solution[:] = 0.0
            solution[kept] = part
            break
        kept.remove(kept[int(np.argmin(part))])
    base, contention, crosstalk = solution
    if base <= 0:
        return None
    contention, crosstalk = contention / base, crosstalk / base
    most = float(n.max())
    knee = math.sqrt((1 - contention) / crosstalk) if crosstalk > 1e-9 and contention < 1 else most
    return {
        "rate": float(1 / base),
        "contention": float(contention),
        "crosstalk": float(crosstalk),
        "knee": float(max(1.0, min(knee, most))),
    }


def rate_at(fit: dict[str, float], n: float) -> float:
    """Of a fitted law."""
    return fit["rate"] * n / (1 + fit["contention"] * (n - 1) + fit["crosstalk"] * n * (n - 1))
