"""Whole loader configurations, drawn at random: batches, order, errors and generators are those of torch's loader.

Every example runs one configuration on torch's loader over torchvision's (or plain) data sets and on fastload's over its own, under
the same seeds, and compares all that a user can see. In its long form the examples of this file sum to 2,000.
"""

from __future__ import annotations

import operator
import random
import traceback
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

import fastload
from cases import cases
from configurations import (
    Leaf,
    Sampling,
    any_transforms,
    as_dictionary,
    data_sets,
    draws_first,
    is_subset,
    native_transforms,
    noisy_collate,
    noisy_target,
    samplings,
    seeds_itself,
    tailed_transforms,
    write_folders,
)
from contract import IN_ORDER, needs_in_order


@dataclass(frozen=True)
class Epoch:
    """Which of one or two iterators takes each step (None: in turn, to their ends), after a change of the transform."""

    iterators: int = 1
    steps: tuple[int, ...] | None = None
    new_transform: Any = None
    changes: bool = False


@dataclass(frozen=True)
class Configuration:
    dataset: Any
    sampling: Sampling
    options: dict[str, Any]
    generator: int | None
    seed: int
    epochs: tuple[Epoch, ...]


workers = st.sampled_from([0] * 8 + [1, 2, 3])  # worker processes cost 100 times an epoch of these images
MISTAKES = [
    {"num_workers": -1},
    {"timeout": -1},
    {"prefetch_factor": 2},
    {"prefetch_factor": -1},
    {"persistent_workers": True},
    {"timeout": 50},
    {"drop_last": True},
    {"shuffle": True},
    {"batch_size": 0},
    {"batch_size": 2.0},
    {"multiprocessing_context": "fork"},
    {"multiprocessing_context": "bad"},
]


@st.composite
def loader_options(draw: Any, sampling: Sampling, *, user_code: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"num_workers": draw(workers)}
    if not sampling.is_batch_sampler:
        sizes = st.integers(1, 7)
        options["batch_size"] = draw(sizes | sizes | sizes | st.none() if user_code else sizes)
        options["drop_last"] = draw(st.booleans()) and options["batch_size"] is not None
        if sampling.kind == "none":
            options["shuffle"] = draw(st.sampled_from([None, False, True, True]))
    if options["num_workers"]:
        options["prefetch_factor"] = draw(st.sampled_from([None, 1, 2, 3, 4]))
        options["persistent_workers"] = draw(st.booleans())
        options["timeout"] = draw(st.sampled_from([0, 0, 90]))
        if IN_ORDER:
            options["in_order"] = draw(st.booleans()) or options["num_workers"] > 1
    if user_code:
        options["collate_fn"] = draw(st.sampled_from([None, None, list, as_dictionary, noisy_collate]))
        options["worker_init_fn"] = draw(st.sampled_from([None, None, seeds_itself, draws_first]))
    if draw(st.integers(0, 9)) == 9:
        options["pin_memory"] = True
    if draw(st.integers(0, 19)) == 19:
        options |= draw(st.sampled_from(MISTAKES))
    return options


@st.composite
def uses(draw: Any, transforms: st.SearchStrategy) -> tuple[Epoch, ...]:
    epochs = []
    for number in range(draw(st.sampled_from([1, 2, 2, 3]))):
        iterators = draw(st.sampled_from([1, 1, 1, 2]))
        steps = st.lists(st.integers(0, iterators - 1), max_size=6).map(tuple)
        changes = number > 0 and draw(st.integers(0, 4)) == 4
        epochs.append(Epoch(iterators, draw(st.none() | steps), draw(transforms) if changes else None, changes))
    return tuple(epochs)


@st.composite
def configurations(
    draw: Any,
    transforms: st.SearchStrategy,
    *,
    kinds: tuple[str, ...] = ("torchvision", "fastload", "files"),
    folders: tuple[str, ...] = ("jpeg", "mixed"),
    wrong: bool = False,
    user_code: bool = True,
    one_transform: bool = False,
    depth: int = 2,
) -> Configuration:
    """Whole configurations. ``wrong``: with indices out of range; ``one_transform``: the same for every leaf."""
    transform = st.just(draw(transforms)) if one_transform else transforms
    targets = st.sampled_from([None, None, operator.neg, noisy_target]) if user_code else st.none()
    leaf_kinds = kinds if "files" not in kinds or draw(st.integers(0, 5)) < 5 else ("files without targets",)
    leaves = st.builds(Leaf, st.sampled_from(leaf_kinds), st.sampled_from(folders), transform, targets)
    dataset = draw(data_sets(leaves, wrong=wrong, depth=depth))
    sampling = draw(samplings(dataset.length, wrong=wrong))
    return Configuration(
        dataset,
        sampling,
        draw(loader_options(sampling, user_code=user_code)),
        draw(st.sampled_from([None, None, 3])),
        draw(st.integers(0, 2**32)),
        draw(uses(transforms)),
    )


# What one loader does with a configuration.

MOST_STEPS = 80  # more than any epoch drawn here has


def digest(state: Any) -> int:
    return hash(bytes(state.numpy())) if isinstance(state, torch.Tensor) else hash(repr(state))


@dataclass
class Run:
    """All that a user of a loader can see: a trace of (what, value), and the warnings."""

    trace: list[tuple[str, Any]]
    warned: set[tuple[type, str]]
    explained: str = ""


def attempt(run: Run, what: str, action: Any, *arguments: Any) -> Any:
    """The action's result; None, and the error in the trace, if it fails."""
    try:
        return action(*arguments)
    except StopIteration:
        run.trace.append(("end", None))
    except Exception as error:
        run.trace.append((f"error of {what}", (type(error), str(error))))
        let_go(error)
    return None


def let_go(error: BaseException | None) -> None:
    """Empties the frames of an error: torch's, from a worker, hold themselves and the iterator.

    Left to the garbage collector, an iterator's queues go before it does, and it waits 5 s for each of its workers.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def use(loader_class: type, configuration: Configuration, root: Any, *, ours: bool) -> Run:
    run = Run([], set())
    torch.manual_seed(configuration.seed)
    random.seed(configuration.seed)
    np.random.seed(configuration.seed % 2**32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _use(loader_class, configuration, root, ours, run)
    # Of the machine's cores, and, from Python 3.12 on, of forks beside threads.
    others = ("worker processes in total", "use of fork() may lead to")
    run.warned = {(w.category, str(w.message)) for w in caught if not any(text in str(w.message) for text in others)}
    return run


def _use(loader_class: type, configuration: Configuration, root: Any, ours: bool, run: Run) -> None:
    built = configuration.dataset.build(root, ours)
    options = dict(configuration.options)
    if configuration.generator is not None:
        options["generator"] = torch.Generator().manual_seed(configuration.generator)

    def construct() -> Any:
        options.update(configuration.sampling.build(built.dataset))
        return loader_class(built.dataset, **options)

    loader = attempt(run, "construction", construct)
    if loader is not None:
        run.explained = loader.explain() if isinstance(loader, fastload.DataLoader) else ""
        run.trace.append(("length", attempt(run, "len()", len, loader)))
    sampler = options.get("sampler", options.get("batch_sampler"))
    for epoch in configuration.epochs if loader is not None else ():
        if epoch.changes:
            for leaf in built.leaves:
                leaf.transform = epoch.new_transform
        iterators: Any = [attempt(run, "iter()", iter, loader) for _ in range(epoch.iterators)]
        turns = epoch.steps if epoch.steps is not None else tuple(range(epoch.iterators)) * MOST_STEPS
        ended = set()
        for turn in turns:
            if iterators[turn] is None or (epoch.steps is None and turn in ended):
                continue
            batch = attempt(run, "next()", next, iterators[turn])
            if batch is not None:
                run.trace.append(("batch", batch))
            elif run.trace[-1][0] == "end":
                ended.add(turn)
            run.trace.append(("taken from the sampler", getattr(sampler, "taken", None)))
        iterators = None
        run.trace.append(("torch's generator", digest(torch.get_rng_state())))
        if configuration.generator is not None:
            run.trace.append(("the loader's generator", digest(options["generator"].get_state())))
        run.trace.append(("Python's generator", digest(random.getstate())))
        run.trace.append(("NumPy's generator", digest(np.random.get_state())))


# Comparison.


def assert_same(mine: Any, theirs: Any) -> None:
    """The same objects all the way down: types, dtypes, strides, values."""
    assert type(mine) is type(theirs)
    if isinstance(mine, torch.Tensor):
        for name in ("dtype", "shape", "device", "requires_grad"):
            assert getattr(mine, name) == getattr(theirs, name), name
        assert mine.stride() == theirs.stride() and mine.is_pinned() == theirs.is_pinned()
        nan = torch.isnan(mine) & torch.isnan(theirs)  # ColorJitter makes them of what Normalize gives
        assert torch.equal(mine.masked_fill(nan, 0), theirs.masked_fill(nan, 0))
    elif isinstance(mine, PIL.Image.Image):
        assert (mine.mode, mine.size) == (theirs.mode, theirs.size)  # not info: see docs/compatibility.md
        assert mine.tobytes() == theirs.tobytes()
    elif isinstance(mine, np.ndarray):
        assert mine.dtype == theirs.dtype and np.array_equal(mine, theirs)
    elif isinstance(mine, dict):
        assert list(mine) == list(theirs)
        assert_same(list(mine.values()), list(theirs.values()))
    elif isinstance(mine, (list, tuple)):
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs, strict=True):
            assert_same(a, b)
    else:
        assert mine == theirs


def assert_same_runs(mine: Run, theirs: Run) -> None:
    for position, (a, b) in enumerate(zip(mine.trace, theirs.trace, strict=False)):
        where = f"at {position} of the trace, after {[what for what, _ in theirs.trace[:position]]}"
        assert a[0] == b[0], f"{a} is not {b}, {where}"
        if a[0].startswith("error"):
            assert issubclass(a[1][0], b[1][0]), f"{a} is no {b}, {where}"
            assert a[0] != "error of construction" or a == b
        elif a[0] == "batch":
            assert_same(a[1], b[1])
        else:
            assert a == b, where
    assert len(mine.trace) == len(theirs.trace)
    # Ours says where the fast path is lost.
    assert {one for one in mine.warned if not issubclass(one[0], fastload.FastloadWarning)} == theirs.warned


def compare(configuration: Configuration, root: Any, loader_class: type = fastload.DataLoader) -> Run:
    # Which goes first must make no difference, though one forks processes and the other starts threads.
    order = [True, False] if configuration.seed % 2 else [False, True]
    runs = {
        ours: use(loader_class if ours else torch.utils.data.DataLoader, configuration, root, ours=ours)
        for ours in order
    }
    event(" ".join(runs[True].explained.split("\n")[0].split()[:1]) or "not constructed")
    assert_same_runs(runs[True], runs[False])
    return runs[True]


# The families.


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("folders"))


def examples(count: int) -> Any:
    """So many in the long form."""
    return settings(
        max_examples=cases(count // 20, count),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


@examples(700)
@given(configuration=configurations(native_transforms(), user_code=False, one_transform=True))
def test_native_threads(root, configuration):
    run = compare(configuration, root)
    assert "threads of this process" in run.explained or run.trace[0][0] == "error of construction"


@examples(400)
@given(configuration=configurations(tailed_transforms()))
def test_users_code(root, configuration):
    run = compare(configuration, root)
    assert "native: " in run.explained or run.trace[0][0] == "error of construction"


@examples(300)
@given(configuration=configurations(any_transforms()))
def test_any_transforms(root, configuration):
    compare(configuration, root)


def failing(transforms: st.SearchStrategy, *, user_code: bool) -> st.SearchStrategy:
    """Damaged files, and indices out of range.

    ``Subset`` hands a data set that has ``__getitems__``, as ours have and ``Subset`` itself, all indices of a batch at once: a
    wrong one then fails before the samples ahead of it are made (docs/compatibility.md). So those are drawn for torchvision's data
    sets, but for a ``Subset`` of a ``Subset``, or for ours on their own.
    """
    common = {"folders": ("damaged", "jpeg"), "wrong": True, "user_code": user_code}
    theirs = configurations(transforms, kinds=("torchvision",), **common)
    theirs = theirs.filter(lambda one: not (is_subset(one.dataset) and is_subset(one.dataset.of)))
    return theirs | configurations(transforms, depth=0, **common)


@examples(250)
@given(configuration=failing(native_transforms(), user_code=False))
def test_failures_in_threads(root, configuration):
    compare(configuration, root)


@examples(200)
@given(configuration=failing(tailed_transforms() | any_transforms(), user_code=True))
def test_failures_in_users_code(root, configuration):
    compare(configuration, root)


@examples(100)
@given(configuration=configurations(native_transforms() | any_transforms(), kinds=("fastload", "files")))
def test_torchs_loader_over_our_data_sets(root, configuration):
    compare(configuration, root, torch.utils.data.DataLoader)


@needs_in_order
@examples(50)
@given(data=st.data())
def test_out_of_order(root, data):
    """The order of batches is up to chance in torch's loader, so that their set is compared."""
    leaf = Leaf("torchvision", "mixed", data.draw(native_transforms(random=False)))
    dataset = data.draw(data_sets(st.just(leaf)))
    assume(dataset.length)
    sampling = data.draw(samplings(dataset.length, wrong=False))
    options = data.draw(loader_options(sampling, user_code=False)) | {"num_workers": 2, "in_order": False}
    assume("multiprocessing_context" not in options)
    runs = [
        use(cls, Configuration(dataset, sampling, options, None, 1, (Epoch(),)), root, ours=ours)
        for cls, ours in [(fastload.DataLoader, True), (torch.utils.data.DataLoader, False)]
    ]
    for run in runs:
        run.trace.sort(
            key=lambda entry: (entry[0], repr([part.tolist() for part in entry[1]]) if entry[0] == "batch" else "")
        )
    assert_same_runs(*runs)
