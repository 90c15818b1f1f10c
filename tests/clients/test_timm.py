"""timm: ``create_loader`` with its prefetcher, and the loader that keeps one iterator for all epochs."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from timm.data import create_dataset, create_loader
from timm.data.loader import MultiEpochsDataLoader, PrefetchLoader, fast_collate
from torch.nn.functional import cross_entropy
from torchvision.datasets import ImageFolder

import fastload
from training import CLASSES, IMAGES, SIZE, Network, assert_native, assert_same_losses, optimizer_of

BATCH, EPOCHS = 8, 2
STEPS = CLASSES * IMAGES // BATCH

CROP_AND_FLIP = v1.Compose([v1.RandomResizedCrop(SIZE), v1.RandomHorizontalFlip(), v1.PILToTensor()])


def loader_of(dataset, transform=None, **options):
    """timm's loader for training on the CPU; with another transform, as timm's users set it."""
    options = {"is_training": True, "no_aug": True, "num_workers": 2, **options}
    loader = create_loader(dataset, (3, SIZE, SIZE), BATCH, device=torch.device("cpu"), **options)
    if transform is not None:
        loader.dataset.transform = transform
    return loader


def train(make_loader):
    """The losses, and the loader within timm's prefetcher if there is one."""
    torch.manual_seed(6)
    random.seed(6)  # timm's erasing and augmentations draw from Python's and numpy's generators
    np.random.seed(6)
    network = Network()
    optimizer = optimizer_of(network)
    loader = make_loader()
    losses = []
    for _ in range(EPOCHS):
        for images, targets in loader:
            loss = cross_entropy(network(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses, loader.loader if isinstance(loader, PrefetchLoader) else loader


@pytest.mark.parametrize("use_prefetcher", [True, False], ids=["prefetcher", "plain"])
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("is_training", [True, False], ids=["train", "evaluate"])
def test_create_loader_after_install(root, natively, installed, use_prefetcher, num_workers, is_training):
    options = {"use_prefetcher": use_prefetcher, "num_workers": num_workers, "is_training": is_training}
    stock, _ = train(lambda: loader_of(ImageFolder(root), **options))
    with natively(), installed():
        ours, loader = train(lambda: loader_of(ImageFolder(root), **options))
    assert_same_losses(ours, stock, EPOCHS * (STEPS if is_training else STEPS + 1))
    assert type(loader) is fastload.DataLoader
    assert_native(loader)


@pytest.mark.parametrize("use_prefetcher", [True, False], ids=["prefetcher", "plain"])
@pytest.mark.parametrize("is_training", [True, False], ids=["train", "evaluate"])
def test_timms_own_data_set(root, natively, installed, use_prefetcher, is_training):
    """As its train.py --no-aug and validate.py make it."""
    options = {"use_prefetcher": use_prefetcher, "is_training": is_training}
    stock, _ = train(lambda: loader_of(create_dataset("", str(root)), **options))
    with natively(), installed():
        ours, loader = train(lambda: loader_of(create_dataset("", str(root)), **options))
    assert_same_losses(ours, stock, EPOCHS * (STEPS if is_training else STEPS + 1))
    assert_native(loader)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # timm's
@pytest.mark.parametrize("num_workers", [0, 2])
def test_timms_data_set_gives_the_next_sample_in_the_place_of_a_bad_one(root, installed, num_workers, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    dataset = create_dataset("", str(tmp_path / "copy"), transform=CROP_AND_FLIP)
    for number in (2, 3, len(dataset) - 1):
        Path(dataset.reader.samples[number][0]).write_bytes(b"no image")
    taken = []
    for Loader in (torch.utils.data.DataLoader, fastload.DataLoader):
        torch.manual_seed(5)
        loader = Loader(dataset, BATCH, num_workers=num_workers, collate_fn=fast_collate)
        taken.append([one for batch in loader for one in batch])
    assert len(taken[0]) == len(taken[1]) and all(map(torch.equal, *taken))
    fastload.require_native(loader)


@pytest.mark.parametrize(
    "options", [{"input_img_mode": "L"}, {"load_bytes": True}, {"additional_features": ["x"]}], ids=str
)
def test_timms_data_set_with_other_items_is_its_own(root, options):
    dataset = create_dataset("", str(root), transform=CROP_AND_FLIP)
    vars(dataset).update(options)
    assert fastload.DataLoader(dataset).explain().startswith("stock: the data set timm.data.dataset.ImageDataset gives")


@pytest.mark.parametrize("options", [{}, {"re_prob": 0.5, "no_aug": False}, {"persistent_workers": False}], ids=str)
def test_a_transform_that_is_set_afterwards(root, natively, installed, options):
    """timm's own or torchvision's: who reads them does so when the epoch begins."""
    stock, _ = train(lambda: loader_of(ImageFolder(root), CROP_AND_FLIP, **options))
    with natively(), installed():
        ours, loader = train(lambda: loader_of(ImageFolder(root), CROP_AND_FLIP, **options))
    assert_same_losses(ours, stock, EPOCHS * STEPS)
    assert_native(loader)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_timms_own_augmentation_gives_the_same_losses(root, installed, num_workers):
    options = {"no_aug": False, "auto_augment": "rand-m9-mstd0.5", "re_prob": 0.3, "num_workers": num_workers}
    stock, _ = train(lambda: loader_of(ImageFolder(root), **options))
    with installed():
        ours, loader = train(lambda: loader_of(ImageFolder(root), **options))
    assert_same_losses(ours, stock, EPOCHS * STEPS)
    assert type(loader) is fastload.DataLoader
    assert_native(loader)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_prefetcher_over_our_loader(root, natively, num_workers):
    def make(loader_class):
        def loader():
            dataset = ImageFolder(root, CROP_AND_FLIP)
            plain = loader_class(dataset, BATCH, shuffle=True, drop_last=True, num_workers=num_workers)
            return PrefetchLoader(plain, device=torch.device("cpu"), re_prob=0.5)

        return loader

    stock, _ = train(make(torch.utils.data.DataLoader))
    with natively():
        ours, loader = train(make(fastload.DataLoader))
    assert_same_losses(ours, stock, EPOCHS * STEPS)
    assert_native(loader, images=STEPS * BATCH)


@pytest.mark.parametrize("transform", [None, CROP_AND_FLIP], ids=["timms", "torchvisions"])
def test_one_iterator_for_all_epochs_is_made_natively_by_the_data_set(root, natively, installed, transform):
    """``MultiEpochsDataLoader`` was derived from torch's loader before ``install()``: it stays what it is."""
    options = {"use_multi_epochs_loader": True}
    stock, _ = train(lambda: loader_of(ImageFolder(root), transform, **options))
    with natively(), installed():
        ours, loader = train(lambda: loader_of(fastload.ImageFolder(root), transform, **options))
    assert type(loader) is MultiEpochsDataLoader
    assert_same_losses(ours, stock, EPOCHS * STEPS)


class OurMultiEpochsDataLoader(MultiEpochsDataLoader, fastload.DataLoader):
    """The same over our loader: it flips torch's lock and puts an endless batch sampler in."""


@pytest.mark.parametrize("persistent_workers", [False, True])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_endless_batch_sampler(root, natively, num_workers, persistent_workers):
    def make(loader_class):
        def loader():
            dataset = ImageFolder(root, v1.Compose([*CROP_AND_FLIP.transforms, v1.ConvertImageDtype(torch.float32)]))
            return loader_class(
                dataset,
                BATCH,
                shuffle=True,
                drop_last=True,
                num_workers=num_workers,
                persistent_workers=persistent_workers and num_workers > 0,
            )

        return loader

    stock, _ = train(make(MultiEpochsDataLoader))
    with natively():
        ours, loader = train(make(OurMultiEpochsDataLoader))
    assert_same_losses(ours, stock, EPOCHS * STEPS)
    assert_native(loader, images=EPOCHS * STEPS * BATCH)
