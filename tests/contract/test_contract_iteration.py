"""The DataLoader contract: iterators, run-ahead, time limits, order, contexts. Each on torch's loader and on fastload's."""

from __future__ import annotations

import pickle
import threading
from multiprocessing.context import BaseContext

import pytest
import torch
import torch.utils.data
from torch.utils.data import SequentialSampler
from torchvision.transforms import Compose

from children import LIMIT
from contract import (
    AUGMENT,
    OURS_IN_SHORT,
    SIZE,
    Numbers,
    Pulls,
    build,
    build_with_code,
    in_batches,
    indices,
    made_by_caller,
    made_by_workers,
    make_stuck,
    needs_in_order,
    outcomes,
    same,
    warns_as_today,
    without_chance,
)
from waiting import never_read, when_asleep

FIVES = in_batches(range(SIZE), 5)


# Iterators


@pytest.mark.parametrize("num_workers", [0, 2])
def test_iterators_are_independent(Loader, dataset, num_workers):
    loader = build(Loader, dataset, batch_size=5, num_workers=num_workers)
    first, second = iter(loader), iter(loader)
    assert first is not second and iter(first) is first and loader._iterator is None
    assert indices([next(first), next(second), next(second), next(first)]) == [FIVES[0], FIVES[0], FIVES[1], FIVES[1]]
    for iterator in (first, second):
        assert indices([next(iterator)]) == FIVES[2:]
        for _ in range(2):
            with pytest.raises(StopIteration):
                next(iterator)
    assert indices(loader) == FIVES and loader._iterator is None


@pytest.mark.parametrize("taken", [1, 6])
def test_persistent_iterator_is_reset(Loader, dataset, taken):
    """One object, whose workers go on with the generators that they have, at whatever point the epoch was left."""
    pairs = in_batches(range(SIZE), 2)
    loader = build(Loader, dataset, batch_size=2, num_workers=2, persistent_workers=True)
    older = iter(loader)
    base_seed, state = older._base_seed, torch.get_rng_state()
    first = [next(older) for _ in range(taken)]
    assert older._num_yielded == taken
    newer = iter(loader)
    assert newer is older is loader._iterator and newer._num_yielded == 0 and newer._base_seed == base_seed
    second = [next(older), *newer]
    assert torch.equal(torch.get_rng_state(), state)
    asked_for = min(taken + 4, 6)  # four batches ahead
    expected = made_by_workers(dataset, [pairs[:asked_for], pairs], base_seed, 2)
    assert same(first, expected[:taken]) and same(second, expected[asked_for:])


def test_a_persistent_iterator_may_be_put_away(Loader, dataset):
    """As frameworks do, to have the workers begin anew."""
    loader = build(Loader, dataset, batch_size=5, num_workers=1, persistent_workers=True)
    older = iter(loader)
    assert indices(older) == FIVES
    loader._iterator = None
    newer = iter(loader)
    assert newer is loader._iterator is not older and newer._base_seed != older._base_seed
    assert same(list(newer), made_by_workers(dataset, [FIVES], newer._base_seed, 1))


def test_persistent_workers_keep_their_data_set(Loader, dataset):
    loader = build(Loader, dataset, batch_size=5, num_workers=1, persistent_workers=True)
    shape = next(iter(loader))[0].shape
    dataset.samples[1] = dataset.samples[7]
    dataset.transform = without_chance(dataset)
    for _ in range(2):
        images, targets = next(iter(loader))
        assert images.shape == shape and targets.tolist() == FIVES[0]


def test_without_workers_the_data_set_is_used_as_it_is(Loader, dataset):
    loader = build(Loader, dataset, batch_size=4)
    iterator = iter(loader)
    assert indices([next(iterator)]) == [[0, 1, 2, 3]]
    dataset.samples[5] = dataset.samples[9]
    assert indices([next(iterator)]) == [[4, 9, 6, 7]]


def test_without_workers_the_transform_is_used_as_it_is(Loader, dataset):
    iterator = iter(build(Loader, dataset, batch_size=4))
    next(iterator)
    dataset.transform = without_chance(dataset)
    assert torch.equal(next(iterator)[0], made_by_caller(dataset, [[4, 5, 6, 7]])[0][0])


def test_workers_have_the_data_set_of_when_the_iterator_was_made(Loader, dataset):
    loader = build(Loader, dataset, batch_size=2, num_workers=1)
    dataset.samples[1] = dataset.samples[7]
    iterator = iter(loader)
    shape = next(iterator)[0].shape
    dataset.samples[10], dataset.transform = dataset.samples[3], without_chance(dataset)
    rest = list(iterator)
    assert indices(rest) == [[2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]
    assert all(images.shape == shape for images, _ in rest)
    afterwards = list(loader)
    assert indices(afterwards)[::5] == [[0, 7], [3, 11]] and afterwards[0][0].shape != shape


@pytest.mark.parametrize("options", [(0, None), (1, 2), (2, 2), (2, 3)], ids=str)
def test_the_sampler_runs_ahead(Loader, dataset, options):
    num_workers, prefetch_factor = options
    sampler = Pulls(SequentialSampler(dataset), 1, False)
    loader = build(Loader, dataset, batch_sampler=sampler, num_workers=num_workers, prefetch_factor=prefetch_factor)
    iterator = iter(loader)
    # Once by the iterator, once by its reset.
    assert sampler.begun == (2 if num_workers else 1)
    pulled = [sampler.pulled]
    for _ in range(3):
        next(iterator)
        pulled.append(sampler.pulled)
    ahead = num_workers * (prefetch_factor or 0)
    assert pulled == [ahead, ahead + 1, ahead + 2, ahead + 3]


def test_the_sampler_is_begun_once_by_each_further_epoch(Loader, dataset):
    sampler = Pulls(SequentialSampler(dataset), 4, False)
    loader = build(Loader, dataset, batch_sampler=sampler, num_workers=1, persistent_workers=True)
    for begun in (2, 3, 4):
        assert indices(loader) == in_batches(range(SIZE), 4) and sampler.begun == begun


class Schedule:
    """Batches of a size that may change at any time."""

    size = 2

    def __iter__(self):
        at = 0
        while at < SIZE:
            batch = list(range(at, min(at + self.size, SIZE)))
            at += len(batch)
            yield batch


@pytest.mark.parametrize(("num_workers", "sizes"), [(0, [2, 4, 4, 2]), (1, [2, 2, 2, 4, 2])])
def test_the_batch_sampler_is_live(Loader, dataset, num_workers, sizes):
    schedule = Schedule()
    iterator = iter(build(Loader, dataset, batch_sampler=schedule, num_workers=num_workers))
    batches = [next(iterator)]
    schedule.size = 4
    batches += iterator
    assert [len(batch) for batch in indices(batches)] == sizes
    assert [index for batch in indices(batches) for index in batch] == list(range(SIZE))


class Ident:
    """Notes the thread that it runs in."""

    def __init__(self):
        self.threads = []

    def __call__(self, given):
        self.threads.append(threading.get_ident())
        return given


def test_without_workers_user_code_runs_in_the_calling_thread(Loader, dataset):
    transform, collate = Ident(), Ident()
    dataset.transform = Compose([dataset.transform, transform])
    iterator = iter(build_with_code(Loader, dataset, batch_size=5, collate_fn=collate))
    assert transform.threads == collate.threads == []
    next(iterator)
    assert transform.threads == [threading.get_ident()] * 5 and collate.threads == [threading.get_ident()]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_what_iterators_show(Loader, dataset, num_workers):
    loader = build(Loader, dataset, batch_size=5, num_workers=num_workers)
    iterator = iter(loader)
    assert isinstance(iterator, torch.utils.data.dataloader._BaseDataLoaderIter)
    assert iterator._index_sampler is loader.batch_sampler and iterator._num_workers == num_workers
    assert iter(iterator._sampler_iter) is iterator._sampler_iter
    assert iterator._num_yielded == 0 and type(iterator._base_seed) is int
    with torch.autograd.profiler.profile() as profile:
        next(iterator)
    assert iterator._num_yielded == 1
    assert any(
        event.name.startswith("enumerate(DataLoader)#") and event.name.endswith(".__next__")
        for event in profile.function_events
    )
    with pytest.raises(NotImplementedError) as caught:
        pickle.dumps(iterator)
    assert caught.value.args == ("{} cannot be pickled", type(iterator).__name__)
    assert indices(iterator) == FIVES[1:]


def test_workers_of_an_iterator(Loader, dataset):
    """Those who clean up after it look at its workers and shut them down."""
    iterator = iter(build(Loader, dataset, batch_size=5, num_workers=1))
    assert all(worker.daemon for worker in iterator._workers)
    next(iterator)
    iterator._shutdown_workers()
    iterator._shutdown_workers()
    assert not any(worker.is_alive() for worker in iterator._workers)


# Time limits, order, contexts


@pytest.fixture
def stuck(dataset, tmp_path):
    """A data set whose first sample waits until the pipe that comes with it lets go, and then fails."""
    path = tmp_path / "pipe.jpg"
    with never_read(path) as pipe:
        yield make_stuck(dataset, path), pipe


@pytest.mark.parametrize("Loader", OURS_IN_SHORT)
def test_time_limit(Loader, stuck):
    dataset, pipe = stuck
    iterator = iter(build(Loader, dataset, batch_size=6, num_workers=1, timeout=0.3))
    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            next(iterator)
        assert type(caught.value) is RuntimeError and str(caught.value) == "DataLoader timed out after 0.3 seconds"
    pipe.let_go()
    iterator._timeout = LIMIT
    failed, batch = outcomes(iterator)
    assert isinstance(failed, OSError) and indices([batch]) == [[6, 7, 8, 9, 10, 11]]


def test_batches_come_in_order(Loader, stuck):
    dataset, pipe = stuck
    iterator = iter(build(Loader, dataset, batch_size=3, num_workers=2, timeout=LIMIT))
    pipe.until_read()
    with when_asleep(pipe.let_go):
        failed, *batches = outcomes(iterator)
    assert isinstance(failed, OSError) and indices(batches) == in_batches(range(3, SIZE), 3)


@needs_in_order
def test_batches_come_when_they_are_ready(Loader, stuck):
    """Without in_order, what can be made is not kept waiting: one worker is stuck, the other makes all the rest.

    Where there are worker processes; native threads make each batch together, and so in order.
    """
    dataset, pipe = stuck
    options = {"num_workers": 2, "prefetch_factor": 1, "timeout": LIMIT, "in_order": False}
    iterator = iter(build_with_code(Loader, dataset, batch_size=3, worker_init_fn=lambda worker: None, **options))
    assert indices([next(iterator) for _ in range(3)]) == in_batches(range(3, SIZE), 3)
    pipe.let_go()
    (failed,) = outcomes(iterator)
    assert isinstance(failed, OSError)


@needs_in_order
@pytest.mark.parametrize("num_workers", [0, 1])
def test_one_maker_of_batches_keeps_the_order(Loader, dataset, num_workers):
    assert indices(build(Loader, dataset, batch_size=5, num_workers=num_workers, in_order=False)) == FIVES


def assert_serves(Loader, dataset, context):
    loader = build(Loader, dataset, batch_size=6, num_workers=1, multiprocessing_context=context)
    assert isinstance(loader.multiprocessing_context, BaseContext)
    iterator = iter(loader)
    expected = made_by_workers(dataset, [in_batches(range(SIZE), 6)], iterator._base_seed, 1)
    assert same(list(iterator), expected)


@pytest.mark.parametrize("context", ["fork", torch.multiprocessing.get_context("fork")], ids=["fork", "object"])
def test_contexts(Loader, dataset, context):
    assert_serves(Loader, dataset, context)


@pytest.mark.parametrize("Loader", OURS_IN_SHORT)
def test_a_context_that_spawns(Loader, dataset):
    assert_serves(Loader, dataset, "spawn")


@warns_as_today
def test_what_cannot_be_sent_to_a_worker(Loader, dataset):
    dataset.transform = Compose(
        [*([] if isinstance(dataset, Numbers) else AUGMENT.transforms), lambda value: (len(value), value)[1]]
    )
    loader = build_with_code(Loader, dataset, num_workers=1, multiprocessing_context="spawn")
    with (
        pytest.warns(UserWarning, match="Got pickle error when attempting to start a worker Process"),
        pytest.raises((AttributeError, pickle.PicklingError), match=r"pickle|local object"),  # as the Python says it
    ):
        iter(loader)
