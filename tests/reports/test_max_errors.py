"""Samples that fail and are passed over: how many are remembered, how all are counted, and when there are too many."""

from __future__ import annotations

import json
import pickle

import pytest
import torchvision.transforms as v1
from torchvision.datasets import ImageFolder

import fastload
from fastload.reports.errors import SampleError
from fastload.reports.failed_samples import Ledger
from images import write_folder
from recipes import InPython

NATIVE = v1.Compose([v1.Resize((8, 8)), v1.ToTensor()])
WITH_CODE = v1.Compose([*NATIVE.transforms, InPython(0.0)])
SIZE = 12
# In this process's threads, in its calling thread, in worker processes.
PLACES = [(NATIVE, 0), (NATIVE, 2), (WITH_CODE, 0), (WITH_CODE, 2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=1, images=SIZE, largest=30)


@pytest.fixture(params=PLACES, ids=["threads", "threads-as-workers", "caller", "workers"])
def build(request, folder, tmp_path):
    """A loader of the folder, of which these files are no images."""
    transform, num_workers = request.param

    def loader(bad, Loader=fastload.DataLoader, **options):
        dataset = ImageFolder(folder, transform)
        for index in bad:
            path = tmp_path / f"{index}.jpg"
            path.write_bytes(b"no image")
            dataset.samples[index] = str(path), 0
        options = {"batch_size": 3, "num_workers": num_workers, "on_error": "skip", **options}
        return Loader(dataset, **options)

    return loader


@pytest.mark.parametrize("on_error", ["skip", "replace"])
def test_so_many_failures_in_a_row_stop_the_run(build, on_error):
    loader = build([1, 4, 5, 6, 7, 10], on_error=on_error, max_errors=4)
    iterator = iter(loader)
    next(iterator), next(iterator)
    with pytest.raises(fastload.TooManyErrors, match=r"4 samples in a row.*max_errors=4.*sample 7 ") as caught:
        next(iterator)
    assert (caught.value.index, caught.value.path) == (7, loader.dataset.samples[7][0])
    assert len(list(build([1, 4, 5, 6, 7, 10], on_error=on_error, max_errors=5))) == 4
    assert len(list(build([1, 4, 5, 6, 7, 10], on_error=on_error))) == 4


def test_good_samples_break_the_row(build):
    assert len(list(build([0, 2, 4, 6, 8, 10], max_errors=2))) == 4


def test_more_than_a_share_of_an_epoch_stops_the_run(build):
    bad = [0, 3, 6, 9]
    assert len(list(build(bad, max_errors=4 / SIZE))) == 4
    iterator = iter(build(bad, max_errors=0.3))
    next(iterator), next(iterator), next(iterator)
    with pytest.raises(fastload.TooManyErrors, match="4 of the 12 samples"):
        next(iterator)


def test_every_epoch_is_counted_anew(build):
    persistent = {"persistent_workers": True} if build([]).num_workers else {}
    loader = build([0, 3, 10, 11], max_errors=0.4, **persistent)
    assert [len(list(loader)) for _ in range(3)] == [4, 4, 4]
    assert len(list(build([0, 1, 10, 11], max_errors=3))) == 4
    loader = build([0, 1, 10, 11], max_errors=3, **persistent)  # not in a row: an epoch lies between
    assert [len(list(loader)) for _ in range(2)] == [4, 4]


@pytest.mark.parametrize("max_errors", [4, 0.3])
def test_a_resumed_epoch_goes_on_counting(build, max_errors):
    bad = [2, 3, 4, 5] if max_errors == 4 else [0, 4, 8, 9]
    Loader = fastload.StatefulDataLoader
    first = build(bad, Loader, max_errors=max_errors)
    next(iter(first))
    again = build(bad, Loader, max_errors=max_errors)
    again.load_state_dict(json.loads(json.dumps(first.state_dict())))
    with pytest.raises(fastload.TooManyErrors):
        list(again)
    assert again.stats()["errors"] == 4


def test_all_are_counted_by_reason(build, tmp_path):
    loader = build([1, 2, 7])
    loader.dataset.samples[5] = str(tmp_path / "nowhere.jpg"), 0
    list(loader), list(loader)
    figures = loader.stats()
    assert figures["errors"] == 4 and figures["all_errors"] == 8
    assert sum(figures["errors_by_reason"].values()) == 8
    assert sorted(figures["errors_by_reason"].values()) == [2, 6]
    assert len(loader.errors) == 8


def test_the_ledger_keeps_the_newest():
    ledger = Ledger()
    for start in range(0, 5000, 50):
        ledger.add([SampleError(index, None, f"OSError: file {index}") for index in range(start, start + 50)])
    assert [error.index for error in ledger.newest] == list(range(4000, 5000))
    assert (ledger.count, ledger.by_reason) == (5000, {"OSError": 5000})
    ledger.add([SampleError(0, None, f"reason {number}") for number in range(1000)])
    assert len(ledger.by_reason) <= 101 and sum(ledger.by_reason.values()) == ledger.count == 6000


@pytest.mark.parametrize("wrong", [0, -1, 0.0, 1.0, 1.5, -0.1, True, False, "3", [1], float("nan"), float("inf")])
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValueError, match="max_errors"):
        fastload.DataLoader([1, 2], on_error="skip", max_errors=wrong)


def test_it_needs_a_policy_that_passes_over_errors():
    with pytest.raises(ValueError, match="on_error"):
        fastload.DataLoader([1, 2], max_errors=3)
    loader = fastload.DataLoader([1, 2], on_error="skip", max_errors=3)
    assert loader.max_errors == 3 and pickle.loads(pickle.dumps(loader)).max_errors == 3
