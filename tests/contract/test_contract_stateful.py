"""The contract of torchdata's StatefulDataLoader, on torchdata's and on fastload's."""

from __future__ import annotations

import copy
import json

import pytest
import torch
import torch.utils.data
import torchdata.stateful_dataloader
import torchvision.transforms as v1
from torch.utils.data import Dataset, IterableDataset, Sampler, Subset, get_worker_info
from torchvision.datasets import ImageFolder

import fastload
from images import write_folder


# torchdata's own has its turn in `make test-all`.
@pytest.fixture(params=[pytest.param("torchdata", marks=pytest.mark.slow), "fastload"])
def Loader(request):
    return {
        "torchdata": torchdata.stateful_dataloader.StatefulDataLoader,
        "fastload": fastload.StatefulDataLoader,
    }[request.param]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Without random transforms: torchdata does not carry the workers' generators."""
    root = write_folder(tmp_path_factory.mktemp("folder"), classes=3, images=7, largest=60)
    return ImageFolder(root, v1.Compose([v1.Resize((20, 20)), v1.ToTensor()]))


class Numbers(Dataset):
    def __len__(self):
        return 21

    def __getitem__(self, index):
        return torch.tensor(index)


class Counter(Dataset):
    """A map-style data set with a state."""

    def __init__(self):
        self.calls = 0

    def __len__(self):
        return 21

    def __getitem__(self, index):
        self.calls += 1
        return self.calls

    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, state):
        self.calls = state["calls"]


class Stream(IterableDataset):
    def __iter__(self):
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return iter(range(first, 21, step))


class StatefulStream(IterableDataset):
    """Its iterator has the state."""

    def __iter__(self):
        return _Place()


class _Place:
    def __init__(self):
        worker = get_worker_info()
        self.at, self.step = (0, 1) if worker is None else (worker.id, worker.num_workers)

    def __iter__(self):
        return self

    def __next__(self):
        if self.at >= 21:
            raise StopIteration
        self.at += self.step
        return self.at - self.step

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


def values(batches):
    return [batch[0].tolist() if isinstance(batch, list) else batch.tolist() for batch in batches]


@pytest.fixture(params=["images", "subset", "numbers", "counter", "stream", "stateful-stream"])
def dataset(request, folder):
    return {
        "images": folder,
        "subset": Subset(folder, list(range(0, 21, 2))),
        "numbers": Numbers(),
        "counter": Counter(),
        "stream": Stream(),
        "stateful-stream": StatefulStream(),
    }[request.param]


def resumed(Loader, dataset, state, **options):
    loader = Loader(copy.deepcopy(dataset), **options)
    loader.load_state_dict(state)
    return loader


@pytest.mark.parametrize("num_workers", [0, 2])
def test_resuming_gives_the_rest_and_then_a_whole_epoch(Loader, dataset, num_workers):
    options = {"batch_size": 2, "num_workers": num_workers}
    loader = Loader(copy.deepcopy(dataset), **options)
    iterator = iter(loader)
    for _ in range(3):
        next(iterator)
    state = loader.state_dict()
    rest = values(iterator)
    again = resumed(Loader, dataset, state, **options)
    assert values(again) == rest and len(rest) >= 3
    assert len(values(again)) == len(rest) + 3


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_state_of_the_end_gives_a_whole_epoch(Loader, folder, num_workers):
    options = {"batch_size": 2, "num_workers": num_workers}
    loader = Loader(folder, **options)
    whole = values(loader)
    state = loader.state_dict()
    assert state["_iterator_finished"] is True
    assert values(resumed(Loader, folder, state, **options)) == whole


@pytest.mark.parametrize("num_workers", [0, 2])
def test_states_before_the_first_batch_are_valid(Loader, folder, num_workers):
    options = {"batch_size": 2, "num_workers": num_workers}
    loader = Loader(folder, **options)
    whole = values(Loader(folder, **options))
    assert values(resumed(Loader, folder, loader.state_dict(), **options)) == whole
    iterator = iter(loader)
    state = loader.state_dict()
    assert values(iterator) == whole
    assert values(resumed(Loader, folder, state, **options)) == whole


def test_a_loaded_state_is_given_back_unchanged(Loader, folder):
    loader = Loader(folder, batch_size=2)
    next(iter(loader))
    state = loader.state_dict()
    again = resumed(Loader, folder, copy.deepcopy(state), batch_size=2)
    given = again.state_dict()
    assert given["_num_yielded"] == state["_num_yielded"] == 1
    assert given["_iterator_finished"] == state["_iterator_finished"]
    assert values(again) == values(resumed(Loader, folder, given, batch_size=2))


def test_an_empty_state_resets(Loader, folder):
    loader = Loader(folder, batch_size=2)
    next(iter(loader))
    loader.load_state_dict({})
    assert len(values(loader)) == 11


def test_only_the_next_iterator_resumes(Loader, folder):
    loader = Loader(folder, batch_size=2)
    iterator = iter(loader)
    for _ in range(4):
        next(iterator)
    again = resumed(Loader, folder, loader.state_dict(), batch_size=2)
    assert [len(values(again)) for _ in range(3)] == [7, 11, 11]


def test_every_state_is_a_fresh_dictionary(Loader, folder):
    """Accelerate changes what it is given."""
    loader = Loader(folder, batch_size=2)
    iterator = iter(loader)
    next(iterator)
    first = loader.state_dict()
    first["_num_yielded"] = 77
    assert loader.state_dict()["_num_yielded"] == 1
    next(iterator)
    assert loader.state_dict()["_num_yielded"] == 2


def test_names_that_accelerate_changes(Loader, folder):
    loader = Loader(folder, batch_size=2)
    next(iter(loader))
    assert {"_num_yielded", "_sampler_iter_yielded", "_iterator_finished"} <= set(loader.state_dict())


@pytest.mark.parametrize(("saved", "here"), [(0, 2), (2, 0), (2, 1)])
def test_another_number_of_workers_is_refused(Loader, folder, saved, here):
    loader = Loader(folder, batch_size=2, num_workers=saved)
    iterator = iter(loader)
    next(iterator)
    state = loader.state_dict()
    del iterator
    with pytest.raises(AssertionError):
        next(iter(resumed(Loader, folder, state, batch_size=2, num_workers=here)))


class Backwards(Sampler):
    """A sampler with a state of its own, which is not a count."""

    def __init__(self):
        self.left = 21

    def __iter__(self):
        while self.left:
            self.left -= 1
            yield self.left
        self.left = 21

    def __len__(self):
        return 21

    def state_dict(self):
        return {"left": self.left}

    def load_state_dict(self, state):
        self.left = state["left"]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_sampler_may_keep_its_own_state(Loader, folder, num_workers):
    def loader():
        return Loader(folder, batch_size=2, sampler=Backwards(), num_workers=num_workers)

    first = loader()
    iterator = iter(first)
    for _ in range(3):
        next(iterator)
    state = first.state_dict()
    second = loader()
    second.load_state_dict(state)
    assert values(second) == values(iterator)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_states_are_json_if_the_parts_are(Loader, folder, num_workers):
    loader = Loader(folder, batch_size=2, sampler=Backwards(), num_workers=num_workers)
    iterator = iter(loader)
    next(iterator)
    state = json.loads(json.dumps(loader.state_dict()))
    again = Loader(folder, batch_size=2, sampler=Backwards(), num_workers=num_workers)
    again.load_state_dict(state)
    assert values(again) == values(iterator)


def test_a_shuffled_epoch_goes_on_with_the_same_order(Loader, folder):
    torch.manual_seed(0)
    loader = Loader(folder, batch_size=2, shuffle=True, num_workers=2)
    iterator = iter(loader)
    for _ in range(5):
        next(iterator)
    state = loader.state_dict()
    rest = values(iterator)
    torch.manual_seed(1)
    assert values(resumed(Loader, folder, state, batch_size=2, shuffle=True, num_workers=2)) == rest


def test_persistent_workers(Loader, folder):
    options = {"batch_size": 2, "num_workers": 2, "persistent_workers": True}
    loader = Loader(folder, **options)
    list(loader)
    iterator = iter(loader)
    for _ in range(3):
        next(iterator)
    state = loader.state_dict()
    assert values(resumed(Loader, folder, state, **options)) == values(iterator)


def test_loaders_are_torchs(Loader, folder):
    loader = Loader(folder, batch_size=2)
    assert isinstance(loader, torch.utils.data.DataLoader)
    assert len(loader) == 11
