"""The generators of a worker as native draws have them, without a worker: seeded as it would be, or as a state holds them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data._utils.worker import _generate_state

from fastload import _core
from fastload.engine import streams_from_json

SEEDS = 2**64  # that torch takes


@dataclass(frozen=True)
class WorkerSeeds:
    """What the generators of one worker are seeded with.

    Attributes:
        torch: in 64 bits.
        python, numpy: an int; for numpy also a list of them; None: that is not known.
    """

    torch: int
    python: int | None
    numpy: int | tuple[int, ...] | None

    @classmethod
    def of(cls, base_seed: int, worker: int, recipe: _core.Recipe | None) -> WorkerSeeds:
        """As torch seeds it. numpy's is worked out only for a recipe that draws from there."""
        seed = base_seed + worker
        draws_numpy = recipe is not None and recipe.draws_numpy
        return cls(seed % SEEDS, seed, tuple(_generate_state(base_seed, worker)) if draws_numpy else None)

    def that_count(self, recipe: _core.Recipe | None) -> tuple[Any, ...] | None:
        """Those of generators that a recipe draws from; None: not all of them are known."""
        counts = [self.torch]
        if recipe is not None and recipe.draws_python:
            counts.append(self.python)  # type: ignore[arg-type]
        if recipe is not None and recipe.draws_numpy:
            counts.append(self.numpy)  # type: ignore[arg-type]
        return None if None in counts else tuple(counts)

    def streams(self, recipe: _core.Recipe) -> _core.Streams:
        """The generators that the recipe draws from, seeded so."""
        python: Any = None
        numpy: Any = None
        if recipe.draws_python:
            python = random.Random(self.python).getstate()
        if recipe.draws_numpy:
            numpy = np.random.RandomState(self.numpy).get_state(legacy=False)
        return _core.Streams(_core.Mt19937(self.torch & 0xFFFFFFFF), python=python, numpy=numpy)


def streams_where_left(kept: Any, recipe: _core.Recipe) -> _core.Streams:
    """The generators of a worker as a state holds them.

    Raises:
        ValueError: it holds none for a recipe that draws from Python's or numpy's.
    """
    streams = streams_from_json(kept)
    for name, draws, state in (
        ("Python's random", recipe.draws_python, streams.python),
        ("numpy's generator", recipe.draws_numpy, streams.numpy),
    ):
        if draws and state is None:
            raise ValueError(f"the transforms draw from {name}, whose state was not saved: then they did not")
    return streams
