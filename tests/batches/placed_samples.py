"""Samples that are large enough to be written straight into their batch, and what one can see of them; this process as a worker."""

from __future__ import annotations

import io
import itertools

import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torch.utils.data import Dataset, default_collate

import fastload
from fastload.batches import batch_in_place, block_table, worker_blocks
from fastload.batches.batch_in_place import ItemsInPlace, made_in_place
from fastload.engine import places_here
from images import picture

needs_blocks = pytest.mark.skipif(block_table.blocks_of_each_worker(1) == 0, reason="memory is not used again here")

COUNT, SIDE = 6, 160  # a sample is larger than what is worth while to place
tokens = itertools.count(10**6)


def jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    picture(seed, 200 + seed, 180).save(file, "JPEG")
    return file.getvalue()


JPEGS = [jpeg(seed) for seed in range(COUNT)]
TRAIN = v1.Compose([v1.RandomResizedCrop(SIDE), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize([0.5], [0.2])])
SMALL = v1.Compose([v1.RandomCrop(SIDE - 1), v1.ToTensor()])
TYPED = v2.Compose([v2.RandomResizedCrop(SIDE), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


class Halved:
    def __call__(self, image):
        return image.mul_(0.5)


class Rolled:
    def __call__(self, image):
        return torch.roll(image, 1, 0)


NATIVE = {
    name: fastload.native(transform) for name, transform in {"train": TRAIN, "small": SMALL, "typed": TYPED}.items()
}
NATIVE["halved"] = fastload.native(v1.Compose([*TRAIN.transforms, Halved()]))
NATIVE["rolled"] = fastload.native(v1.Compose([*TRAIN.transforms, Rolled()]))


def made(name: str, index: int):
    return NATIVE[name](fastload.open(JPEGS[index % COUNT]).convert("RGB"))


class Photos(Dataset):
    """As a user writes it."""

    def __init__(self, name: str, make) -> None:
        self.make, self.name = make, name

    def __len__(self):
        return 3 * COUNT

    def __getitem__(self, index):
        return self.make(index)


def as_worker(monkeypatch):
    """This process as a worker that has blocks."""
    blocks = worker_blocks.WorkerBlocks(block_table.BlockTable(next(tokens), 1, 16), 0)
    monkeypatch.setattr(batch_in_place, "blocks_of_this_worker", lambda: blocks)
    monkeypatch.setattr(batch_in_place, "_copied", 0)
    for name in NATIVE:  # a transform is read at its second use
        made(name, 0), made(name, 1)
    return blocks


def tensors(batch):
    if isinstance(batch, torch.Tensor):
        return [batch]
    parts = batch.values() if isinstance(batch, dict) else batch if isinstance(batch, (list, tuple)) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def form(batch):
    """All that one can see of a batch."""
    if isinstance(batch, torch.Tensor):
        storage = batch.untyped_storage().nbytes()
        place = batch.stride(), batch.storage_offset(), storage, batch.requires_grad
        values = batch.detach().contiguous().reshape(-1).view(torch.uint8)
        return type(batch), batch.dtype, batch.shape, place, values.numpy().tobytes()
    if isinstance(batch, dict):
        return dict, [(name, form(part)) for name, part in batch.items()]
    return (type(batch), [form(part) for part in batch]) if isinstance(batch, (list, tuple)) else batch


def images(batch):
    return [tensor for tensor in tensors(batch) if tensor.dim() > 2]


def stock(make, indices):
    torch.manual_seed(5)
    batch = default_collate([make(index) for index in indices])
    return form(batch), torch.get_rng_state().tolist()


def in_place(make, indices, collated=True):
    torch.manual_seed(5)
    items = made_in_place(make, indices)
    assert places_here() is None
    return items.collated() if collated and isinstance(items, ItemsInPlace) else items


def lies_in(blocks, tensor) -> bool:
    return tensor.untyped_storage().data_ptr() in [address for _, address, _ in blocks._storages.values()]
