"""Draws from Python's random and NumPy's legacy generator, number for number, and their states afterwards."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import cases
from fastload import _core


def streams() -> _core.Streams:
    torchs = _core.Mt19937.from_torch(torch.get_rng_state().numpy())
    return _core.Streams(torchs, python=random.getstate(), numpy=np.random.get_state(legacy=False))


def are_the_process_own(drawn: _core.Streams) -> bool:
    ours, numpys = drawn.numpy, np.random.get_state(legacy=False)
    return drawn.python == random.getstate() and all(
        np.array_equal(a, b)
        for a, b in (
            (ours["state"]["key"], numpys["state"]["key"]),
            (ours["state"]["pos"], numpys["state"]["pos"]),
            (ours["has_gauss"], numpys["has_gauss"]),
            (ours["gauss"], numpys["gauss"]),
        )
    )


def shuffled(count: int) -> list[int]:
    items = list(range(count))
    random.shuffle(items)
    return items


def weights_of(count: int) -> list[float]:
    return [1 / (1 + i % 7) for i in range(count)]


def numpy_choice(count: int, wanted: int) -> list[int]:
    p = np.array(weights_of(count))
    return np.random.choice(count, min(count, wanted), replace=False, p=p / p.sum()).tolist()


def our_choice(drawn: _core.Streams, count: int, wanted: int) -> list[int]:
    p = np.array(weights_of(count))
    return drawn.numpy_choice((p / p.sum()).tolist(), min(count, wanted))


# (native, stock), each of a number from 1 to 200
DRAWS = {
    "random": (lambda s, n: s.python_random(), lambda n: random.random()),
    "uniform": (lambda s, n: s.python_uniform(-0.3, n), lambda n: random.uniform(-0.3, n)),
    "randrange": (lambda s, n: s.python_randrange(n), lambda n: random.randrange(n)),
    "randint": (lambda s, n: s.python_randrange(n), lambda n: random.randint(0, n - 1)),
    "choice": (lambda s, n: s.python_randrange(n), lambda n: random.choice(range(n))),
    "gauss": (lambda s, n: s.python_gauss(n, 0.5), lambda n: random.gauss(n, 0.5)),
    "choices": (
        lambda s, n: s.python_choices(list(itertools.accumulate(weights_of(n)))),
        lambda n: random.choices(range(n), weights_of(n))[0],
    ),
    "shuffle": (lambda s, n: s.python_shuffled(n), shuffled),
    "numpy's random": (lambda s, n: s.numpy_random_sample(), lambda n: np.random.rand()),
    "numpy's randint": (lambda s, n: s.numpy_randint(n), lambda n: np.random.randint(0, n)),
    "numpy's choice": (lambda s, n: [s.numpy_randint(n), s.numpy_randint(n)], lambda n: [*np.random.choice(n, 2)]),
    "numpy's choice by weight": (lambda s, n: our_choice(s, n, 3), lambda n: numpy_choice(n, 3)),
    "dirichlet": (lambda s, n: s.numpy_dirichlet(n), lambda n: np.random.dirichlet([1.0] * n).tolist()),
    "beta": (lambda s, n: s.numpy_beta(), lambda n: np.random.beta(1.0, 1.0)),
}


@settings(max_examples=cases(20, 200))
@given(
    seed=st.integers(0, 2**32 - 1),
    calls=st.lists(st.tuples(st.sampled_from(sorted(DRAWS)), st.integers(1, 200)), min_size=1, max_size=300),
)
def test_any_draws_one_after_the_other(seed, calls):
    random.seed(seed)
    np.random.seed(seed)
    drawn = streams()
    for name, n in calls:
        ours, stock = DRAWS[name]
        assert ours(drawn, n) == stock(n), (name, n)
    assert are_the_process_own(drawn)


@pytest.mark.parametrize("name", DRAWS)
def test_many_draws_of_one_kind(name):
    """Some thousands: each generator twists its words several times."""
    random.seed(7)
    np.random.seed(7)
    drawn = streams()
    ours, stock = DRAWS[name]
    assert [ours(drawn, 1 + i % 200) for i in range(2000)] == [stock(1 + i % 200) for i in range(2000)]
    assert are_the_process_own(drawn)


@pytest.mark.parametrize("used", [0, 1, 623, 624])
def test_a_state_that_somebody_set(used):
    version, words, _ = random.getstate()
    random.setstate((version, (*words[:-1], used), 0.25))
    state = np.random.get_state(legacy=False)
    np.random.set_state({**state, "state": {**state["state"], "pos": used}, "has_gauss": 1, "gauss": -1.5})
    drawn = streams()
    assert are_the_process_own(drawn)
    assert [drawn.python_gauss(0, 1) for _ in range(3)] == [random.gauss(0, 1) for _ in range(3)]
    assert drawn.numpy_random_sample() == np.random.rand()
    assert are_the_process_own(drawn)
    assert np.random.randn() == -1.5  # was left where it was


def test_what_is_no_state_is_refused():
    torchs = _core.Mt19937(1)
    version, words, _ = random.getstate()
    for python in [(2, words, None), (version, words[:-1], None), (version, (*words[:-1], 625), None), ()]:
        with pytest.raises(ValueError, match="Python's random"):
            _core.Streams(torchs, python=python)
    state = np.random.get_state(legacy=False)
    for numpy in [
        {**state, "bit_generator": "PCG64"},
        {**state, "state": {**state["state"], "pos": 625}},
        {**state, "state": {**state["state"], "key": np.zeros(623, np.uint32)}},
    ]:
        with pytest.raises(ValueError, match="NumPy's"):
            _core.Streams(torchs, numpy=numpy)


def test_what_was_not_given_is_not_drawn_from():
    with pytest.raises(RuntimeError, match="Python's generator was not given"):
        _core.Streams(_core.Mt19937(1)).python_random()
    with pytest.raises(RuntimeError, match="NumPy's generator was not given"):
        _core.Streams(_core.Mt19937(1)).numpy_beta()
