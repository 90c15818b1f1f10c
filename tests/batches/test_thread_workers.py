"""``worker_method``, which torch is about to have."""

from __future__ import annotations

import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
from torchvision.datasets import ImageFolder

import fastload
import fastload.loader
from images import write_folder

HAS_IT = "worker_method" in fastload.loader._TORCH_PARAMETERS


def rolled(image):
    return image.roll(1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = write_folder(tmp_path_factory.mktemp("folder"), classes=1, images=6)
    return ImageFolder(str(root), v1.Compose([v1.Resize(40), v1.CenterCrop(32), v1.ToTensor()]))


@pytest.fixture
def coming(monkeypatch):
    """torch's loader as it will be: it knows the parameter, and keeps it."""
    if HAS_IT:
        return
    stock = torch.utils.data.DataLoader.__init__

    def init(self, *args, worker_method="multiprocessing", **options):
        stock(self, *args, **options)
        self.worker_method = worker_method

    monkeypatch.setattr(torch.utils.data.DataLoader, "__init__", init)
    known = fastload.loader._TORCH_PARAMETERS | {"worker_method"}
    monkeypatch.setattr(fastload.loader, "_TORCH_PARAMETERS", known)


@pytest.mark.skipif(HAS_IT, reason="this torch has it")
def test_torch_does_not_know_it_yet(dataset):
    fastload.DataLoader(dataset, worker_method="multiprocessing")
    with pytest.raises(ValueError, match="has no such parameter"):
        fastload.DataLoader(dataset, num_workers=1, worker_method="thread")


def test_it_is_passed_on(dataset, coming):
    loader = fastload.DataLoader(dataset, batch_size=3, num_workers=1, worker_method="thread")
    assert loader.worker_method == "thread" and loader.explain().startswith("native: ")
    expected = [images for images, _ in torch.utils.data.DataLoader(dataset, batch_size=3)]
    assert all(torch.equal(ours, one) for (ours, _), one in zip(loader, expected, strict=True))


@pytest.mark.filterwarnings("ignore::fastload.FastloadWarning")
def test_user_code_is_left_to_torchs_threads(dataset, coming):
    dataset = ImageFolder(dataset.root, v1.Compose([*dataset.transform.transforms, rolled]))
    loader = fastload.DataLoader(dataset, num_workers=1, worker_method="thread")
    assert loader.explain().startswith("stock: ") and "torch's workers are threads" in loader.explain()
    stateful = fastload.StatefulDataLoader(dataset, num_workers=1, worker_method="thread")
    with pytest.raises(ValueError, match="keep no state"):
        iter(stateful)
