"""``threads="auto"``: batches are what they are with any number of threads; the number settles where most images are made."""

from __future__ import annotations

import pickle

import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
from torchvision.datasets import ImageFolder

from fastload import DataLoader, _core
from fastload.engine import ThreadFinder, finder_for, thread_finder
from images import write_folder

RANDOM = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor()])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=9)


@pytest.fixture
def _four_cores(monkeypatch):
    monkeypatch.setattr("fastload.engine.cpu_share.share_of_cores", lambda: 4)


@pytest.fixture
def _short_windows(monkeypatch):
    monkeypatch.setattr(thread_finder, "_WINDOW_S", 0.0)
    monkeypatch.setattr(thread_finder, "_WINDOW_BATCHES", 1)


def epochs(kind, root, **options):
    torch.manual_seed(3)
    loader = kind(ImageFolder(str(root), RANDOM), 2, shuffle=True, **options)
    return [[batch for batch in loader] for _ in range(4)], loader


@pytest.mark.usefixtures("_four_cores", "_short_windows")
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_torchs_while_the_number_is_found_and_after(root, workers):
    theirs, _ = epochs(torch.utils.data.DataLoader, root, num_workers=workers)
    ours, loader = epochs(DataLoader, root, num_workers=workers, threads="auto")
    for epoch, expected in zip(ours, theirs, strict=True):
        for (images, targets), (right_images, right_targets) in zip(epoch, expected, strict=True):
            assert torch.equal(images, right_images) and torch.equal(targets, right_targets)
    for _ in range(40):  # with so much read ahead, an epoch is one window
        if not loader._finder.is_settled:
            list(loader)
    assert loader._finder.is_settled  # whatever was measured
    found = loader.stats()["threads"]
    assert 1 <= found <= 4 and f"{found} of 4 threads, found by trying (images/s" in loader.stats()["threads_why"]
    assert f"  threads: {loader.stats()['threads_why']}" in loader.explain().splitlines()
    before = loader._finder
    next(iter(loader))
    assert loader._finder is before and loader.stats()["threads"] == found  # kept


class Clockwork:
    """An engine of so many threads that makes samples at a known rate."""

    def __init__(self, rate, monkeypatch):
        self.rate, self.seconds, self.samples_made, self.running_threads = rate, 0.0, 0.0, 0
        monkeypatch.setattr(thread_finder.time, "perf_counter", lambda: self.seconds)

    def run_on(self, threads):
        self.running_threads = threads

    def batch(self):
        self.seconds += 0.1
        self.samples_made += self.rate(self.running_threads, self.seconds) * 0.1


def settled(rate, most, monkeypatch, *, seconds=1000.0):
    engine = Clockwork(rate, monkeypatch)
    finder = ThreadFinder(most)
    finder.begin(engine)
    while not finder.is_settled:
        engine.batch()
        finder.delivered(engine, 0.0, ahead=2, asked=2)
        assert engine.seconds < seconds
        assert engine.running_threads == finder.threads
    return finder.threads


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (lambda n, at: 100.0 * n, 16),  # more is more
        (lambda n, at: 100.0 * min(n, 5), 5),  # the training takes no more
        (lambda n, at: 100.0, 1),
        (lambda n, at: 100.0 * n - 6.0 * n * n, 8),  # they are in each other's way: 8 or 9
        (lambda n, at: 100.0 * min(n, 12) - 40.0 * max(0, n - 12), 12),
        (lambda n, at: 100.0 * n * (1.2 if int(at) % 3 else 1.0), 16),  # a machine that others use, too
    ],
)
def test_it_settles_where_most_is_made_with_the_fewest_threads(rate, expected, monkeypatch):
    assert settled(rate, 16, monkeypatch, seconds=60.0) == expected


@pytest.mark.parametrize("most", range(1, 9))
def test_it_settles_whatever_the_number_of_cores(most, monkeypatch):
    assert settled(lambda n, at: 10.0 * n, most, monkeypatch) == most
    assert settled(lambda n, at: 10.0, most, monkeypatch) == 1


def test_time_between_epochs_and_without_read_ahead_does_not_count(monkeypatch):
    engine = Clockwork(lambda n, at: 100.0 * n, monkeypatch)
    finder = ThreadFinder(4)
    finder.begin(engine)
    while not finder.is_settled:
        for _ in range(2):  # a short epoch
            engine.samples_made += 10.0 * engine.running_threads
            engine.seconds += 50.0  # of training, in which nothing is made
            finder.delivered(engine, 0.1, ahead=0, asked=0)
        engine.seconds += 1000.0
        finder.begin(engine)
    assert finder.threads == 4 and "4: 100" not in finder.why() and "4: 400" in finder.why()


@pytest.mark.parametrize("batches", [6, 19, 200])
def test_what_an_epoch_begins_and_ends_with_is_nobodys_gain(batches, monkeypatch):
    """A training takes ten batches a second of ten images, n threads make one in 0.16 / n s: two keep up with it."""
    ahead = 8
    engine = Clockwork(lambda n, at: 0.0, monkeypatch)
    finder = ThreadFinder(8)
    for _ in range(4000 // batches):
        finder.begin(engine)
        made = 0.0
        for k in range(batches):
            may = min(batches, k + ahead)
            made = min(may, made + 0.1 * finder.threads / 0.16)
            if made < k + 1:  # waits
                engine.seconds += (k + 1 - made) * 0.16 / finder.threads
                made = float(k + 1)
            engine.samples_made = 10.0 * made
            finder.delivered(engine, 0.0, ahead=ahead, asked=min(ahead, batches - k - 1))
            engine.seconds += 0.1
        engine.samples_made = 0.0
    assert finder.is_settled and finder.threads == 2


def test_threads_rest_and_wake():
    engine = _core.Engine(3)
    assert engine.running_threads == engine.threads == 3 and engine.samples_made == 0
    engine.run_on(1)
    assert engine.running_threads == 1
    for wrong in (0, 4):
        with pytest.raises(ValueError, match="1 to all of its threads"):
            engine.run_on(wrong)
    assert finder_for(engine, None, is_wanted=False) is None and engine.running_threads == 3
    finder = finder_for(engine, None, is_wanted=True)
    assert finder_for(engine, finder, is_wanted=True) is finder and finder.most == 3
    assert finder_for(_core.Engine(2), finder, is_wanted=True).most == 2


def test_what_it_is_told_and_what_it_forgets(root):
    with pytest.raises(ValueError, match='"auto" or None'):
        DataLoader([1], threads="many")
    loader = DataLoader(ImageFolder(str(root), RANDOM), 2, threads="auto")
    assert loader.stats()["threads"] is loader.stats()["threads_why"] is None
    next(iter(loader))
    assert loader._finder is not None and pickle.loads(pickle.dumps(loader))._finder is None
    loader.threads = 3  # changed: all of them run
    next(iter(loader))
    assert loader.stats()["threads"] == 3 and loader.stats()["threads_why"] is None
    stock = DataLoader([1, 2], 2, threads="auto")
    assert [batch.tolist() for batch in stock] == [[1, 2]] and stock.stats()["threads"] is None
