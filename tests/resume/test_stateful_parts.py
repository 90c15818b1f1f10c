"""Data sets, samplers and their iterators that keep a state of their own: on torchdata's StatefulDataLoader and on fastload's."""

from __future__ import annotations

import copy
import inspect
import random

import pytest
import torch
import torchdata.stateful_dataloader
from torch.utils.data import BatchSampler, Dataset, IterableDataset, Sampler, get_worker_info

import fastload

SIZE = 22


LOADERS = {
    "torchdata": torchdata.stateful_dataloader.StatefulDataLoader,
    "fastload": fastload.StatefulDataLoader,
}


# torchdata's own has its turn in `make test-all`.
@pytest.fixture(params=[pytest.param("torchdata", marks=pytest.mark.slow), "fastload"])
def Loader(request):
    return LOADERS[request.param]


class Numbers(Dataset):
    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        return torch.tensor(index)


class Walk:
    """An iterator that goes a random way, which nothing but its state tells."""

    def __init__(self):
        self.seed, self.given = random.randrange(10**6), 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.given == SIZE:
            raise StopIteration
        self.given += 1
        return random.Random(self.seed + self.given).randrange(SIZE)

    def state_dict(self):
        return {"seed": self.seed, "given": self.given}

    def load_state_dict(self, state):
        self.seed, self.given = state["seed"], state["given"]


class Walks(Sampler):
    """The iterator keeps the state, not the sampler."""

    def __iter__(self):
        return Walk()

    def __len__(self):
        return SIZE


class WalkInBatches(Walk):
    def __next__(self):
        return [super(WalkInBatches, self).__next__() for _ in range(2)]


class BatchedWalks(Walks):
    def __iter__(self):
        return WalkInBatches()

    def __len__(self):
        return SIZE // 2


class Epochs(Sampler):
    """Counts epochs, and turns to the next one at the end of its iteration."""

    def __init__(self):
        self.epoch_number, self.given, self.resumed = 0, 0, None

    def __iter__(self):
        self.given, self.resumed = self.resumed or 0, None
        order = random.Random(self.epoch_number).sample(range(SIZE), SIZE)
        for index in order[self.given :]:
            self.given += 1
            yield index
        self.given = 0
        self.epoch_number += 1

    def __len__(self):
        return SIZE

    def state_dict(self):
        return {"epoch": self.epoch_number, "given": self.given}

    def load_state_dict(self, state):
        self.epoch_number, self.resumed = state["epoch"], state["given"]


class BatchedEpochs(Epochs):
    def __iter__(self):
        return iter(BatchSampler(super().__iter__(), 2, False))

    def __len__(self):
        return SIZE // 2


class Stream(IterableDataset):
    """Counts epochs like the sampler; every worker has a part."""

    def __init__(self):
        self.epoch, self.given, self.resumed = 0, 0, None

    def __iter__(self):
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        self.given, self.resumed = self.resumed or 0, None
        for number in range(first + self.given * step, SIZE, step):
            self.given += 1
            yield 100 * self.epoch + number
        self.given = 0
        self.epoch += 1

    def state_dict(self):
        return {"epoch": self.epoch, "given": self.given}

    def load_state_dict(self, state):
        self.epoch, self.resumed = state["epoch"], state["given"]


class OwnIterator(IterableDataset):
    """Its own iterator, whose place exists from ``iter()`` on and can be set only then."""

    def __iter__(self):
        worker = get_worker_info()
        self.place = {"at": 0 if worker is None else worker.id, "step": 1 if worker is None else worker.num_workers}
        return self

    def __next__(self):
        if self.place["at"] >= SIZE:
            raise StopIteration
        self.place["at"] += self.place["step"]
        return self.place["at"] - self.place["step"]

    def state_dict(self):
        return self.place  # the live one

    def load_state_dict(self, state):
        self.place.update(state)


class Calls(Dataset):
    """A map-style data set that counts, over all epochs."""

    def __init__(self):
        self.calls = 0

    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        self.calls += 1
        return self.calls

    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, state):
        self.calls = state["calls"]


PARTS = {
    "iterator of the sampler": lambda: (Numbers(), {"sampler": Walks(), "batch_size": 2}),
    "iterator of single samples": lambda: (Numbers(), {"sampler": Walks(), "batch_size": None}),
    "iterator of the batch sampler": lambda: (Numbers(), {"batch_sampler": BatchedWalks()}),
    "sampler": lambda: (Numbers(), {"sampler": Epochs(), "batch_size": 2}),
    "batch sampler": lambda: (Numbers(), {"batch_sampler": BatchedEpochs()}),
    "stream": lambda: (Stream(), {"batch_size": 2}),
    "stream of single samples": lambda: (Stream(), {"batch_size": None}),
    "its own iterator": lambda: (OwnIterator(), {"batch_size": 2}),
    "map-style": lambda: (Calls(), {"batch_size": 2}),
}


@pytest.fixture(params=list(PARTS))
def part(request):
    return PARTS[request.param]


@pytest.fixture(params=[0, 2], ids=["caller", "workers"])
def num_workers(request):
    return request.param


def build(Loader, part, num_workers):
    dataset, options = part()
    return Loader(dataset, num_workers=num_workers, persistent_workers=num_workers > 0, **options)


def resumed(Loader, part, num_workers, state):
    random.seed(77)
    loader = build(Loader, part, num_workers)
    loader.load_state_dict(state)
    return loader


def values(batches):
    return [batch.tolist() if isinstance(batch, torch.Tensor) else batch for batch in batches]


def test_in_the_middle_of_the_second_epoch(Loader, part, num_workers):
    loader = build(Loader, part, num_workers)
    list(loader)
    iterator = iter(loader)
    for _ in range(3):
        next(iterator)
    state = copy.deepcopy(loader.state_dict())
    rest = values(iterator)
    assert len(rest) >= 8
    assert values(resumed(Loader, part, num_workers, state)) == rest


def test_after_the_end_of_an_epoch(Loader, part, num_workers):
    if part in (
        PARTS["iterator of the sampler"],
        PARTS["iterator of single samples"],
        PARTS["iterator of the batch sampler"],
    ):
        pytest.skip("every epoch goes another way")
    loader = build(Loader, part, num_workers)
    list(loader)
    state = copy.deepcopy(loader.state_dict())
    following = [values(loader), values(loader)]
    again = resumed(Loader, part, num_workers, state)
    assert [values(again), values(again)] == following
    assert len(following[1]) >= SIZE // 2


def test_a_state_stays_as_it_was_when_it_was_asked_for():
    """However the data set goes on."""
    loader = fastload.StatefulDataLoader(OwnIterator(), batch_size=2)
    iterator = iter(loader)
    next(iterator)
    state = loader.state_dict()
    before = copy.deepcopy(state)
    next(iterator)
    assert state == before


@pytest.mark.parametrize("taken", [9, 10, 11, 12])
def test_a_worker_that_has_ended_stays_at_its_end(taken):
    """A last batch that is short shows a worker the end of its part: the data set already stands before the next epoch."""

    def loader():
        return fastload.StatefulDataLoader(Stream(), batch_size=2, num_workers=2, persistent_workers=True)

    first = loader()
    iterator = iter(first)
    for _ in range(taken):
        next(iterator)
    state = first.state_dict()
    rest = [values(iterator), values(first)]
    again = loader()
    again.load_state_dict(state)
    assert [values(again), values(again)] == rest
    assert sum(map(len, rest[1])) == SIZE


def test_the_state_before_the_first_batch_is_that_of_the_data_set(Loader):
    loader = Loader(Calls(), batch_size=2)
    list(loader)
    iterator = iter(loader)
    state = copy.deepcopy(loader.state_dict())
    again = Loader(Calls(), batch_size=2)
    again.load_state_dict(state)
    assert values(again) == values(iterator)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_before_the_first_batch_the_order_is_settled(Loader, num_workers):
    loader = Loader(Numbers(), batch_size=2, shuffle=True, num_workers=num_workers)
    iterator = iter(loader)
    state = copy.deepcopy(loader.state_dict())
    whole = values(iterator)
    torch.manual_seed(99)
    again = Loader(Numbers(), batch_size=2, shuffle=True, num_workers=num_workers)
    again.load_state_dict(state)
    assert values(again) == whole


class Draws(Numbers):
    """Its state is torch's generator."""

    def __getitem__(self, index):
        return index + torch.rand(())

    def state_dict(self):
        return {"generator": torch.get_rng_state()}

    def load_state_dict(self, state):
        torch.set_rng_state(state["generator"])


@pytest.mark.parametrize("taken", [0, 4])
def test_a_data_set_that_puts_the_generator_back(Loader, taken, num_workers):
    """The order comes from the same generator, and is not drawn from what the data set puts back for its samples."""
    loader = Loader(Draws(), batch_size=2, shuffle=True, num_workers=num_workers)
    iterator = iter(loader)
    for _ in range(taken):
        next(iterator)
    state = copy.deepcopy(loader.state_dict())
    rest = values(iterator)
    for _ in range(2):
        torch.manual_seed(99)
        loader.load_state_dict(state)
        assert values(loader) == rest


@pytest.mark.parametrize("every", [0, 1, 2, 5, 100])
def test_whatever_the_snapshots_a_state_is_exact(Loader, num_workers, every):
    options = {"batch_size": 2, "num_workers": num_workers, "snapshot_every_n_steps": every}
    loader = Loader(Stream(), **options)
    assert loader.snapshot_every_n_steps == every
    iterator = iter(loader)
    for _ in range(4):
        next(iterator)
    state = copy.deepcopy(loader.state_dict())
    again = Loader(Stream(), **options)
    again.load_state_dict(state)
    assert values(again) == values(iterator)


def test_torchdatas_parameters_come_first_with_its_defaults():
    theirs = list(inspect.signature(torchdata.stateful_dataloader.StatefulDataLoader).parameters.values())
    ours = list(inspect.signature(fastload.StatefulDataLoader).parameters.values())[: len(theirs)]
    assert [(p.name, p.kind, p.default) for p in ours] == [(p.name, p.kind, p.default) for p in theirs]


@pytest.mark.parametrize("wrong", [-1, 1.5, "1"])
def test_nonsense_for_snapshots_is_refused(wrong):
    with pytest.raises(ValueError, match="snapshot_every_n_steps"):
        fastload.StatefulDataLoader(Numbers(), snapshot_every_n_steps=wrong)
