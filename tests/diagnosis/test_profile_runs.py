"""``with fastload.profile()`` around real loops, whose one cost is a sleep far longer than anything that a busy machine adds."""

from __future__ import annotations

import os
import time
from multiprocessing import resource_sharer

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T
from torchvision.datasets import ImageFolder

import fastload
from images import write_folder
from recipes import InPython

pytest.importorskip("psutil")

from fastload.diagnosis.device_clock import DeviceClock
from fastload.diagnosis.run_folder import Lines

ORIGINAL_TO = torch.Tensor.to


class Items(Dataset):
    def __init__(self, length, seconds=0.0, slow=None):
        self.length, self.seconds, self.slow = length, seconds, slow

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        time.sleep(1.0 if index == self.slow else self.seconds)
        return torch.rand(3) + index


def collate_slowly(items):
    time.sleep(0.2)
    return torch.stack(items)


class SlowSampler(torch.utils.data.SequentialSampler):
    def __iter__(self):
        for index in super().__iter__():
            time.sleep(0.1)
            yield index


def start_slowly(worker):
    time.sleep(0.5)


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        for index in range(24):
            time.sleep(0.05)
            yield index


class Words(Items):
    words = [str(number) for number in range(300_000)]

    def __getitem__(self, index):
        return list(self.words)


class SlowBatches:
    def __iter__(self):
        for index in range(0, 20, 2):
            time.sleep(0.1)
            yield [index, index + 1]


def sleepy(value):
    time.sleep(0.1)
    return value


class Transformed(Items):
    transform = T.Compose([T.Lambda(lambda value: value), T.RandomApply([T.Lambda(sleepy)], p=1.0)])

    def __getitem__(self, index):
        return self.transform(torch.rand(3))


def as_it_is(items):
    return items


CASES = {
    "python: stream": (Stream(), {"num_workers": 1}, 0.0, 1, "Stream.__iter__"),
    "python: lambda": (Transformed(20), {"num_workers": 1}, 0.0, 1, "RandomApply(Lambda(sleepy))"),
    "shm: pickles": (Words(20), {"num_workers": 1, "collate_fn": as_it_is}, 0.0, 1, "pickling"),
    "main_thread: batches": (Items(20), {"num_workers": 1, "batch_sampler": SlowBatches()}, 0.0, 1, "SlowBatches"),
    "compute": (Items(20), {"num_workers": 1}, 0.2, 1, None),
    "too_few_workers": (Items(24, 0.05), {}, 0.2, 1, "num_workers=0"),
    "python": (Items(24, 0.2), {"num_workers": 2}, 0.0, 1, "Items.__getitem__"),
    "python: collate": (Items(20), {"num_workers": 2, "collate_fn": collate_slowly}, 0.0, 1, "collate_slowly"),
    "main_thread": (Items(20), {"num_workers": 1, "sampler": SlowSampler(range(20))}, 0.0, 1, "sampler"),
    "one_slow_sample": (Items(24, 0.0, slow=17), {"num_workers": 1}, 0.0, 1, "sample 17"),
    "epoch_start": (Items(8), {"num_workers": 1, "worker_init_fn": start_slowly}, 0.0, 4, "starting workers"),
    "not_enough_data": (Items(4), {}, 0.0, 1, None),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_slowed_down_is_named(name):
    dataset, options, work, epochs, what = CASES[name]
    with fastload.profile() as p:
        loader = DataLoader(dataset, **({} if "batch_sampler" in options else {"batch_size": 2}), **options)
        for _ in range(epochs):
            for _ in loader:
                time.sleep(work)
    report = p.json()
    found = report["verdict"]
    assert found["kind"] == name.partition(":")[0], p.report()
    assert what is None or what in found["what"]
    assert sum(report["shares"].values()) == pytest.approx(100, abs=1e-6)


def epochs_of(loader, profiled):
    torch.manual_seed(3)
    if not profiled:
        return [batch for _ in range(2) for batch in loader], torch.get_rng_state()
    with fastload.profile() as p:
        batches = [batch for _ in range(2) for batch in loader]
    assert p.json()["steps"]["epochs"] == 2
    return batches, torch.get_rng_state()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", [DataLoader, fastload.DataLoader])
@pytest.mark.parametrize("tail", [[], [InPython()]])
def test_batches_order_and_generators_stay_what_they_are(tmp_path, kind, workers, tail):
    write_folder(tmp_path, classes=2, images=4)
    data = ImageFolder(tmp_path, T.Compose([T.RandomResizedCrop(16), T.ToTensor(), *tail]))
    (one, state), (two, after) = (
        epochs_of(kind(data, batch_size=3, shuffle=True, num_workers=workers), profiled) for profiled in (False, True)
    )
    assert len(one) == len(two) > 2 and torch.equal(state, after)
    for (images, targets), (same, same_targets) in zip(one, two, strict=True):
        assert torch.equal(images, same) and torch.equal(targets, same_targets)


def test_native_loaders_stay_native(tmp_path):
    write_folder(tmp_path, classes=2, images=10)
    data = fastload.ImageFolder(tmp_path, T.Compose([T.RandomResizedCrop(16), T.ToTensor()]))
    with fastload.profile() as p:
        loader = fastload.DataLoader(data, batch_size=2, num_workers=2)
        list(loader)
        assert loader.explain().startswith("native: images are read, decoded and transformed in 2 threads")
        assert loader.stats()["mode"] == "native"
    assert [each["native"] for each in p.json()["loaders"]] == [True]


def test_native_loaders_stay_native_where_copies_are_timed(tmp_path, monkeypatch):
    write_folder(tmp_path, classes=2, images=10)
    data = fastload.ImageFolder(tmp_path, T.Compose([T.RandomResizedCrop(16), T.ToTensor()]))
    clock = DeviceClock(Lines(str(tmp_path), "main"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    clock.install()
    monkeypatch.undo()
    try:
        assert torch.Tensor.to is not ORIGINAL_TO and torch.equal(torch.ones(2).to(torch.int64), torch.ones(2).long())
        loader = fastload.DataLoader(data, batch_size=2, num_workers=2)
        assert loader.explain().startswith("native: images are read, decoded and transformed in 2 threads")
    finally:
        clock.uninstall()
    assert torch.Tensor.to is ORIGINAL_TO


def test_nothing_of_it_stays(tmp_path):
    import PIL.Image
    from torch.utils.data import dataloader
    from torch.utils.data._utils import fetch, worker

    def seen():
        iterator = dataloader._BaseDataLoaderIter
        return [
            *(
                vars(DataLoader)["__iter__"],
                vars(iterator)["__next__"],
                vars(iterator)["_next_index"],
                worker._worker_loop,
            ),
            *(fetch._MapDatasetFetcher.fetch, PIL.Image.open, T.Compose.__call__, torch.autograd.backward, time.sleep),
        ]

    before, folders = seen(), set(os.listdir(os.environ.get("TMPDIR", "/tmp")))
    with pytest.raises(KeyboardInterrupt), fastload.profile() as p:
        for _ in DataLoader(Items(4)):
            raise KeyboardInterrupt
    assert seen() == before
    assert p.json()["steps"]["count"] == 1  # what was seen is reported all the same
    left = set(os.listdir(os.environ.get("TMPDIR", "/tmp"))) - folders
    assert not [name for name in left if name.startswith("fastload-")] or os.environ.get("PYTEST_XDIST_WORKER")


def test_several_loaders_are_each_reported():
    with fastload.profile() as p:
        list(DataLoader(Items(12, 0.02)))
        list(DataLoader(range(3)))
    loaders = p.json()["loaders"]
    assert [each["main"] for each in loaders] == [True, False]
    assert [each["what"]["dataset"] for each in loaders] == [["Items"], ["range"]]
    assert [each["what"]["samples"] for each in loaders] == [12, 3]


def test_a_report_needs_an_end():
    p = fastload.profile()
    with pytest.raises(RuntimeError, match="over"):
        p.json()
    with p, pytest.raises(RuntimeError, match="already"):
        p.__enter__()
    with pytest.raises(ValueError, match="experiments"):
        fastload.profile(experiments=-1)


def test_experiments_tell_files_from_memory(tmp_path):
    write_folder(tmp_path, classes=2, images=8)
    data = ImageFolder(tmp_path, T.Compose([T.RandomResizedCrop(16), T.ToTensor()]))
    with fastload.profile(experiments=1.0) as p:
        list(DataLoader(data, batch_size=4))
    mine = p.json()["loaders"][0]
    found = mine["experiments"]
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.*")) / 4
    assert mine["reading"]["batch_bytes"] >= size  # of four batches; all of it from the page cache, or not
    assert mine["reading"]["cached_share"] is None or 0 <= mine["reading"]["cached_share"] <= 1
    assert mine["reading"]["cached_share"] == found["storage"]["cached_share"]
    assert found["items"]["items"] >= 3 and found["items"]["slowest"][0][2].endswith((".jpg", ".jpeg", ".JPEG", ".png"))
    assert found["storage"]["files"] > 0 and found["storage"]["file_bytes"] > 0
    sweep = found["sweep"]
    assert "error" not in sweep, sweep
    assert sweep["rates"][0][0] == 1 and all(rate > 0 for _, rate in sweep["rates"])


def test_the_sweep_has_the_time_that_others_do_not_need():
    with fastload.profile(experiments=4.0) as p:
        list(DataLoader(range(64), batch_size=4))
    found = p.json()["loaders"][0]["experiments"]
    assert "storage" not in found and "without" not in found and "memory" not in found  # no files, no transforms
    assert found["sweep"]["seconds"] > 0.6 * 4.0  # half of it, and what was left


class Stepped(Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.transform(torch.tensor(index))


def one_more(value):
    time.sleep(0.01)  # long enough for each batch to be looked at
    return value + 1


def ten_more(value):
    time.sleep(0.01)
    return value + 10


def test_steps_of_a_compose_are_those_that_it_has_now():
    steps = T.Compose([one_more])
    batches = DataLoader(Stepped(steps), batch_size=4)
    with fastload.profile() as p:
        before = torch.cat(list(batches))
        steps.transforms.append(ten_more)
        grown = torch.cat(list(batches))
        steps.transforms[0] = ten_more
        changed = torch.cat(list(batches))
    assert before.tolist() == list(range(1, 9)) and grown.tolist() == list(range(11, 19))
    assert changed.tolist() == list(range(20, 28))
    assert {"one_more", "ten_more"} <= set(p.json()["loaders"][0]["functions"])


def test_experiments_of_a_process_that_has_sent_files_to_others():
    """As with a tensor in a queue: the thread that hands them over is not in the experiments' process."""
    held = resource_sharer.DupFd(0)
    with fastload.profile(experiments=0.5) as p:
        list(DataLoader(Items(16), batch_size=4))
    os.close(held.detach())
    assert "error" not in p.json()["loaders"][0]["experiments"]["sweep"]
