"""The loader alone over copies of its files: only where what was read is not kept, and with the same contents."""

from __future__ import annotations

import time

import pytest
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from fastload.diagnosis import memory_experiment
from fastload.diagnosis.memory_experiment import from_memory
from fastload.diagnosis.sample_paths import path_of, put_in_place

ASLEEP_S = 0.05


class Far(Dataset):
    """Files of a folder in which each read takes its time."""

    def __init__(self, folder, count=16):
        self.far = str(folder)
        self.samples = [(str(folder / f"{index}.bin"), index) for index in range(count)]
        for path, index in self.samples:
            with open(path, "wb") as file:
                file.write(bytes([index]) * 100)

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path, target = self.samples[index]
        if path.startswith(self.far):
            time.sleep(ASLEEP_S)
        with open(path, "rb") as file:
            assert file.read() == bytes([target]) * 100
        return target


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.mark.parametrize(("again", "kept"), [(1e-4, True), (0.02, False)])
def test_what_takes_as_long_again_is_not_kept(monkeypatch, again, kept):
    clock, read = Clock(), []

    def reading(path):
        clock.now += again if path in read else 0.02
        read.append(path)
        return b"0"

    monkeypatch.setattr(memory_experiment, "_read", reading)
    monkeypatch.setattr(memory_experiment, "time", clock)
    assert memory_experiment._is_kept(["a", "b", "c"]) is kept
    assert read == ["a", "a", "b", "b", "c", "c"]


@pytest.mark.parametrize("workers", [0, 1])
def test_copies_are_what_samples_are_made_of(tmp_path, monkeypatch, workers):
    (far := tmp_path / "far").mkdir(), (near := tmp_path / "near").mkdir()
    monkeypatch.setattr(memory_experiment, "_is_kept", lambda paths: False)
    data = Subset(Far(far), list(range(16)))
    found = from_memory(DataLoader(data, batch_size=4, num_workers=workers), str(near), 1.0)
    assert found["workers"] == 1 and found["files"] == 16
    assert found["rate"] > 2 / ASLEEP_S  # one worker that sleeps gives no more than 1 / ASLEEP_S
    assert all(path_of(data, index).startswith(str(near)) for index in range(16))


def test_files_that_are_kept_and_samples_that_are_no_files_need_no_copies(tmp_path, monkeypatch):
    (far := tmp_path / "far").mkdir()
    data = Far(far)
    monkeypatch.setattr(memory_experiment, "_is_kept", lambda paths: True)
    assert from_memory(DataLoader(data), str(tmp_path), 1.0) is None
    monkeypatch.setattr(memory_experiment, "_is_kept", lambda paths: False)
    monkeypatch.setattr(memory_experiment, "_LARGE", 50)
    assert from_memory(DataLoader(data), str(tmp_path), 1.0) is None
    assert from_memory(DataLoader(list(range(16))), str(tmp_path), 1.0) is None
    assert all(path.startswith(str(far)) for path, _ in data.samples)


def test_another_file_is_put_where_the_path_was():
    class Named(Dataset):
        def __init__(self, paths):
            self.paths = paths

    one, fixed = Named(["/a/0", "/a/1"]), Named(("/b/0", "/b/1"))
    both = ConcatDataset.__new__(ConcatDataset)
    both.datasets, both.cumulative_sizes = [one, fixed], [2, 4]
    assert put_in_place(both, 1, "/memory/1") and path_of(both, 1) == "/memory/1" and one.paths[0] == "/a/0"
    assert not put_in_place(both, 2, "/memory/2") and path_of(both, 2) == "/b/0"
    assert not put_in_place(list(range(4)), 2, "/memory/2")
