"""The DataLoader contract: what is drawn from which generator, and when. Each on torch's loader and on fastload's."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.utils.data
from torch.utils.data import DistributedSampler, RandomSampler

from contract import (
    SIZE,
    build,
    draw,
    in_batches,
    indices,
    made_by_caller,
    made_by_workers,
    same,
    without_chance,
)

FIVES = in_batches(range(SIZE), 5)


def twin(generator: torch.Generator | None) -> torch.Generator:
    copied = torch.Generator()
    copied.set_state((generator or torch.default_generator).get_state())
    return copied


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("own", [False, True], ids=["default", "own"])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_base_seed(Loader, dataset, num_workers, own, shuffle):
    generator = torch.Generator().manual_seed(7) if own else None
    loader = build(Loader, dataset, batch_size=6, num_workers=num_workers, shuffle=shuffle, generator=generator)
    for _ in range(2):
        expected = draw(twin(generator))
        assert iter(loader)._base_seed == expected


@pytest.mark.parametrize("num_workers", [0, 1])
def test_shuffled_by_a_seed_from_the_default_generator(Loader, dataset, num_workers):
    dataset.transform = without_chance(dataset)
    loader = build(Loader, dataset, batch_size=5, num_workers=num_workers, shuffle=True)
    expected = twin(None)
    for _ in range(2):
        iterator = iter(loader)
        draw(expected)
        if num_workers == 0:
            assert torch.equal(torch.get_rng_state(), expected.get_state())
        order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(draw(expected)))
        batches = [next(iterator)] if num_workers == 0 else []
        assert torch.equal(torch.get_rng_state(), expected.get_state())
        assert indices([*batches, *iterator]) == in_batches(order.tolist(), 5)
        assert torch.equal(torch.get_rng_state(), expected.get_state())


@pytest.mark.parametrize("num_workers", [0, 1])
def test_shuffled_by_a_generator(Loader, dataset, num_workers):
    """It draws a second permutation at the end, which nobody sees; the default generator is left alone."""
    dataset.transform = without_chance(dataset)
    generator = torch.Generator().manual_seed(7)
    loader = build(Loader, dataset, batch_size=5, num_workers=num_workers, shuffle=True, generator=generator)
    expected, default = twin(generator), torch.get_rng_state()
    for _ in range(2):
        draw(expected)
        order = torch.randperm(SIZE, generator=expected)
        torch.randperm(SIZE, generator=expected)
        assert indices(loader) == in_batches(order.tolist(), 5)
        assert torch.equal(generator.get_state(), expected.get_state())
    assert torch.equal(torch.get_rng_state(), default)


# How many of its permutations were drawn when none, one and two of three batches are taken. The last, discarded one is drawn as
# the third batch is asked for: with one worker as the first batch is delivered, or at once.
@pytest.mark.parametrize(
    ("num_workers", "prefetch_factor", "drawn"), [(0, None, [0, 1, 1]), (1, 2, [1, 2, 2]), (1, 3, [2, 2, 2])]
)
def test_a_generator_after_an_early_break(Loader, dataset, num_workers, prefetch_factor, drawn):
    generator = torch.Generator().manual_seed(7)
    options = {"num_workers": num_workers, "prefetch_factor": prefetch_factor, "generator": generator}
    loader = build(Loader, dataset, batch_size=5, shuffle=True, **options)
    for taken, permutations in enumerate(drawn):
        expected = twin(generator)
        draw(expected)
        for _ in range(permutations):
            torch.randperm(SIZE, generator=expected)
        iterator = iter(loader)
        for _ in range(taken):
            next(iterator)
        assert torch.equal(generator.get_state(), expected.get_state())


def test_drawn_with_replacement(Loader, dataset):
    sampler = RandomSampler(dataset, True, 40, generator=torch.Generator().manual_seed(5))
    expected = torch.Generator().manual_seed(5)
    order = [index for size in (32, 8) for index in torch.randint(SIZE, (size,), generator=expected).tolist()]
    assert indices(build(Loader, dataset, batch_size=9, sampler=sampler)) == in_batches(order, 9)
    assert torch.equal(sampler.generator.get_state(), expected.get_state())


@pytest.mark.parametrize("num_workers", [0, 1])
def test_distributed_sampler(Loader, dataset, num_workers):
    order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(3 + 2)).tolist()
    for rank in (0, 4):
        sampler = DistributedSampler(dataset, num_replicas=5, rank=rank, seed=3)
        sampler.set_epoch(2)
        loader = build(Loader, dataset, batch_size=2, sampler=sampler, num_workers=num_workers)
        assert indices(loader) == in_batches((order + order[:3])[rank::5], 2)


def test_workers_draw_nothing_in_the_parent(Loader, dataset):
    loader = build(Loader, dataset, batch_size=5, num_workers=2)
    expected = twin(None)
    others = random.getstate(), np.random.get_state()[1].tolist()
    base_seed = draw(expected)
    batches = list(loader)
    assert torch.equal(torch.get_rng_state(), expected.get_state())
    assert (random.getstate(), np.random.get_state()[1].tolist()) == others
    assert same(batches, made_by_workers(dataset, [FIVES], base_seed, 2))


def test_without_workers_samples_draw_from_the_callers_generator(Loader, dataset):
    loader = build(Loader, dataset, batch_size=5)
    for reseeded in (False, True):
        torch.manual_seed(11)
        iterator, seen, ends = iter(loader), [], []
        for number in range(3):
            if reseeded:
                torch.manual_seed(number)
            seen.append(next(iterator))
            ends.append(torch.get_rng_state())
        torch.manual_seed(11)
        draw()
        for number in range(3):
            if reseeded:
                torch.manual_seed(number)
            assert same([seen[number]], made_by_caller(dataset, [FIVES[number]]))
            assert torch.equal(torch.get_rng_state(), ends[number])
