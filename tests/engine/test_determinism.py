"""Pixels depend on bytes, recipe, seed, epoch and index; never on threads or on the order of arrival."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms as v1
from torchvision.datasets import ImageFolder

import fastload
from images import write_folder
from recipes import InPython

TRANSFORM = v1.Compose([v1.RandomResizedCrop(40), v1.RandomHorizontalFlip(), v1.ToTensor()])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=4, images=10)


def epoch(root, seed=4, transform=TRANSFORM, **options):
    torch.manual_seed(seed)
    return [batch for batch in fastload.DataLoader(ImageFolder(root, transform), **options)]


@pytest.mark.parametrize("rng", ["stock", "index"])
def test_threads_do_not_matter(root, rng):
    first, *others = [
        epoch(root, batch_size=7, num_workers=2, threads=threads, rng=rng, shuffle=True) for threads in (1, 2, 3, 8)
    ]
    for other in others:
        assert all(
            torch.equal(a, b)
            for mine, theirs in zip(first, other, strict=True)
            for a, b in zip(mine, theirs, strict=True)
        )


def by_sample(batches):
    return torch.cat([images for images, _ in batches])


@pytest.mark.parametrize("tail", [[], [InPython()]], ids=["native", "python-tail"])
def test_index_randomness_ignores_workers_and_batches(root, tail):
    transform = v1.Compose([*TRANSFORM.transforms, *tail])
    runs = [
        epoch(root, transform=transform, rng="index", batch_size=7, num_workers=0),
        epoch(root, transform=transform, rng="index", batch_size=5, num_workers=2),
        epoch(root, transform=transform, rng="index", batch_size=40, num_workers=1),
    ]
    first, *others = [by_sample(run) for run in runs]
    assert all(torch.equal(first, other) for other in others)
    backwards = epoch(root, transform=transform, rng="index", batch_size=9, sampler=list(reversed(range(40))))
    assert torch.equal(first, by_sample(backwards).flip(0))


def test_index_randomness_depends_on_seed_and_epoch(root):
    torch.manual_seed(4)
    loader = fastload.DataLoader(ImageFolder(root, TRANSFORM), batch_size=8, rng="index", num_workers=2)
    first, second = (by_sample(list(loader)) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, by_sample(epoch(root, seed=4, batch_size=8, rng="index")))
    assert not torch.equal(first, by_sample(epoch(root, seed=5, batch_size=8, rng="index")))


def test_index_randomness_with_persistent_workers(root):
    epochs = []
    for options in ({"persistent_workers": True, "num_workers": 2}, {"num_workers": 0}):
        for tail in ([], [InPython()]):
            torch.manual_seed(4)
            dataset = ImageFolder(root, v1.Compose([*TRANSFORM.transforms, *tail]))
            loader = fastload.DataLoader(dataset, batch_size=8, rng="index", **options)
            epochs.append([by_sample(list(loader)) for _ in range(3)])
    for one, other in ((0, 2), (1, 3)):
        assert all(torch.equal(a, b) for a, b in zip(epochs[one], epochs[other], strict=True))
        assert not torch.equal(epochs[one][0], epochs[one][1])


def test_the_users_generators_are_left_alone(root):
    """Python tails under rng="index" draw from generators of their own."""
    dataset = ImageFolder(root, v1.Compose([*TRANSFORM.transforms, InPython()]))
    torch.manual_seed(4)
    iterator = iter(fastload.DataLoader(dataset, batch_size=8, rng="index"))
    state = torch.get_rng_state()
    list(iterator)
    assert torch.equal(state, torch.get_rng_state())
