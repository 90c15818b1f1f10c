"""install(): whatever name torch's loader was imported by, its constructor makes this package's loader; uninstall() undoes it."""

from __future__ import annotations

import pickle

import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
from torch.utils.data import DataLoader as imported_before
from torchvision.datasets import ImageFolder

import fastload
from images import write_folder

TRANSFORM = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor()])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=6)


@pytest.fixture
def installed():
    fastload.install()
    yield
    fastload.uninstall()


def names():
    from torch.utils.data import DataLoader as imported_after

    return [
        imported_before,
        imported_after,
        torch.utils.data.DataLoader,
        torch.utils.data.dataloader.DataLoader,
        torch.utils.data.DataLoader[int],
    ]


def test_every_name_makes_our_loader(installed, root):
    for name in names():
        loader = name(ImageFolder(root, TRANSFORM), 4, True, num_workers=2)
        assert type(loader) is fastload.DataLoader
        assert isinstance(loader, imported_before) and isinstance(loader, torch.utils.data.DataLoader)
        assert loader.explain().startswith("native") and len(list(loader)) == 3
        assert (loader.threads, loader.rng, loader.on_error) == (None, "stock", "raise")


def test_batches_are_the_same(root):
    def batches():
        torch.manual_seed(0)
        return [images for images, _ in imported_before(ImageFolder(root, TRANSFORM), batch_size=4, shuffle=True)]

    stock = batches()
    fastload.install()
    try:
        ours = batches()
    finally:
        fastload.uninstall()
    assert all(torch.equal(a, b) for a, b in zip(stock, ours, strict=True))


def test_uninstall_leaves_nothing():
    before = {**vars(torch.utils.data.DataLoader)}
    fastload.install()
    fastload.install()
    made_between = imported_before([1, 2])
    fastload.uninstall()
    assert {**vars(torch.utils.data.DataLoader)} == before
    fastload.uninstall()
    assert {**vars(torch.utils.data.DataLoader)} == before
    assert all(type(name([1, 2])) is torch.utils.data.DataLoader for name in names())
    assert type(made_between) is fastload.DataLoader and len(list(made_between)) == 2


def test_subclasses_stay_what_they_are(installed):
    class Mine(imported_before):
        def __iter__(self):
            yield "mine"

    loader = Mine([1, 2])
    assert type(loader) is Mine and list(loader) == ["mine"]


def test_loaders_of_before_go_on(root):
    stock = imported_before([1, 2, 3], batch_size=2)
    fastload.install()
    try:
        assert type(stock) is torch.utils.data.DataLoader and [b.tolist() for b in stock] == [[1, 2], [3]]
        twin = pickle.loads(pickle.dumps(stock))
        assert type(twin) is torch.utils.data.DataLoader and [b.tolist() for b in twin] == [[1, 2], [3]]
        ours = pickle.loads(pickle.dumps(imported_before([1, 2, 3], batch_size=2)))
        assert type(ours) is fastload.DataLoader and [b.tolist() for b in ours] == [[1, 2], [3]]
    finally:
        fastload.uninstall()


def test_wrong_use_is_refused_as_before(installed):
    with pytest.raises(ValueError, match="num_workers option should be non-negative"):
        imported_before([1], num_workers=-1)
    with pytest.raises(TypeError):
        imported_before()
