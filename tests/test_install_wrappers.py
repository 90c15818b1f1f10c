"""install() beside another library that wraps torch's constructor as well: its wrapper stays, and is called once for a loader."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle

import pytest
import torch.utils.data
from torch.utils.data import DataLoader as Stock

import fastload


@pytest.fixture(autouse=True)
def torchs_own():
    before = Stock.__init__
    yield
    Stock.__init__ = before
    fastload.uninstall()
    assert Stock.__init__ is before


def wrap(calls, name, wraps=functools.wraps, **change):
    """Another library's wrapper around whatever is the constructor now; gives back what undoes it."""
    below = Stock.__init__

    @wraps(below)
    def wrapper(self, *args, **kwargs):
        calls.append(name)
        below(self, *args, **{**kwargs, **change})

    Stock.__init__ = wrapper

    def undo():
        assert Stock.__init__ is wrapper
        Stock.__init__ = below

    return wrapper, undo


def plain(_below):
    """In the place of functools.wraps: says nothing of what is below."""
    return lambda function: function


def made(**kwargs):
    loader = Stock([1, 2, 3], batch_size=2, **kwargs)
    assert [batch.tolist() for batch in loader] == [[1, 2], [3]]
    assert "_torch_init" not in vars(loader)
    return type(loader)


@pytest.mark.parametrize("wraps", [functools.wraps, plain])
def test_a_wrapper_above_stays(wraps):
    calls = []
    fastload.install()
    wrapper, _ = wrap(calls, "theirs", wraps)
    assert made() is fastload.DataLoader and calls == ["theirs"]
    fastload.uninstall()
    assert Stock.__init__ is wrapper
    assert made() is Stock and calls == ["theirs"] * 2
    fastload.uninstall()
    assert Stock.__init__ is wrapper
    fastload.install()
    fastload.install()
    assert made() is fastload.DataLoader and calls == ["theirs"] * 3
    fastload.uninstall()
    assert made() is Stock and calls == ["theirs"] * 4


@pytest.mark.parametrize("wraps", [functools.wraps, plain])
def test_a_wrapper_below_stays(wraps):
    calls = []
    wrapper, undo = wrap(calls, "theirs", wraps)
    fastload.install()
    assert made() is fastload.DataLoader and calls == ["theirs"]
    fastload.uninstall()
    assert Stock.__init__ is wrapper
    assert made() is Stock and calls == ["theirs"] * 2
    undo()


def test_wrappers_above_and_below():
    calls = []
    _, undo_below = wrap(calls, "below")
    fastload.install()
    _, undo_above = wrap(calls, "above")
    assert made() is fastload.DataLoader and calls == ["above", "below"]
    calls.clear()
    fastload.uninstall()
    assert made() is Stock and calls == ["above", "below"]
    undo_above()  # which brings back ours, as a library that saved it would
    calls.clear()
    assert made() is Stock and calls == ["below"]
    fastload.uninstall()
    undo_below()
    assert made() is Stock and calls == ["below"]


def test_what_a_wrapper_changes_counts_once():
    calls = []
    fastload.install()
    below = Stock.__init__

    @functools.wraps(below)
    def one_more_worker(self, *args, num_workers=0, **kwargs):
        below(self, *args, num_workers=num_workers + 1, **kwargs)

    Stock.__init__ = one_more_worker
    assert Stock([1]).num_workers == 1
    assert fastload.DataLoader([1]).num_workers == 1
    wrap(calls, "theirs", drop_last=True)
    assert Stock([1]).drop_last and calls == ["theirs"]


def test_a_wrapper_below_that_is_taken_away_takes_ours_with_it_until_it_is_installed_again():
    before = Stock.__init__
    wrap([], "theirs")
    fastload.install()
    Stock.__init__ = before
    assert made() is Stock
    fastload.install()
    assert made() is fastload.DataLoader


def test_a_wrapper_that_fails_leaves_nothing():
    fastload.install()
    below = Stock.__init__

    @functools.wraps(below)
    def refuse(self, *args, **kwargs):
        raise RuntimeError("no loaders today")

    Stock.__init__ = refuse
    with pytest.raises(RuntimeError, match="no loaders today"):
        Stock([1])
    Stock.__init__ = below
    assert made() is fastload.DataLoader


def test_subclasses_beneath_a_wrapper_stay_what_they_are():
    class Mine(Stock):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    calls = []
    fastload.install()
    wrap(calls, "theirs")
    assert type(Mine([1])) is Mine and calls == ["theirs"]
    fastload.uninstall()
    assert type(Mine([1])) is Mine and calls == ["theirs"] * 2


def test_pickles_and_copies_made_while_installed_outlive_it():
    stock = Stock([1, 2, 3], batch_size=2)
    fastload.install()
    wrap([], "theirs")
    ours = Stock([1, 2, 3], batch_size=2)
    pickles = pickle.dumps([stock, ours])
    copies = [copy.copy(stock), copy.copy(ours)]
    fastload.uninstall()
    for loaders in (pickle.loads(pickles), copies):
        assert [type(loader) for loader in loaders] == [Stock, fastload.DataLoader]
        assert [[batch.tolist() for batch in loader] for loader in loaders] == [[[1, 2], [3]]] * 2


def test_the_signature_is_torchs():
    before = inspect.signature(Stock), inspect.signature(Stock.__init__)
    fastload.install()
    wrap([], "theirs")
    assert (inspect.signature(torch.utils.data.DataLoader), inspect.signature(Stock.__init__)) == before
