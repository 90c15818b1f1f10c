"""Batches of both loaders from the same seeds, and what they leave of all three generators."""

from __future__ import annotations

import random

import numpy as np
import torch
import torch.utils.data
from torchvision.datasets import ImageFolder

import fastload


def seed(number: int) -> None:
    torch.manual_seed(number)
    random.seed(number)
    np.random.seed(number)


def batches(cls, dataset, number: int, **options):
    seed(number)
    made = [values for values, _ in cls(dataset, batch_size=3, shuffle=True, **options)]
    return made, (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())


def assert_as_stock(root, transform, number: int, **options) -> None:
    dataset = ImageFolder(str(root), transform)
    ours, our_states = batches(fastload.DataLoader, dataset, number, **options)
    stock, states = batches(torch.utils.data.DataLoader, dataset, number, **options)
    assert len(ours) == len(stock) > 0
    assert all(map(torch.equal, ours, stock))
    assert our_states == states
