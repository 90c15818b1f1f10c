"""What a resume state holds, and whether a loader can go on from it: every field is checked before anything is done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from torch.utils.data import RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler
from torch.utils.data.distributed import DistributedSampler

from fastload.engine import GeneratorStates, streams_from_json
from fastload.resume.sampling import Sampling

FORMAT = 2
FORMAT_KEY = "_fastload_format"
_KEPT_BY_WORKERS = frozenset(("generators", "dataset", "stream", "iterator", "taken", "ended", "over"))
_KEPT_BY_SAMPLERS = frozenset(("batch_sampler", "sampler", "iterator"))
# Of these the length is what they give.
_OF_KNOWN_LENGTH = (SequentialSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler, DistributedSampler)


def in_the_middle(state: Mapping[str, Any]) -> bool:
    """Whether an epoch was under way."""
    return state["start"] is not None and not state["_iterator_finished"]


def check(state: Any, sampling: Sampling, made_in_threads: Callable[[], bool]) -> None:
    """Refuses what no loader wrote, and what this one cannot go on from.

    Args:
        made_in_threads: whether native threads would make the loader's batches; asked only where it matters.

    Raises:
        ValueError: a field that is missing, of another type or out of range; another ``rng``, style, data set or sampler.
        AssertionError: with ``rng="stock"``, another number of workers or ranks.
    """
    if not isinstance(state, Mapping) or FORMAT_KEY not in state:
        _refuse(f"there is no {FORMAT_KEY!r}", "this is no state of fastload.StatefulDataLoader")
    if type(state[FORMAT_KEY]) is not int or state[FORMAT_KEY] != FORMAT:
        _refuse(f"{FORMAT_KEY} should be {FORMAT}, but is {state[FORMAT_KEY]!r}", "the state is of another version")
    missing = [name for name in _FIELDS if name not in state]
    if missing:
        _refuse(f"it lacks {', '.join(missing)}", "the state is not whole")
    for name, (is_right, what) in _FIELDS.items():
        if not is_right(state[name]):
            _refuse(f"{name} should be {what}, but is {state[name]!r:.100}")
    if state["rng"] != sampling.rng:
        _refuse(f"it was saved with rng={state['rng']!r}, but this loader has rng={sampling.rng!r}")
    if state["style"] != sampling.style:
        _refuse(f"it was saved by a loader that is {state['style']}, but this one is {sampling.style}")
    for name in ("generators", "start"):
        if state[name] is not None:
            _check_generators(state[name], name)
    _check_workers(state)
    if state["base_seed"] is None and (state["start"] is not None or state["workers"]):
        _refuse("an epoch had begun, but base_seed is None")
    if in_the_middle(state):
        _check_numbers(state, sampling)
        _check_position(state, sampling)
        _check_makers(state, sampling, made_in_threads)


def _refuse(found: str, what: str = "this loader cannot go on from the state") -> NoReturn:
    raise ValueError(f"{what}: {found}")


def _check_generators(saved: Any, name: str) -> None:
    try:
        GeneratorStates.from_json(saved)
    except ValueError as error:
        _refuse(f"{name}: {error}")


def _check_workers(state: Mapping[str, Any]) -> None:
    known = {str(worker) for worker in range(max(1, state["num_workers"]))}
    for worker, kept in state["workers"].items():
        where = f"workers[{worker!r}]"
        if worker not in known:
            _refuse(f"{where}: there were {state['num_workers']} workers")
        if isinstance(kept, (str, list)):  # of threads
            try:
                streams_from_json(kept)
            except ValueError as error:
                _refuse(f"{where}: {error}")
            continue
        if not isinstance(kept, Mapping) or not set(kept) <= _KEPT_BY_WORKERS:
            _refuse(f"{where} should be the state of a generator, or a dict of {', '.join(sorted(_KEPT_BY_WORKERS))}")
        if not _is_count(kept.get("taken", 0)) or any(
            type(kept.get(name, False)) is not bool for name in ("ended", "over")
        ):
            _refuse(f"{where}: taken should be an int from 0, ended and over bools")
        if "generators" in kept:
            _check_generators(kept["generators"], where)


def _check_numbers(state: Mapping[str, Any], sampling: Sampling) -> None:
    for what, saved, here in (
        ("num_workers", state["num_workers"], sampling.num_workers),
        ("num_replicas", state["num_replicas"], sampling.replicas),
    ):
        if saved != here and sampling.rng == "stock":
            raise AssertionError(
                f"the state was saved with {what}={saved}, but here it is {here}, and stock's random numbers depend on it; "
                "with rng='index' it may change"
            )
    own = len(state["start"]["own"])
    if own != len(sampling.own):
        _refuse(
            f"its loader and samplers had {own} generators of their own, these have {len(sampling.own)}: "
            "give the same ``generator`` arguments"
        )


def _check_position(state: Mapping[str, Any], sampling: Sampling) -> None:
    length = sampling.length
    if state["length"] is not None and length is not None and state["length"] != length:
        _refuse(f"its data set has {state['length']} samples, this one has {length}")
    if state["sampler"] != sampling.sampler_name:
        _refuse(f"its samples came from a {state['sampler']}, here they come from a {sampling.sampler_name}")
    batches, samples = state["_sampler_iter_yielded"], state["samples"]
    if state["_num_yielded"] > batches:
        _refuse(f"_num_yielded={state['_num_yielded']} is more than _sampler_iter_yielded={batches}")
    if sampling.is_plain and batches > samples:
        _refuse(f"_sampler_iter_yielded={batches} batches cannot be made of samples={samples}")
    kept = state["sampler_state"]
    if kept is not None:
        names = {name for name in kept if name != "iterator"}
        if names != set(sampling.keepers()):
            _refuse(
                f"it holds the state of {' and '.join(sorted(names)) or 'no sampler'}, but here "
                f"{' and '.join(sampling.keepers()) or 'no sampler'} keeps one"
            )
    elif type(sampling.sampler) in _OF_KNOWN_LENGTH and (sampling.is_plain or sampling.batch_sampler is None):
        # With another number of ranks an epoch is padded to a multiple of each.
        most = len(sampling.sampler) * sampling.replicas
        most += state["num_replicas"] * (state["num_replicas"] != sampling.replicas)
        if samples > most or (sampling.batch_sampler is None and batches > len(sampling.sampler)):
            _refuse(f"it stands after {samples} samples of an epoch, which has {most} here")


def _check_makers(state: Mapping[str, Any], sampling: Sampling, made_in_threads: Callable[[], bool]) -> None:
    """The random numbers of threads cannot go on in worker processes, nor the other way round."""
    if not state["workers"] or sampling.rng == "index":
        return
    in_threads = made_in_threads()
    if any(isinstance(kept, (str, list)) != in_threads for kept in state["workers"].values()):
        made, makes = ("torch's workers", "threads") if in_threads else ("threads", "torch's workers")
        _refuse(f"its batches were made by {made}, here they are made by {makes}; see explain()")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_none_or(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_right(value)


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


_COUNT = (_is_count, "an int from 0")
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "_num_yielded": _COUNT,
    "_sampler_iter_yielded": _COUNT,
    "_iterator_finished": (lambda value: type(value) is bool, "a bool"),
    "rng": (lambda value: isinstance(value, str), "a text"),
    "seed": (lambda value: type(value) is int and 0 <= value < 2**64, "an int of 64 bits"),
    "style": (lambda value: isinstance(value, str), "a text"),
    "sampler": (lambda value: isinstance(value, str), "a text"),
    "length": (_is_none_or(_is_count), "an int from 0, or None"),
    "num_workers": (lambda value: _is_count(value) and value < 2**20, "an int from 0"),
    "num_replicas": (lambda value: _is_count(value) and 0 < value < 2**31, "an int from 1"),
    "epoch": (lambda value: _is_count(value) and value < 2**31, "an int from 0"),
    "sampler_epoch": (_is_none_or(lambda value: type(value) is int and abs(value) < 2**63), "an int, or None"),
    "generators": (_is_dict, "a dict"),
    "base_seed": (_is_none_or(_is_count), "an int from 0, or None"),
    "start": (_is_none_or(_is_dict), "a dict, or None"),
    "samples": _COUNT,
    "failures": (
        lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_count, value)),
        "two ints from 0",
    ),
    "sampler_state": (
        _is_none_or(lambda value: _is_dict(value) and bool(value) and set(value) <= _KEPT_BY_SAMPLERS),
        f"a dict of {', '.join(sorted(_KEPT_BY_SAMPLERS))}, or None",
    ),
    "next_worker": _COUNT,
    "workers": (_is_dict, "a dict"),
}
