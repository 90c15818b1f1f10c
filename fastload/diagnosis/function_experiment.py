"""The loader alone without its costliest transform: in its place stands what gives its earlier results and takes no time.

The rest of a batch as a run has it would be too much: what follows a wait, or much other work, is slower than it is alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import IterableDataset

from fastload.diagnosis.fetch_stages import ITEM, TRANSFORM
from fastload.diagnosis.loader_experiment import on_native_threads, rate_now, warmed
from fastload.diagnosis.stage_clock import StageClock, run
from fastload.diagnosis.stage_hooks import StageHooks, layers, name_of

_ITEMS, _FEWEST = 16, 3
_LEAST = 0.2  # of an item's time
_LOOKING = 0.2  # of the time; as much for what was given, and for reading files


def without_costliest(loader: Any, seconds: float) -> dict[str, Any] | None:
    """Changes the data set's transforms: to be called in a process that is nobody else's.

    Returns:
        ``function``: its name; ``workers`` (or threads) and ``rate``: their images a second. None where no transform takes a fifth
        of an item, or it stands where it cannot be replaced.
    """
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset) or on_native_threads(loader):  # these call no transform of Python's
        return None
    began = time.monotonic()
    chosen = random.Random(0).sample(range(len(dataset)), min(len(dataset), _ITEMS))
    name = _costliest(dataset, chosen, began + _LOOKING * seconds)
    places = [(owner, key) for owner, key, step in _steps(dataset) if name_of(step) == name]
    if name is None or len(places) != 1:
        return None
    owner, key = places[0]
    given = _Given(_got(owner, key))
    _put(owner, key, given)
    for count, index in enumerate(chosen):
        if count >= _FEWEST and time.monotonic() > began + 2 * _LOOKING * seconds:
            break
        dataset[index]
    if not given.results:
        return None
    given.is_free = True
    samples = warmed(dataset, _LOOKING * seconds) or range(len(dataset))
    workers, rate = rate_now(loader, samples, max(0.0, began + seconds - time.monotonic()))
    return {"function": name, "workers": workers, "rate": rate}


def _costliest(dataset: Any, indices: Sequence[int], until: float) -> str | None:
    """The name of the transform that takes most of an item, if that is much."""
    clock = StageClock()
    run(clock)
    try:
        with StageHooks(dataset, native=False).in_place():
            for count, index in enumerate(indices):
                if count >= _FEWEST and time.monotonic() > until:
                    break
                clock.enter(ITEM)
                dataset[index]
                clock.leave()
    finally:
        run(None)
    took = {stage: wall for stage, (wall, _, _) in clock.stages.items()}
    transforms = [stage for stage in took if stage.startswith(TRANSFORM)]
    most = max(transforms, key=lambda stage: took[stage], default=None)
    if most is None or took[most] < _LEAST * sum(took.values()):
        return None
    return most.removeprefix(TRANSFORM)


def _steps(dataset: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Each transform of a data set and the data sets in it: (who has it, as which attribute or item, itself)."""
    seen: set[int] = set()
    for layer in layers(dataset):
        own = getattr(layer, "__dict__", {})
        for attribute in ("transform", "transforms", "target_transform", "augment", "augmentation"):
            value = own.get(attribute)
            inner = getattr(value, "__dict__", {}).get("transforms")
            if id(inner) in seen or not callable(value):
                continue
            if type(inner) is list:
                seen.add(id(inner))
                yield from ((inner, place, step) for place, step in enumerate(inner))
            elif not type(value).__module__.startswith(("torchvision.", "fastload.")):
                yield layer, attribute, value


def _got(owner: Any, key: Any) -> Any:
    return owner[key] if isinstance(owner, list) else getattr(owner, key)


def _put(owner: Any, key: Any, value: Any) -> None:
    if isinstance(owner, list):
        owner[key] = value
    else:
        setattr(owner, key, value)


class _Given:
    """A transform whose results are kept; once it is free, one of them after the other."""

    def __init__(self, transform: Any) -> None:
        self._transform = transform
        self.results: list[Any] = []
        self.is_free = False
        self._turn = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_free:
            self._turn += 1
            return self.results[self._turn % len(self.results)]
        result = self._transform(*args, **kwargs)
        self.results.append(result)
        return result
