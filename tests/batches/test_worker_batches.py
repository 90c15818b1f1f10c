"""Native samples in torch's workers, written straight into the batch: the batches, random numbers and errors of torch's loader."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torch.utils.data import ConcatDataset, Subset, default_collate, get_worker_info
from torch.utils.data import DataLoader as StockLoader
from torchvision.datasets import ImageFolder

import fastload
from fastload.batches import block_table, worker_batches
from images import write_folder

pytestmark = pytest.mark.skipif(block_table.blocks_of_each_worker(1) == 0, reason="memory is not used again here")

CROPS = [v1.RandomResizedCrop(24), v1.RandomHorizontalFlip()]
TRANSFORMS = {
    "v1": v1.Compose([*CROPS, v1.ToTensor(), v1.Normalize([0.5] * 3, [0.2] * 3)]),
    "v2": v2.Compose([v2.ToImage(), v2.RandomResizedCrop(24), v2.ToDtype(torch.float32, scale=True)]),
    "v2 of PIL": v2.Compose([v2.RandomResizedCrop(24), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
    "uint8": v1.Compose([*CROPS, v1.PILToTensor()]),
    "float16": v1.Compose([*CROPS, v1.PILToTensor(), v1.ConvertImageDtype(torch.float16)]),
    "gray": v1.Compose([v1.Grayscale(), v1.Resize((20, 30)), v1.ToTensor()]),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=8)


def starts(worker):
    """A worker_init_fn with effects, which keeps a loader on workers."""
    get_worker_info().dataset.opened_by = worker
    torch.rand(worker + 1)


def ends_in_default(items):
    return default_collate(items)


def epochs_of(kind, dataset, **options):
    torch.manual_seed(3)
    options = {"batch_size": 3, "shuffle": True, "num_workers": 2, "worker_init_fn": starts, **options}
    loader = kind(dataset, **options)
    return loader, [batch for _ in range(2) for batch in loader]


def equal(mine, theirs):
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert type(a) is type(b)
        for x, y in zip(a, b, strict=True) if isinstance(a, list) else [(a, b)]:
            assert torch.equal(x, y) and (type(x), x.dtype, x.stride()) == (type(y), y.dtype, y.stride())
            assert x.is_shared() and x.untyped_storage().nbytes() == y.untyped_storage().nbytes()


@pytest.fixture
def whole(monkeypatch):
    """Counts, in the workers, batches that were made whole."""
    count = torch.zeros(1, dtype=torch.int64).share_memory_()
    made = worker_batches.WholeBatches.made

    def counting(self, *args):
        batch = made(self, *args)
        count.add_(batch is not None)
        return batch

    monkeypatch.setattr(worker_batches.WholeBatches, "made", counting)
    return count


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_equal_to_torchs(root, transform, persistent, whole):
    dataset = ImageFolder(str(root), TRANSFORMS[transform])
    options = {"persistent_workers": persistent, "multiprocessing_context": "fork"}
    loader, mine = epochs_of(fastload.DataLoader, dataset, **options)
    equal(mine, epochs_of(StockLoader, dataset, **options)[1])
    assert loader.stats()["mode"] == "native in workers" or transform == "v2"
    assert int(whole) == len(mine) or transform == "v2"


def test_subsets_data_sets_without_targets_and_workers_that_differ(root, whole):
    transform = TRANSFORMS["v1"]
    folder = ImageFolder(str(root), transform)
    both = ConcatDataset([folder, Subset(folder, range(3, 9))])
    equal(epochs_of(fastload.DataLoader, both)[1], epochs_of(StockLoader, both)[1])
    alone = fastload.ImageFiles([path for path, _ in folder.samples], transform=transform)
    stock = [images for images, _ in epochs_of(StockLoader, folder)[1]]
    equal(epochs_of(fastload.DataLoader, alone)[1], stock)
    assert int(whole) == len(stock) + 2 * 8


def test_a_collate_fn_that_ends_in_the_default_one(root, whole):
    folder = ImageFolder(str(root), TRANSFORMS["v1"])
    mine = epochs_of(fastload.DataLoader, folder, collate_fn=ends_in_default)[1]
    equal(mine, epochs_of(StockLoader, folder)[1])
    assert int(whole) == 0


@pytest.mark.parametrize(
    "options", [{"rng": "index", "shuffle": False}, {"cache": "encoded"}, {"cache": "decoded"}], ids=str
)
def test_options_of_ours(root, options, whole):
    folder = ImageFolder(str(root), TRANSFORMS["v1"])
    loader, mine = epochs_of(fastload.DataLoader, folder, **options)
    equal(mine, epochs_of(fastload.DataLoader, folder, collate_fn=ends_in_default, **options)[1])
    assert int(whole) == len(mine)
    if "cache" in options:
        assert loader.stats()["cache"]["hits"] + loader.stats()["cache"]["misses"] == len(folder)


def test_a_default_collate_that_a_worker_changed_is_asked(root):
    def changes(worker):
        from torch.utils.data._utils.collate import default_collate_fn_map

        default_collate_fn_map[torch.Tensor] = lambda batch, *, collate_fn_map: torch.stack(batch) + 1

    folder = ImageFolder(str(root), TRANSFORMS["v1"])
    options = {"worker_init_fn": changes, "multiprocessing_context": "fork"}
    equal(epochs_of(fastload.DataLoader, folder, **options)[1], epochs_of(StockLoader, folder, **options)[1])


def test_a_sample_that_fails(root, tmp_path):
    """The error that the sample alone gives, and the random numbers after it."""
    folder = ImageFolder(str(root), TRANSFORMS["v1"])
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no JPEG")
    folder.samples[4] = (str(broken), 0)

    def batches(kind, **options):
        torch.manual_seed(3)
        iterator = iter(kind(folder, 3, num_workers=1, worker_init_fn=starts, **options))
        found = []
        while True:
            try:
                found.append(next(iterator))
            except StopIteration:
                return found
            except Exception as error:
                found.append(error)

    mine, theirs = batches(fastload.DataLoader), batches(StockLoader)
    alone = batches(fastload.DataLoader, collate_fn=ends_in_default)
    for a, b, c in zip(mine, theirs, alone, strict=True):
        if isinstance(b, Exception):
            assert type(a) is type(c) and isinstance(a, type(b))
            assert str(broken) in str(a) and str(broken) in str(c)
        else:
            equal([a], [b])
