"""A worker_init_fn that does nothing but seed generators -> what each worker's generators are seeded with, without a worker.

Such are PyTorch's own example (its page on reproducibility), Lightning's and timm's. They are not run: their code is read. Python's
and numpy's generator count only for recipes that draw from them.
"""

from __future__ import annotations

import logging
import random
import typing
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
import torch.utils.data

from fastload import _core
from fastload.batches.worker_streams import SEEDS, WorkerSeeds
from fastload.transforms import OPERATORS as _OPERATORS
from fastload.transforms import Method, NotCertain, World, function_of, run

_NUMPY_SEEDS = 2**32
# As they are when this is imported.
_INITIAL_SEED, _MANUAL_SEED, _NUMPY_SEED = torch.initial_seed, torch.manual_seed, np.random.seed
_NUMPY_STATE = np.random.get_state
_PYTHON_SEED, _WORKER_INFO, _SEQUENCE = random.seed, torch.utils.data.get_worker_info, np.random.SeedSequence
_WITHOUT_EFFECT = (torch.cuda.manual_seed, torch.cuda.manual_seed_all, torch.set_num_threads)
_TRIED = (0, 2**63 - 2**20)  # seeds that an epoch may have


def seeds_of_workers(
    worker_init_fn: Callable[[int], None] | None, base_seed: int, workers: int, recipe: _core.Recipe | None = None
) -> list[WorkerSeeds]:
    """What the generators of each worker are seeded with, those at least that the recipe draws from.

    Raises:
        NotCertain: the function may do more than to seed.
        ValueError: a seed is none that torch or numpy would take.
    """
    if worker_init_fn is None:
        return [WorkerSeeds.of(base_seed, worker, recipe) for worker in range(workers)]
    seeds = []
    for number in range(workers):
        worker = _Worker(number, workers, base_seed, recipe)
        function, args, kwargs = function_of(worker_init_fn, worker.saw)
        run(function, [*args, number], kwargs, worker)
        if worker.refused:
            raise ValueError(worker.refused)
        if not worker.has_seeded:
            raise NotCertain("it seeds nothing")
        seeds.append(WorkerSeeds(worker.seed, worker.python, worker.numpy))
    return seeds


def only_seeds(
    worker_init_fn: Callable[[int], None], workers: int, context: Any, recipe: _core.Recipe | None = None
) -> bool:
    """Whether that is all that it does, as far as anybody can see; ``context`` starts the workers.

    ``recipe``: what draws; of generators that it does not draw from the seeds do not matter.
    """
    try:
        own = _that_count(None, workers, recipe)
        seeds = _that_count(worker_init_fn, workers, recipe)
    except (NotCertain, ValueError):
        return False
    if None in seeds:
        return False
    # A process that is not forked has the variables that its modules begin with, and not those of now.
    return seeds == own or _start_method(context) == "fork" or _is_lightnings(worker_init_fn)


def _that_count(worker_init_fn: Callable[[int], None] | None, workers: int, recipe: _core.Recipe | None) -> list[Any]:
    tried = [seeds_of_workers(worker_init_fn, base, workers, recipe) for base in _TRIED]
    return [seeds.that_count(recipe) for of_epoch in tried for seeds in of_epoch]


def _start_method(context: Any) -> str:
    if context is None:
        context = torch.multiprocessing
    return str(context.get_start_method() or "")


def _is_lightnings(worker_init_fn: Any) -> bool:
    home = getattr(getattr(worker_init_fn, "func", worker_init_fn), "__module__", "") or ""
    return home.partition(".")[0] in ("lightning", "lightning_fabric", "pytorch_lightning")


class _Drawn:
    """A number that depends on the epoch's seed."""

    def __init__(self, value: int) -> None:
        self.value = value


class _Info:
    """What ``get_worker_info()`` gives."""


class _Words:
    """Of a SeedSequence, or of numpy's generator; ``made`` is what they are, None: that is not known."""

    def __init__(self, made: Any = None) -> None:
        self.made = made


class _Worker(World):
    """One worker process, as it begins.

    Attributes:
        seed: of torch's generator.
        python, numpy: of the other two; None: that is not known.
        has_seeded: whether any generator was seeded.
        refused: of a seed that a generator does not take; empty without one.
    """

    def __init__(self, number: int, workers: int, base_seed: int, recipe: _core.Recipe | None) -> None:
        super().__init__()
        own = WorkerSeeds.of(base_seed, number, recipe)
        self.seed, self.python, self.numpy = own.torch, own.python, own.numpy
        self.has_seeded = False
        self.refused = ""
        self._info = {"id": number, "num_workers": workers, "seed": _Drawn(self.seed)}

    def attribute(self, thing: Any, name: str) -> Any:
        if isinstance(thing, _Info) and name in self._info:
            return self._info[name]
        if isinstance(thing, _Words) or (isinstance(thing, logging.Logger) and name == "debug"):
            return Method(thing, name)
        if isinstance(thing, (_Drawn, _Info)):
            raise NotCertain(f"{name} of a worker's seed")
        return super().attribute(thing, name)

    def operate(self, sign: str, left: Any, right: Any) -> Any:
        if isinstance(left, _Words) and sign not in ("is", *_COMPARISONS[:-1]):
            return _Words()
        drawn = isinstance(left, _Drawn) or isinstance(right, _Drawn)
        if not drawn or sign == "is":
            return super().operate(sign, left, right)
        numbers = [one.value if isinstance(one, _Drawn) else one for one in (left, right)]
        if sign not in _OPERATORS or sign in _COMPARISONS or not all(type(one) is int for one in numbers):
            raise NotCertain("what is done depends on the seed")  # and may be something else tomorrow
        return _Drawn(_OPERATORS[sign](*numbers))

    def truth(self, value: Any) -> bool:
        if type(value).__name__ == "RequirementCache" and type(value).__module__.startswith("lightning"):
            return bool(value)
        return super().truth(value)

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any], depth: int) -> Any:
        values = [one.value if isinstance(one, _Drawn) else one for one in args]
        if isinstance(function, Method):
            return self._method(function, args)
        if kwargs and not isinstance(function, FunctionType | MethodType):
            raise NotCertain("named arguments")
        if function == _PYTHON_SEED:
            self._checked(values, None)
            self.python = values[0] if values and type(values[0]) is int else None
            return None
        if function == _NUMPY_SEED:
            self._checked(values, _NUMPY_SEEDS)
            self.numpy = _numpy_seed(values[0]) if values else None
            return None
        if function is _MANUAL_SEED:
            self._checked(values, SEEDS)
            self.seed = values[0] if len(values) == 1 and type(values[0]) is int else self._unknown()
            return None
        if function is _INITIAL_SEED and not args:
            return _Drawn(self.seed)
        if function is _WORKER_INFO and not args:
            return _Info()
        if function is _SEQUENCE:
            return _Words(_sequence(values))
        if function == _NUMPY_STATE and not args:
            return _Words()
        if function is int and len(args) == 1 and type(values[0]) is int:
            return args[0]
        if function is range and all(type(one) is int for one in args):
            return range(*args)
        if function is isinstance and len(args) == 2 and type(args[0]) in (str, int, FunctionType):
            return isinstance(args[0], args[1]) if args[1] in _KINDS else self._unknown()
        if any(function is one for one in _WITHOUT_EFFECT) and len(values) == 1 and type(values[0]) is int:
            return None
        if isinstance(function, FunctionType | MethodType):
            inner, before, named = function_of(function, self.saw)
            return run(inner, [*before, *args], {**named, **kwargs}, self, depth)
        raise NotCertain("a call")

    def _method(self, method: Method, args: list[Any]) -> Any:
        thing = method.thing
        if isinstance(thing, _Words) and method.name in ("generate_state", "tolist", "item"):
            known = method.name == "generate_state" and isinstance(thing.made, _SEQUENCE)
            return _Words(thing.made.generate_state(*args) if known and _are_plain(args) else None)
        is_logger = isinstance(thing, logging.Logger) and type(thing).debug is logging.Logger.debug
        if is_logger and not thing.isEnabledFor(logging.DEBUG):
            return None
        raise NotCertain(f"{method.name}()")

    def _checked(self, values: list[Any], most: int | None) -> None:
        """Of a seed: that whoever is given it takes it."""
        self.has_seeded = True
        for one in values:
            if type(one) is int and most is not None and not 0 <= one < most:
                self.refused = f"worker_init_fn seeds a generator with {one}, which is none of its {most} seeds"
            if not (type(one) is int or one is None or isinstance(one, _Words)):
                self._unknown()
        if len(values) > 1:
            self._unknown()

    def _unknown(self) -> int:
        raise NotCertain("a seed of another kind")


def _numpy_seed(given: Any) -> int | tuple[int, ...] | None:
    if isinstance(given, _Words):
        return tuple(map(int, given.made)) if isinstance(given.made, np.ndarray) and given.made.ndim == 1 else None
    return given if type(given) is int else None


def _sequence(values: list[Any]) -> Any:
    """The SeedSequence of what is given; None: that is not known."""
    parts = [one.value if isinstance(one, _Drawn) else one for one in values[0]] if _is_list(values) else values
    if len(values) != 1 or not all(type(one) is int and one >= 0 for one in parts):
        return None
    return np.random.SeedSequence(parts if _is_list(values) else parts[0])


def _is_list(values: list[Any]) -> bool:
    return len(values) == 1 and type(values[0]) in (list, tuple)


def _are_plain(args: list[Any]) -> bool:
    return all(type(one) is int for one in args)


_KINDS = (int, str, list, tuple, Callable, typing.Callable)
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in", "[]")  # and what else gives no number
