"""Iterators and loaders that a forked process inherits."""

from __future__ import annotations

import os
import signal
import traceback

import pytest
import torch
import torchvision.transforms as v1
from torchvision.datasets import ImageFolder

import fastload
from children import LIMIT
from images import write_folder

FIXED = v1.Compose([v1.Resize(40), v1.CenterCrop(32), v1.ToTensor()])


def twice(image):
    return 2 * image


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=6)


def in_a_fork(do) -> None:
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(LIMIT)
            do()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


WAYS = {
    "native": (FIXED, {}),
    "persistent": (FIXED, {"persistent_workers": True}),
    "device": (FIXED, {"device": "cpu"}),
    "in workers": (v1.Compose([*FIXED.transforms, twice]), {}),
    "in persistent workers": (v1.Compose([*FIXED.transforms, twice]), {"persistent_workers": True}),
    "in workers, device": (v1.Compose([*FIXED.transforms, twice]), {"device": "cpu"}),
}


@pytest.mark.parametrize("Loader", [fastload.DataLoader, fastload.StatefulDataLoader])
@pytest.mark.parametrize("way", WAYS)
def test_an_iterator_with_workers(root, Loader, way):
    """In the child it says that it is not its own, the loader makes another; the parent's does not notice."""
    transform, options = WAYS[way]
    loader = Loader(ImageFolder(str(root), transform), batch_size=2, num_workers=1, **options)
    iterator = iter(loader)
    first = next(iterator)

    def in_child():
        nonlocal iterator
        with pytest.raises(RuntimeError, match=r"process .* was forked from it: make one here"):
            next(iterator)
        again = list(loader)
        assert len(again) == 6 and torch.equal(again[0][0], first[0])
        del iterator

    in_a_fork(in_child)
    assert len(list(iterator)) == 5


@pytest.mark.parametrize("transform", ["native", "in workers"])
def test_an_iterator_without_workers_goes_on(root, transform):
    loader = fastload.DataLoader(ImageFolder(str(root), WAYS[transform][0]), batch_size=2)
    expected = list(loader)
    iterator = iter(loader)
    next(iterator)

    def in_child():
        assert all(torch.equal(a[0], b[0]) for a, b in zip(iterator, expected[1:], strict=True))

    in_a_fork(in_child)
    assert len(list(iterator)) == 5


def test_a_data_set_that_was_used(root):
    dataset = fastload.ImageFolder(str(root), FIXED)
    expected = dataset.__getitems__(range(12))

    def in_child():
        got = dataset.__getitems__(range(12))
        assert all(torch.equal(a[0], b[0]) for a, b in zip(got, expected, strict=True))

    in_a_fork(in_child)
