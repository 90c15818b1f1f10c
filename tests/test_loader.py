"""The loader's face: signature, options, explain(), stats()."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torch.utils.data import TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import pil_loader

import fastload
from contract import has_accelerator
from fastload.batches.thread_iterator import _in_memory_order
from images import write_folder

TRANSFORM = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor()])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=4, images=10)


def test_torchs_parameters_come_first_with_torchs_defaults():
    theirs = inspect.signature(torch.utils.data.DataLoader).parameters
    ours = inspect.signature(fastload.DataLoader).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    assert [(p.kind, p.default) for p in theirs.values()] == [(ours[name].kind, ours[name].default) for name in theirs]
    assert all(p.kind is p.KEYWORD_ONLY for name, p in ours.items() if name not in theirs)


def test_every_public_attribute_is_a_parameter(root):
    loader = fastload.DataLoader(ImageFolder(root, TRANSFORM), num_workers=2)
    list(loader)
    public = {name for name in vars(loader) if not name.startswith("_")}
    assert public <= set(inspect.signature(fastload.DataLoader).parameters)
    assert fastload.DataLoader[int] is not None


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 0},
        {"threads": True},
        {"rng": "numpy"},
        {"on_error": "ignore"},
        {"device": "gpu"},
        {"decode": "gpu"},
        {"cache": "raw"},
        {"cache": "encoded", "cache_bytes": 0},
        {"cache": "encoded", "cache_bytes": 1 << 60},
        {"cache_bytes": 5},
        {"memory_format": torch.channels_last_3d},
        {"num_workers": -1},
        {"batch_size": 0},
    ],
    ids=str,
)
def test_wrong_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        fastload.DataLoader([1], **options)


def test_other_data_sets_behave_as_torch():
    dataset = TensorDataset(torch.arange(10))
    torch.manual_seed(0)
    loader = fastload.DataLoader(dataset, batch_size=3, shuffle=True, num_workers=1)
    ours = [batch for (batch,) in loader]
    torch.manual_seed(0)
    stock = [batch for (batch,) in torch.utils.data.DataLoader(dataset, batch_size=3, shuffle=True, num_workers=1)]
    assert all(torch.equal(a, b) for a, b in zip(ours, stock, strict=True))
    assert loader.explain().startswith("stock: the data set torch.utils.data.dataset.TensorDataset")
    assert loader.stats()["mode"] == "stock"


class OwnItems(ImageFolder):
    def __getitem__(self, index):
        return super().__getitem__(index)


class OwnBatches(ImageFolder):
    def __getitems__(self, indices):
        return [self[index] for index in indices]


class OwnFlip(v1.RandomHorizontalFlip):
    def forward(self, img):
        self.seen = img
        return super().forward(img)


def hooked():
    flip = v1.RandomHorizontalFlip()
    flip.register_forward_hook(lambda module, args, output: output)
    return flip


def own_loader(path):
    return pil_loader(path).rotate(180)


@pytest.mark.parametrize(
    ("make", "first_line"),
    [
        (lambda root: ImageFolder(root), "stock: no transform is native (there is none)"),
        (
            lambda root: ImageFolder(root, np.asarray),
            "stock: no transform is native (asarray: not one of the transforms",
        ),
        (lambda root: OwnItems(root, TRANSFORM), "stock: the data set test_loader.OwnItems overrides `__getitem__`"),
        (lambda root: OwnBatches(root, TRANSFORM), "stock: the data set test_loader.OwnBatches defines __getitems__"),
        (
            lambda root: ImageFolder(root, TRANSFORM, loader=own_loader),
            "stock: the data set torchvision.datasets.folder.ImageFolder has a loader",
        ),
        (
            lambda root: ImageFolder(root, TRANSFORM),
            "native: images are read, decoded and transformed in 2 threads of this",
        ),
        (
            lambda root: ImageFolder(root, v1.Compose([v1.RandomResizedCrop(9), hooked(), v1.ToTensor()])),
            "native: images are read, decoded and transformed in torch's workers, because RandomHorizontalFlip",
        ),
        (
            lambda root: ImageFolder(root, v1.Compose([v1.RandomResizedCrop(9), OwnFlip(), v1.ToTensor()])),
            "native: images are read, decoded and transformed in torch's workers, because OwnFlip",
        ),
        (
            lambda root: ImageFolder(root, v1.Compose([v1.Resize(9), v1.ToTensor()])),
            "native: images are read, decoded and transformed in torch's workers, because the transforms give images of different",
        ),
    ],
)
def test_explain_says_what_and_why(root, make, first_line):
    assert fastload.DataLoader(make(root), num_workers=2).explain().startswith(first_line)


def test_explain_says_what_runs_where(root):
    transform = v2.Compose([v2.RandomResizedCrop(32), v2.ToImage(), v2.JPEG(50), v2.RandomHorizontalFlip()])
    lines = fastload.DataLoader(ImageFolder(root, transform), entries="off").explain().splitlines()
    assert [line.split("(")[0] for line in lines[1:]] == [
        "  native: RandomResizedCrop",
        "  native: ToImage",
        "  Python: JPEG",
        "  Python: RandomHorizontalFlip",
        "  the first in Python: JPEG: it writes a JPEG and reads it again",
    ]


def test_presets_of_torchvisions_weights_are_native(root):
    preset = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    dataset = ImageFolder(root, preset)
    loader = fastload.DataLoader(dataset, batch_size=5)
    assert loader.explain().startswith("native:") and "Python" not in loader.explain()
    images, _ = next(iter(loader))
    assert torch.equal(images, torch.stack([dataset[index][0] for index in range(5)]))


def test_what_is_set_before_iterating_counts(root):
    dataset = ImageFolder(root, TRANSFORM)
    loader = fastload.DataLoader(dataset, batch_size=40)
    assert next(iter(loader))[0].shape == (40, 3, 32, 32)
    dataset.transform = v1.Compose([v1.Resize((8, 9)), v1.ToTensor()])
    assert next(iter(loader))[0].shape == (40, 3, 8, 9)
    dataset.transform = None
    assert loader.explain().startswith("stock: ")
    loader.num_workers = 1
    loader.prefetch_factor = 2
    dataset.transform = TRANSFORM
    assert "in 1 threads" in loader.explain()


def test_the_sampler_runs_ahead_as_with_torch(root):
    class Counting(torch.utils.data.BatchSampler):
        pulled = 0

        def __iter__(self):
            for batch in super().__iter__():
                self.pulled += 1
                yield batch

    counts = []
    for cls in (fastload.DataLoader, torch.utils.data.DataLoader):
        for workers, ahead in ((0, None), (1, 2), (2, 2), (2, 3)):
            dataset = ImageFolder(root, TRANSFORM)
            sampler = Counting(torch.utils.data.SequentialSampler(dataset), 2, False)
            iterator = iter(cls(dataset, batch_sampler=sampler, num_workers=workers, prefetch_factor=ahead))
            seen = [sampler.pulled]
            for _ in range(3):
                next(iterator)
                seen.append(sampler.pulled)
            counts.append(seen)
    assert counts[:4] == counts[4:] == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9]]


def test_stats(root):
    loader = fastload.DataLoader(ImageFolder(root, TRANSFORM), batch_size=6, num_workers=2)
    assert loader.stats()["mode"] is None and loader.stats()["images"] == 0
    for _ in range(2):
        list(loader)
        stats = loader.stats()
        assert stats["mode"] == "native" and stats["images"] == 40 and stats["batches"] == 7
        assert stats["errors"] == stats["fallbacks"] == 0
        assert 0 < stats["first_batch_seconds"] <= stats["seconds"] and stats["images_per_second"] > 0
        assert set(stats["stages"]) == {"read", "header", "turn", "draw", "decode", "resample", "pack", "fallback"}
        assert all(stats["stages"][stage] > 0 for stage in ("read", "header", "decode", "resample", "pack"))


def test_an_empty_batch_is_torchs_error(root):
    for cls in (fastload.DataLoader, torch.utils.data.DataLoader):
        with pytest.raises(IndexError):
            list(cls(ImageFolder(root, TRANSFORM), batch_sampler=[[]]))


def test_pin_memory_without_an_accelerator_warns_as_torch_does(root):
    said = []
    for cls in (fastload.DataLoader, torch.utils.data.DataLoader):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            images, _ = next(iter(cls(ImageFolder(root, TRANSFORM), batch_size=4, pin_memory=True)))
        assert images.is_pinned() == has_accelerator()
        said.append([(one.category, str(one.message)) for one in caught if "pin_memory" in str(one.message)])
    assert said[0] == said[1]
    assert bool(said[1]) == (hasattr(torch, "accelerator") and not has_accelerator())  # older torch says nothing


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (2, 1, 5, 7), (1, 3, 1, 1), (3, 3, 1, 6), (2, 1, 1, 1), (4, 3, 8, 8)])
def test_the_engine_writes_a_batch_of_any_shape(shape, memory_format):
    """Where sides are 1 the strides of a tensor say little about its order."""
    images = torch.empty(shape, dtype=torch.float32, memory_format=memory_format)
    written = _in_memory_order(images)
    assert written.nbytes == images.nbytes and written.flags.c_contiguous
    assert written.__array_interface__["data"][0] == images.data_ptr()
