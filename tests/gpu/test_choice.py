"""decode="auto" measures on the side: nobody's generator, sampler or constructor is touched.

DALI's CPU backend stands in for a GPU.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
from torch.utils.data import Subset
from torchvision.datasets import ImageFolder

import fastload
from fastload import GpuDecode
from fastload.gpu import dali_library
from images import write_folder

pytestmark = pytest.mark.skipif(bool(dali_library.why_missing()), reason=dali_library.why_missing())
TRAIN = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor()])
AUTO = {"device": "cpu", "decode": GpuDecode("auto", backend="cpu", threads=1)}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=8)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr("fastload.gpu.decode_measurement._TIMED_SECONDS", 0.02)
    monkeypatch.setattr("fastload.gpu.decode_measurement._WARM_SECONDS", 0.02)


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for (images, targets), (expected, expected_targets) in zip(ours, theirs, strict=True):
        assert torch.equal(images, expected) and torch.equal(targets, expected_targets)


class Drawing:
    """A batch sampler without a batch size that draws from everybody's generators, and can be gone through once."""

    def __init__(self, once):
        self.given = 0
        self.once = iter(range(4)) if once else range(4)

    def __iter__(self):
        for _ in self.once:
            self.given += 1
            yield [*torch.randint(0, 16, (2,)).tolist(), random.randrange(16), int(np.random.randint(16))]

    def __len__(self):
        return 4


@pytest.mark.parametrize("once", [False, True], ids=["many times", "once"])
@pytest.mark.parametrize("workers", [0, 1])
def test_samplers_and_generators_are_left_alone(root, once, workers):
    outcomes = []
    for Loader, options in [(torch.utils.data.DataLoader, {}), (fastload.DataLoader, AUTO)]:
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)
        sampler = Drawing(once)
        loader = Loader(ImageFolder(root, TRAIN), batch_sampler=sampler, num_workers=workers, **options)
        batches = list(loader)
        outcomes.append((batches, sampler.given, torch.rand(3), random.random(), np.random.rand()))
    assert outcomes[0][1] == outcomes[1][1] == 4
    assert "images/s" in loader.explain()
    assert_same(outcomes[1][0], outcomes[0][0])
    assert torch.equal(outcomes[1][2], outcomes[0][2]) and outcomes[1][3:] == outcomes[0][3:]


def test_a_generator_that_the_loader_was_given(root):
    outcomes = []
    for Loader, options in [(torch.utils.data.DataLoader, {}), (fastload.DataLoader, AUTO)]:
        generator = torch.Generator().manual_seed(4)
        loader = Loader(ImageFolder(root, TRAIN), 5, shuffle=True, num_workers=1, generator=generator, **options)
        outcomes.append(([*loader, *loader], generator.get_state()))
    assert_same(outcomes[1][0], outcomes[0][0])
    assert torch.equal(outcomes[1][1], outcomes[0][1])


@pytest.mark.parametrize("base", [fastload.DataLoader, fastload.StatefulDataLoader])
def test_subclasses_with_constructors_of_their_own(root, base):
    class Ours(base):
        def __init__(self, folder):
            super().__init__(ImageFolder(folder, TRAIN), 4, shuffle=True, num_workers=1, **AUTO)

        def __iter__(self):
            self.iterated = getattr(self, "iterated", 0) + 1
            return super().__iter__()

    torch.manual_seed(2)
    loader = Ours(root)
    ours = list(loader)
    assert loader.iterated == 1 and "images/s" in loader.explain()
    torch.manual_seed(2)
    assert_same(ours, list(torch.utils.data.DataLoader(loader.dataset, 4, shuffle=True, num_workers=1)))


def test_empty_data_sets(root):
    empty = Subset(ImageFolder(root, TRAIN), [])
    assert list(fastload.DataLoader(empty, 4, num_workers=1, **AUTO)) == []
    assert list(fastload.DataLoader(fastload.ImageFiles([], transform=TRAIN), 4, **AUTO)) == []


def test_files_that_cannot_be_read(tmp_path):
    """The epoch's own error is raised, not the measurement's."""
    loader = fastload.DataLoader(fastload.ImageFiles([tmp_path / "none.jpg"] * 3, transform=TRAIN), 2, **AUTO)
    iterator = iter(loader)
    with pytest.raises(FileNotFoundError):
        next(iterator)
    assert len(loader.errors) > 0 and "no file could be read" in loader.explain()
