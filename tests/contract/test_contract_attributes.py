"""The DataLoader contract: attributes and length. Each on torch's loader and on fastload's."""

from __future__ import annotations

import inspect

import pytest
import torch
import torch.utils.data
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler, default_collate, default_convert

from contract import IN_ORDER, Stream, build, indices

PUBLIC = {
    "batch_size": 1,
    "drop_last": False,
    "generator": None,
    **IN_ORDER,
    "num_workers": 0,
    "persistent_workers": False,
    "pin_memory": False,
    "pin_memory_device": "",
    "prefetch_factor": None,
    "timeout": 0,
    "worker_init_fn": None,
}
# Older torch lacks some.
PUBLIC = {name: PUBLIC[name] for name in PUBLIC if name in inspect.signature(torch.utils.data.DataLoader).parameters}
OBJECTS = {"batch_sampler", "collate_fn", "dataset", "sampler"}
PRIVATE = {
    "_DataLoader__initialized": True,
    "_DataLoader__multiprocessing_context": None,
    "_IterableDataset_len_called": None,
    "_dataset_kind": 0,
    "_iterator": None,
}


def test_attributes(Loader, dataset):
    loader = build(Loader, dataset)
    for _ in range(2):
        has = vars(loader)
        assert {name: has[name] for name in PUBLIC} == PUBLIC and has.keys() >= OBJECTS
        assert {name: has[name] for name in PRIVATE} == PRIVATE
        # Frameworks rebuild a loader from its public attributes.
        assert {name for name in has if not name.startswith("_")} <= set(inspect.signature(Loader).parameters)
        assert not hasattr(loader, "shuffle")
        assert loader.dataset is dataset
        list(loader)
    again = Loader(
        **{name: has[name] for name in inspect.signature(Loader).parameters if name in PUBLIC} | {"dataset": dataset}
    )
    assert {name: vars(again)[name] for name in PUBLIC} == PUBLIC


@pytest.mark.parametrize(
    "name", ["batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"]
)
def test_locked_attributes(Loader, dataset, name):
    class Mine(Loader):
        pass

    for loader in (Loader(dataset), Mine(dataset)):
        before = getattr(loader, name)
        with pytest.raises(ValueError) as caught:
            setattr(loader, name, before)
        expected = f"{name} attribute should not be set after {type(loader).__name__} is initialized"
        assert str(caught.value) == expected and getattr(loader, name) is before


def test_the_lock_has_torchs_name(Loader, dataset):
    """timm opens it to set another batch sampler."""
    loader = build(Loader, dataset, batch_size=6)
    loader._DataLoader__initialized = False
    loader.batch_sampler = [[2, 3], [1]]
    loader._DataLoader__initialized = True
    assert len(loader) == 2 and indices(loader) == [[2, 3], [1]]
    with pytest.raises(ValueError):
        loader.batch_sampler = [[0]]


def first_of(samples):
    return samples[0]


def test_other_attributes_are_read_when_an_iterator_is_made(Loader, dataset):
    loader = build(Loader, dataset, batch_size=5)
    older = iter(loader)
    loader.collate_fn = first_of
    loader.num_workers, loader.prefetch_factor = 1, 3
    loader.generator = torch.Generator().manual_seed(4)
    loader.timeout, loader.in_order, loader.worker_init_fn, loader.pin_memory_device = 60, False, None, ""
    assert [type(batch) for batch in older] == [list] * 3
    newer = iter(loader)
    assert newer._num_workers == 1 and newer._timeout == 60
    expected = torch.Generator().manual_seed(4)
    assert newer._base_seed == int(torch.empty((), dtype=torch.int64).random_(generator=expected))
    assert [target for _, target in newer] == [0, 5, 10]
    loader.collate_fn = default_collate
    assert indices(build(Loader, loader.dataset, batch_size=5)) == indices(loader)


def test_samplers_and_collate_that_follow_from_the_options(Loader, dataset):
    in_turn = Loader(dataset, batch_size=5, drop_last=True)
    assert type(in_turn.sampler) is SequentialSampler and type(in_turn.batch_sampler) is BatchSampler
    batches = in_turn.batch_sampler
    assert batches.sampler is in_turn.sampler and (batches.batch_size, batches.drop_last) == (5, True)
    assert in_turn._auto_collation and in_turn._index_sampler is batches and in_turn.collate_fn is default_collate

    generator = torch.Generator()
    shuffled = Loader(dataset, shuffle=True, generator=generator)
    assert type(shuffled.sampler) is RandomSampler and shuffled.sampler.generator is generator

    mine = [[1, 2]]
    given = build(Loader, dataset, batch_sampler=mine)
    assert given.batch_sampler is given._index_sampler is mine and given.batch_size is None and given.drop_last is False
    assert type(given.sampler) is SequentialSampler and indices(given) == mine

    single = Loader(dataset, batch_size=None, sampler=[3, 1])
    assert single.batch_sampler is None and single._index_sampler is single.sampler == [3, 1]
    assert not single._auto_collation and single.collate_fn is default_convert
    assert [target for _, target in single] == [3, 1]

    stream = Loader(Stream(3))
    assert type(stream.sampler).__name__ == "_InfiniteConstantSampler"
    endless = iter(stream.sampler)
    assert [next(endless) for _ in range(5)] == [None] * 5


# Length


def test_length(Loader, dataset):
    lengths = {(5, False): 3, (5, True): 2, (12, False): 1, (20, True): 0, (None, False): 12}
    for (batch_size, drop_last), length in lengths.items():
        loader = Loader(dataset, batch_size=batch_size, drop_last=drop_last)
        assert len(loader) == len(iter(loader)) == length == len(list(loader))
    assert len(Loader(dataset, batch_sampler=[[1], [2]])) == 2
    assert len(Loader(dataset, sampler=[1, 2, 3], batch_size=2)) == 2
    assert [len(Loader(range(10), 3)), len(Loader(range(10), 3, drop_last=True)), len(Loader(range(10), None))] == [
        4,
        3,
        10,
    ]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_growing_data_set(Loader, dataset, num_workers):
    loader = build(Loader, dataset, batch_size=5, num_workers=num_workers)
    assert len(loader) == 3
    dataset.samples = dataset.samples + dataset.samples[:4]
    assert len(loader) == 4
    assert indices(loader)[2:] == [[10, 11, 0, 1, 2], [3]]


def test_length_of_iterable_data_sets(Loader):
    assert [len(Loader(Stream(9, told=told), 4)) for told in (7, 8, 9)] == [2, 2, 3]
    assert [len(Loader(Stream(9, told=told), 4, drop_last=True)) for told in (7, 8, 9)] == [1, 2, 2]
    assert len(Loader(Stream(9, told=9), None)) == 9
    assert len(Loader(Stream(9, told=9), 4, num_workers=2)) == 3
    loader = Loader(Stream(9), 4)
    with pytest.raises(TypeError) as caught:
        len(loader)
    assert str(caught.value) == "object of type 'Stream' has no len()"
    loader = Loader(Stream(9, told=9), 4)
    assert loader._IterableDataset_len_called is None
    len(loader)
    assert loader._IterableDataset_len_called == 9


@pytest.mark.parametrize("num_workers", [0, 1])
def test_longer_than_told(Loader, num_workers):
    """The warning counts batches and compares with samples: with larger batches it comes late or never."""
    stream = Stream(3, told=2)
    silent, loader = Loader(stream, num_workers=num_workers), Loader(stream, num_workers=num_workers)
    assert len(list(silent)) == 3  # nobody asked for the length
    assert len(loader) == 2
    iterator = iter(loader)
    next(iterator), next(iterator)
    hint = (
        "For multiprocessing data-loading, this could be caused by not properly configuring the IterableDataset replica at each "
        "worker. Please see https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples."
    )
    with pytest.warns(UserWarning, match="Length of IterableDataset") as warned:
        next(iterator)
    assert str(warned[0].message) == (
        f"Length of IterableDataset {stream} was reported to be 2(when accessing len(dataloader)), "
        f"but 3 samples have been fetched. {hint if num_workers else ''}"
    )
    in_batches = Loader(stream, batch_size=2, num_workers=num_workers)
    assert len(in_batches) == 1 and len(list(in_batches)) == 2
