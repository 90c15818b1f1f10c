"""Iterators that end as part of a cycle, as after an error, whose traceback holds them."""

from __future__ import annotations

import gc

import pytest
import torch
from torch.utils.data import Dataset

import fastload


class Numbers(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.tensor(index)


@pytest.mark.parametrize("Loader", [fastload.DataLoader, fastload.StatefulDataLoader])
@pytest.mark.parametrize("persistent", [False, True])
def test_workers_are_told_to_end(Loader, persistent, monkeypatch):
    monkeypatch.setattr(
        torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 20.0
    )  # what a worker that was not told is waited for
    terminated = []
    loader = Loader(Numbers(), batch_size=2, num_workers=2, persistent_workers=persistent)
    iterator = iter(loader)
    next(iterator)
    workers = iterator._workers
    for worker in workers:
        monkeypatch.setattr(worker, "terminate", lambda kill=worker.kill: terminated.append(kill()))
    loader._iterator = None
    cycle = [iterator]
    cycle.append(cycle)
    gc.collect()
    gc.disable()
    try:
        del cycle, iterator
        gc.collect()
    finally:
        gc.enable()
    for worker in workers:
        worker.join()
    assert not terminated
