"""A file that is replaced while it is read: never pixels of a picture for which no plan was drawn, nor memory of others."""

from __future__ import annotations

import functools
import os
import random

import numpy as np
import PIL.Image
import pytest
import torch
import torchvision.transforms as T

from children import LIMIT
from fastload import DataLoader, ImageFiles, ReadError, _core
from fastload.engine.batch_samples import BatchSamples
from fastload.transforms.split_transforms import read
from images import jpeg_bytes

CHANGED = "the file changed while it was read"
SIZE = (24, 32)
CROP = T.Compose([T.CenterCrop(SIZE), T.PILToTensor()])


@functools.cache
def damaged(width: int, height: int) -> bytes:
    """Its header is whole, its pixels are not: the engine draws for it, and then asks Pillow."""
    data = jpeg_bytes(0, width, height)
    generator = random.Random(width)
    begin = data.index(b"\xff\xda") + 20
    while True:
        at = generator.randrange(begin, begin + 500)  # in the first rows, so that no window is without it
        broken = data[:at] + bytes([data[at] ^ 1 << generator.randrange(8)]) + data[at + 1 :]
        try:
            whole = _core.jpeg_header(broken)[2]
        except _core.JpegError:
            continue
        try:
            _core.jpeg_decode(broken, (0, 0, width, 1))
        except _core.JpegError:
            if whole:
                return broken


def pixels(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def submitted(engine, load, *, leave=_core.Leave.nothing, transform=CROP):
    reading = read(transform)
    blocks = {}

    def grow(block, nbytes, gone):
        blocks[block] = np.zeros(nbytes, np.uint8)
        return blocks[block]

    memory = _core.BatchMemory(grow)
    batch = engine.submit(
        [damaged(200, 160), jpeg_bytes(6, 200, 160)],
        [0, 1],
        recipe=reading.recipe,
        target=reading.pixelwise.target("chw"),
        size=SIZE,
        out=memory,
        order=None,
        seed=0,
        epoch=0,
        stop_at_failure=False,
        max_pixels=0,
        load=load,
        leave=leave,
    )
    return blocks, batch


@pytest.mark.parametrize("leave", [_core.Leave.nothing, _core.Leave.bytes, _core.Leave.windows], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (160, 200), (199, 160), (200, 159), (201, 160), (60, 400), (4000, 3000)])
def test_pixels_of_another_size_are_not_used(leave, size):
    engine = _core.Engine(2)
    _, batch = submitted(engine, lambda slot, why: pixels(*size), leave=leave)
    assert batch.wait(LIMIT)
    if leave == _core.Leave.bytes:
        engine.take_back(batch, [0, 1])
        assert batch.wait(LIMIT)
    assert batch.failures == [(0, "unreadable", CHANGED)]


@pytest.mark.parametrize("transform", [CROP, T.Compose([T.Resize(SIZE), T.PILToTensor()])], ids=["crop", "resize"])
@pytest.mark.parametrize("leave", [_core.Leave.nothing, _core.Leave.bytes, _core.Leave.windows], ids=str)
def test_pixels_of_the_same_size_are(leave, transform):
    engine = _core.Engine(2)
    other = pixels(200, 160)
    blocks, batch = submitted(engine, lambda slot, why: other, leave=leave, transform=transform)
    assert batch.wait(LIMIT)
    if leave == _core.Leave.bytes:
        engine.take_back(batch, [0, 1])
        assert batch.wait(LIMIT)
    assert not batch.failures
    first = blocks[batch.take_block()].reshape(2, 3, *SIZE)[0]
    assert np.array_equal(first, transform(PIL.Image.fromarray(other)).numpy())


def replacing(paths, data):
    """The data set's loader finds another file than the engine did: a rename, as rsync does it."""
    load = BatchSamples.load

    def changed(self, slot, why):
        path = self.path(slot)
        if path in paths:
            with open(f"{path}.new", "wb") as new:
                new.write(data)
            os.replace(f"{path}.new", path)
        return load(self, slot, why)

    return changed


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("on_error", ["raise", "skip", "replace"])
def test_a_file_that_becomes_another_picture_is_a_bad_sample(tmp_path, monkeypatch, on_error, workers):
    paths = [str(tmp_path / f"{i}.jpg") for i in range(4)]
    for i, path in enumerate(paths):
        with open(path, "wb") as file:
            file.write(damaged(200, 160) if i == 1 else jpeg_bytes(6 + i, 100, 90))
    monkeypatch.setattr(BatchSamples, "load", replacing({paths[1]}, jpeg_bytes(3, 40, 50)))
    loader = DataLoader(
        ImageFiles(paths, range(4), T.Compose([T.RandomResizedCrop(SIZE), T.PILToTensor()])),
        4,
        num_workers=workers,
        on_error=on_error,
    )
    if on_error == "raise":
        with pytest.raises(ReadError, match=CHANGED) as caught:
            next(iter(loader))
        assert caught.value.index == 1 and caught.value.path == paths[1]
        return
    ((images, targets),) = loader
    assert targets.tolist() == ([0, 2, 3] if on_error == "skip" else [0, 2, 2, 3])
    assert len(images) == len(targets)
    assert [(error.index, error.path) for error in loader.errors] == [(1, paths[1])]


def test_a_file_that_becomes_another_of_its_size_is_read_as_it_is_now(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(damaged(200, 160))
    new = jpeg_bytes(5, 200, 160)
    monkeypatch.setattr(BatchSamples, "load", replacing({str(path)}, new))
    (images,) = DataLoader(ImageFiles([str(path)], transform=CROP), 1)
    assert path.read_bytes() == new
    assert torch.equal(images[0], CROP(PIL.Image.open(path).convert("RGB")))
