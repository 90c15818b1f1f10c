"""The DataLoader contract: signature and checks. Each on torch's loader and on fastload's."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import re
import typing
import warnings

import pytest
import torch
import torch.utils.data

from contract import IN_ORDER, Numbers, Stream, build, data_set, indices

# Signature

POSITIONAL = {
    "dataset": inspect.Parameter.empty,
    "batch_size": 1,
    "shuffle": None,
    "sampler": None,
    "batch_sampler": None,
    "num_workers": 0,
    "collate_fn": None,
    "pin_memory": False,
    "drop_last": False,
    "timeout": 0,
    "worker_init_fn": None,
    "multiprocessing_context": None,
    "generator": None,
}
KEYWORD = {"prefetch_factor": None, "persistent_workers": False, "pin_memory_device": "", **IN_ORDER}


def test_signature(Loader):
    parameters = list(inspect.signature(Loader).parameters.values())
    assert {p.name: p.default for p in parameters[:13]} == POSITIONAL
    end = 13 + len(KEYWORD)
    assert [p.name for p in parameters[:end]] == [*POSITIONAL, *KEYWORD]
    assert {p.name: p.default for p in parameters[13:end]} == KEYWORD
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters[:13])
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[13:])


def test_thirteen_arguments_by_position(Loader, dataset):
    generator = torch.Generator()
    loader = Loader(dataset, 5, False, None, None, 0, None, False, True, 0, None, None, generator)
    assert loader.batch_size == 5 and loader.drop_last is True and loader.generator is generator
    with pytest.raises(TypeError) as caught:
        Loader(dataset, 5, False, None, None, 0, None, False, True, 0, None, None, generator, 2)
    assert str(caught.value) == "DataLoader.__init__() takes from 2 to 14 positional arguments but 15 were given"


def test_generic(Loader, dataset):
    assert typing.get_origin(Loader[int]) is Loader
    loader = Loader[list](dataset, batch_size=5)
    assert type(loader) is Loader and isinstance(loader, torch.utils.data.DataLoader)

    class Mine(Loader[torch.Tensor]):
        pass

    assert indices(Mine(dataset, batch_size=5)) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]


def test_construction_is_counted(Loader, dataset, monkeypatch):
    vitals, uses = [], []
    monkeypatch.setitem(vars(torch), "set_vital", lambda *words: vitals.append(words))
    monkeypatch.setattr(torch._C, "_log_api_usage_once", uses.append)
    Loader(dataset)
    counts_vitals = "set_vital" in inspect.getsource(torch.utils.data.DataLoader)  # newer torch has none
    assert vitals == ([("Dataloader", "enabled", "True")] if counts_vitals else [])
    assert "python.data_loader" in uses


# Checks. Each line: its number in the contract, the options, the error's type, its text.

WAYS_TO_START = multiprocessing.get_all_start_methods()
PREFETCH_WITHOUT_WORKERS = (
    "prefetch_factor option could only be specified in multiprocessing."
    "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
)
CONTEXT_WITHOUT_WORKERS = (
    "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got num_workers=0"
)
BAD_START = (
    f"multiprocessing_context option should specify a valid start method in {WAYS_TO_START}, "
    "but got multiprocessing_context='bad'"
)
NO_CONTEXT = (
    "multiprocessing_context option should be a valid context object or a string specifying the start method, "
    "but got multiprocessing_context=5"
)
EXCLUSIVE = "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
NO_BATCHES_TO_DROP = "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
NEGATIVE_WORKERS = "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
BATCHES = [[0, 1]]

REFUSED = [
    (1, {"num_workers": -1}, ValueError, NEGATIVE_WORKERS),
    (2, {"timeout": -1}, ValueError, "timeout option should be non-negative"),
    (3, {"prefetch_factor": 2}, ValueError, PREFETCH_WITHOUT_WORKERS),
    (4, {"prefetch_factor": -1, "num_workers": 1}, ValueError, "prefetch_factor option should be non-negative"),
    (5, {"persistent_workers": True}, ValueError, "persistent_workers option needs num_workers > 0"),
    (6, {"multiprocessing_context": "fork"}, ValueError, CONTEXT_WITHOUT_WORKERS),
    (7, {"multiprocessing_context": "bad", "num_workers": 1}, ValueError, BAD_START),
    (8, {"multiprocessing_context": 5, "num_workers": 1}, TypeError, NO_CONTEXT),
    (12, {"sampler": [0], "shuffle": True}, ValueError, "sampler option is mutually exclusive with shuffle"),
    (13, {"batch_sampler": BATCHES, "batch_size": 2}, ValueError, EXCLUSIVE),
    (13, {"batch_sampler": BATCHES, "batch_size": None}, ValueError, EXCLUSIVE),
    (13, {"batch_sampler": BATCHES, "shuffle": True}, ValueError, EXCLUSIVE),
    (13, {"batch_sampler": BATCHES, "sampler": [0]}, ValueError, EXCLUSIVE),
    (13, {"batch_sampler": BATCHES, "drop_last": True}, ValueError, EXCLUSIVE),
    (14, {"batch_size": None, "drop_last": True}, ValueError, NO_BATCHES_TO_DROP),
    *(
        (17, {"batch_size": size}, ValueError, f"batch_size should be a positive integer value, but got batch_size={size}")
        for size in (0, -3, 2.0, True, "4")
    ),
    (18, {"drop_last": 1}, ValueError, "drop_last should be a boolean value, but got drop_last=1"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "options", "kind", "text"), REFUSED, ids=lambda value: str(value)[:40])
def test_refused(Loader, dataset, number, options, kind, text):
    with pytest.raises(kind) as caught:
        Loader(dataset, **options)
    assert type(caught.value) is kind and str(caught.value) == text


ITERABLE = "DataLoader with IterableDataset: expected unspecified "
REFUSED_FOR_STREAMS = [
    (9, {"shuffle": True}, f"{ITERABLE}shuffle option, but got shuffle=True"),
    (10, {"sampler": [0]}, f"{ITERABLE}sampler option, but got sampler=[0]"),
    (11, {"batch_sampler": BATCHES}, f"{ITERABLE}batch_sampler option, but got batch_sampler={BATCHES}"),
    (17, {"batch_size": 0}, "batch_size should be a positive integer value, but got batch_size=0"),
]


@pytest.mark.parametrize(("number", "options", "text"), REFUSED_FOR_STREAMS, ids=lambda value: str(value)[:40])
def test_refused_for_iterable_data_sets(Loader, number, options, text):
    with pytest.raises(ValueError) as caught:
        Loader(Stream(5), **options)
    assert str(caught.value) == text


class Empty(Numbers):
    def __init__(self):
        super().__init__(0)


class WithoutLength(torch.utils.data.Dataset):
    def __getitem__(self, index):
        return index


def test_shuffling_needs_samples_and_a_length(Loader, folder):
    nothing = data_set("images", folder)
    nothing.samples = []
    for empty in (Empty(), nothing):
        with pytest.raises(ValueError) as caught:
            Loader(empty, shuffle=True)
        assert str(caught.value) == "num_samples should be a positive integer value, but got num_samples=0"
        assert list(build(Loader, empty)) == [] and len(Loader(empty)) == 0
    with pytest.raises(TypeError) as caught:
        Loader(WithoutLength(), shuffle=True)
    assert str(caught.value) == "object of type 'WithoutLength' has no len()"
    in_turn = Loader(WithoutLength())
    for use in (len, list):
        with pytest.raises(TypeError, match=re.escape("object of type 'WithoutLength' has no len()")):
            use(in_turn)


# Two faults at once: the earlier line of the contract speaks.
FIRST_FAULTS = [
    (1, {"num_workers": -1, "timeout": -1}),
    (2, {"timeout": -1, "prefetch_factor": 2}),
    (3, {"prefetch_factor": 2, "persistent_workers": True}),
    (4, {"prefetch_factor": -1, "num_workers": 1, "multiprocessing_context": "bad"}),
    (5, {"persistent_workers": True, "multiprocessing_context": "fork"}),
    (6, {"multiprocessing_context": "fork", "sampler": [0], "shuffle": True}),
    (7, {"multiprocessing_context": "bad", "num_workers": 1, "sampler": [0], "shuffle": True}),
    (12, {"sampler": [0], "shuffle": True, "batch_sampler": BATCHES}),
    (13, {"batch_sampler": BATCHES, "batch_size": None, "drop_last": True}),
    (14, {"batch_size": None, "drop_last": 1}),
    (17, {"batch_size": 0, "drop_last": 1}),
]


@pytest.mark.parametrize(("number", "options"), FIRST_FAULTS, ids=lambda value: str(value)[:40])
def test_the_first_fault_is_named(Loader, dataset, number, options):
    expected = next(text for line, _, _, text in REFUSED if line == number)
    with pytest.raises(ValueError) as caught:
        Loader(dataset, **options)
    assert str(caught.value) == expected


def test_the_first_fault_of_iterable_data_sets_is_named(Loader):
    for first, options in [
        ("shuffle", {"shuffle": True, "sampler": [0]}),
        ("sampler", {"sampler": [0], "batch_sampler": BATCHES}),
        ("batch_sampler", {"batch_sampler": BATCHES, "batch_size": 3}),
    ]:
        with pytest.raises(ValueError, match=f"{ITERABLE}{first} option, but got"):
            Loader(Stream(5), **options)


def test_what_is_not_refused(Loader, dataset):
    assert Loader(dataset, num_workers=1).prefetch_factor == 2
    assert Loader(dataset).prefetch_factor is None
    for unshuffled in (False, None, 0):
        Loader(Stream(5), shuffle=unshuffled)
    Loader(dataset, generator="none", collate_fn=5, worker_init_fn="none")
    assert indices(build(Loader, dataset, batch_sampler=[[3, 1], [2]], batch_size=1)) == [[3, 1], [2]]
    assert indices(build(Loader, dataset, sampler=[4, 4, 0], batch_size=2)) == [[4, 4], [0]]


# torch's iterator that was refused half-way complains when it is dropped.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*_MultiProcessingDataLoaderIter")
def test_refused_by_the_iterator(Loader, dataset):
    with pytest.raises(AssertionError) as caught:
        iter(build(Loader, dataset, num_workers=1, prefetch_factor=0))
    assert str(caught.value) == "prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter"
    with pytest.raises(AssertionError) as caught:
        iter(build(Loader, dataset, timeout=1))
    assert str(caught.value) == "_SingleProcessDataLoaderIter requires timeout == 0"


@pytest.mark.filterwarnings("always:This DataLoader will create")
def test_more_workers_than_cores_are_warned_of(Loader, dataset, monkeypatch):
    """At construction, whenever asked, and by every iterator."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    text = (
        "This DataLoader will create 2 worker processes in total. Our suggested max number of worker in current system is 1, "
        "which is smaller than what this DataLoader is going to create. Please be aware that excessive worker creation might "
        "get DataLoader running slow or even freeze, lower the worker number to avoid potential slowness/freeze if necessary."
    )
    with pytest.warns(UserWarning, match=re.escape(text)):
        loader = build(Loader, dataset, num_workers=2, batch_size=6)
    with pytest.warns(UserWarning, match=re.escape(text)):
        loader.check_worker_number_rationality()
    for _ in range(2):
        with pytest.warns(UserWarning, match=re.escape(text)):
            iter(loader)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader.check_worker_number_rationality()


def test_the_context_is_checked_again_when_set(Loader, dataset):
    loader = Loader(dataset, num_workers=1)
    assert loader.multiprocessing_context is None
    loader.multiprocessing_context = "fork"
    assert loader.multiprocessing_context is torch.multiprocessing.get_context("fork")
    for bad, kind, text in [("bad", ValueError, BAD_START), (5, TypeError, NO_CONTEXT)]:
        with pytest.raises(kind) as caught:
            loader.multiprocessing_context = bad
        assert str(caught.value) == text
    assert loader.multiprocessing_context is torch.multiprocessing.get_context("fork")
    loader.num_workers = 0
    with pytest.raises(ValueError) as caught:
        loader.multiprocessing_context = "fork"
    assert str(caught.value) == CONTEXT_WITHOUT_WORKERS
