"""__getitems__ of fastload's data sets: the same items as one by one, also inside torch's own loader and its workers."""

from __future__ import annotations

import copy
import os
import pickle

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision.datasets
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torch.utils.data import Subset, default_collate

import fastload
import fastload.engine.dataset_items
from children import LIMIT
from images import picture, write_folder
from recipes import RECIPES, InPython

TRANSFORM = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor()])
TAIL = v1.Compose([*TRANSFORM.transforms, InPython()])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_folder(tmp_path_factory.mktemp("folder"), classes=3, images=6)
    picture(5, 50, 40).save(root / "class1" / "aa.png")  # one that Pillow decodes
    return root


def assert_same_item(mine, theirs):
    assert type(mine) is type(theirs)
    if isinstance(mine, tuple):
        for a, b in zip(mine, theirs, strict=True):
            assert_same_item(a, b)
    elif isinstance(mine, torch.Tensor):
        assert mine.dtype == theirs.dtype and mine.stride() == theirs.stride() and torch.equal(mine, theirs)
    elif isinstance(mine, PIL.Image.Image):
        assert mine.mode == theirs.mode and np.array_equal(np.asarray(mine), np.asarray(theirs))
    else:
        assert mine == theirs


CHAINS = {
    **RECIPES,
    "tail": TAIL,
    "image": v1.Compose([v1.Resize((20, 30)), v1.RandomHorizontalFlip()]),
    "many-sizes": v1.Compose([v1.RandomHorizontalFlip(), v1.ToTensor()]),
    "python": v2.Compose([v2.RandomRotation(20), v2.ToImage()]),
    "none": None,
}


@pytest.mark.parametrize("name", CHAINS)
def test_items_equal_torchvisions(root, name):
    indices = [3, 0, 9, 7, 7, -1]
    torch.manual_seed(1)
    theirs = [torchvision.datasets.ImageFolder(root, CHAINS[name])[index] for index in indices]
    after = torch.get_rng_state()
    torch.manual_seed(1)
    mine = fastload.ImageFolder(root, CHAINS[name]).__getitems__(indices)
    assert torch.equal(torch.get_rng_state(), after)
    assert type(mine) is list and len(mine) == len(indices)
    for a, b in zip(mine, theirs, strict=True):
        assert_same_item(a, b)


@pytest.mark.parametrize("targets", [None, range(18)])
def test_image_files(root, targets):
    paths = sorted(str(path) for path in root.glob("*/*.jpg"))
    dataset = fastload.ImageFiles(paths, targets, TRANSFORM)
    torch.manual_seed(1)
    theirs = [dataset[index] for index in range(5)]
    torch.manual_seed(1)
    for a, b in zip(dataset.__getitems__(list(range(5))), theirs, strict=True):
        assert_same_item(a, b)


@pytest.mark.parametrize("transform", [TRANSFORM, TAIL], ids=["native", "tail"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_torchs_own_loader_gives_the_same_batches(root, num_workers, transform):
    def batches(dataset):
        torch.manual_seed(3)
        loader = torch.utils.data.DataLoader(
            Subset(dataset, range(17)), batch_size=4, shuffle=True, num_workers=num_workers
        )
        return [batch for _ in range(2) for batch in loader], torch.get_rng_state()

    (theirs, their_state), (mine, my_state) = (
        batches(cls(root, transform)) for cls in (torchvision.datasets.ImageFolder, fastload.ImageFolder)
    )
    assert torch.equal(their_state, my_state) and len(theirs) == 10
    for a, b in zip(mine, theirs, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_a_batch_of_indices_in_any_form(root):
    """A batch sampler may give a tensor, an array, or what can only be walked through."""
    ours = fastload.ImageFolder(root, TRANSFORM)
    theirs = torchvision.datasets.ImageFolder(root, TRANSFORM)
    for form in (torch.tensor, np.array, tuple, iter):
        runs = []
        for dataset in (ours, theirs):
            torch.manual_seed(4)
            loader = torch.utils.data.DataLoader(dataset, batch_sampler=[form([3, 0, 7]), form([5])])
            runs.append([(images, targets) for images, targets in loader])
        assert_same_item(tuple(map(tuple, runs[0])), tuple(map(tuple, runs[1])))


class ThreadsSeen(torch.utils.data.Dataset):
    """How many threads each worker may have, and has."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return 8

    def __getitem__(self, index):
        before = len(os.listdir("/proc/self/task"))
        self.dataset.__getitems__([0, 1, 2])
        return fastload.engine.cpu_share.share_of_cores(), len(os.listdir("/proc/self/task")) - before


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_workers_share_the_cores(root, num_workers, monkeypatch):
    cores = 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    dataset = ThreadsSeen(fastload.ImageFolder(root, TRANSFORM))
    loader = torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=num_workers)
    allowed, started = next(iter(loader))
    assert set(allowed.tolist()) == {max(1, cores // num_workers)}
    assert started.tolist() == [allowed[0], 0, 0, 0]  # once, and kept


def test_ranks_of_one_machine_share_them_too(root, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert fastload.engine.cpu_share.share_of_cores() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "100")
    assert fastload.engine.cpu_share.share_of_cores() == 1


def test_a_subclass_with_items_of_its_own_is_asked_for_them(root):
    class Mine(fastload.ImageFolder):
        def __getitem__(self, index):
            return "mine", index

    assert Mine(root, TRANSFORM).__getitems__([2, 1]) == [("mine", 2), ("mine", 1)]
    loader = fastload.DataLoader(Mine(root, TRANSFORM), batch_size=2)
    assert loader.explain().startswith("stock") and next(iter(loader))[1].tolist() == [0, 1]


def test_a_loader_of_ones_own(root):
    dataset = fastload.ImageFolder(root, v1.ToTensor(), loader=lambda path: PIL.Image.new("RGB", (3, 2)))
    assert [image.shape for image, _ in dataset.__getitems__([0, 1])] == [(3, 2, 3)] * 2


def test_target_transform(root):
    dataset = fastload.ImageFolder(root, TRANSFORM, target_transform=lambda target: -target)
    assert [target for _, target in dataset.__getitems__([0, 18])] == [0, -2]


@pytest.mark.parametrize("transform", [TRANSFORM, TAIL], ids=["native", "tail"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"text")])
def test_errors_are_torchvisions(tmp_path, transform, damage):
    root = write_folder(tmp_path / "folder", classes=1, images=4)
    stock, ours = (cls(root, transform) for cls in (torchvision.datasets.ImageFolder, fastload.ImageFolder))
    damage(root / "class0" / "001.jpg")

    def outcome(get):
        torch.manual_seed(0)
        with pytest.raises(OSError) as caught:
            get()
        return caught.value, torch.get_rng_state()

    theirs, their_state = outcome(lambda: [stock[index] for index in range(4)])
    mine, my_state = outcome(lambda: ours.__getitems__([0, 1, 2, 3]))
    assert isinstance(mine, type(theirs)) and torch.equal(their_state, my_state)
    assert ours.__getitems__([0, 2])[1][1] == 0


def test_items_may_be_kept(root):
    dataset = fastload.ImageFolder(root, v1.Compose([v1.Resize((32, 32)), v1.ToTensor()]))
    kept = [item for _ in range(6) for item in dataset.__getitems__(list(range(10)))]
    expected = [dataset[index][0] for index in range(10)] * 6
    assert all(torch.equal(image, other) for (image, _), other in zip(kept, expected, strict=True))


def test_copies_and_pickles_leave_the_threads_behind(root):
    dataset = fastload.ImageFolder(root, TRANSFORM)
    dataset.__getitems__([0, 1])
    for twin in (copy.copy(dataset), copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert default_collate(twin.__getitems__([0, 1]))[0].shape == (2, 3, 32, 32)


def test_after_a_fork(root):
    dataset = fastload.ImageFolder(root, TRANSFORM)
    dataset.__getitems__([0, 1])  # the threads are the parent's
    loader = torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=1, timeout=LIMIT)
    assert sum(len(targets) for _, targets in loader) == 19
