"""from_hf where Arrow's buffers are mapped from files: samples are ranges of these, kept by a cache, and sent as places."""

from __future__ import annotations

import os
import pickle
import random

import pytest
import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader as StockLoader

from fastload import DataLoader, from_hf
from fastload.engine import ByteRange, Encoded
from images import jpeg_bytes

hf = pytest.importorskip("datasets")
pyarrow = pytest.importorskip("pyarrow")

COUNT = 24
TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.RandomHorizontalFlip(), T.ToTensor()])


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """As it is in memory, and mapped from two files with batches of five."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    hf.disable_progress_bars()
    images = [{"bytes": jpeg_bytes(number, 40 + number, 30), "path": f"{number}.jpg"} for number in range(COUNT)]
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=["cat", "dog", "eel"])})
    memory = hf.Dataset.from_dict({"image": images, "label": [n % 3 for n in range(COUNT)]}, features=features)
    monkeypatch.setattr("datasets.config.ARROW_RECORD_BATCH_SIZE_FOR_IMAGE_DATASETS", 5, raising=False)
    monkeypatch.setattr("datasets.config.DEFAULT_MAX_BATCH_SIZE", 5)
    memory.save_to_disk(tmp_path / "a folder", num_shards=2)
    yield memory, hf.load_from_disk(tmp_path / "a folder")
    hf.enable_progress_bars()


def sources(images):
    return [source for source, _ in images.samples]


def test_samples_are_ranges_of_the_files(mapped):
    memory, there = mapped
    assert len(there.data.table.column("image").chunks) > 2
    files = {one["filename"] for one in there.cache_files}
    shuffled = there.shuffle(seed=1)
    for ours, reference in (
        (from_hf(there), from_hf(memory)),
        (from_hf(shuffled), from_hf(memory.select(shuffled._indices.column(0).to_pylist()))),
        (from_hf(there.select([3, 20, 3])), from_hf(memory.select([3, 20, 3]))),
    ):
        assert all(type(one) is Encoded for one in sources(reference))
        assert all(type(one) is ByteRange and one.path in files for one in sources(ours))
        assert [one.read() for one in sources(ours)] == [one.read() for one in sources(reference)]
        assert ours.targets == reference.targets and ours.classes == reference.classes
    assert "memory" in repr(reference) and "2 files" in repr(from_hf(there))


def test_what_is_mapped_and_what_is_not_together(mapped):
    memory, there = mapped
    images = from_hf(hf.concatenate_datasets([there, memory.select([1, 2])]))
    found = [images, pickle.loads(pickle.dumps(images))]
    for one in found:
        assert [type(source) for source in sources(one)] == [ByteRange] * COUNT + [Encoded] * 2
        assert [source.read() for source in sources(one)[-2:]] == [source.read() for source in sources(one)[1:3]]


@pytest.mark.parametrize("cache", [None, "encoded", "decoded"])
def test_batches_are_those_from_memory_and_a_cache_keeps_them(mapped, cache):
    memory, there = mapped
    ours, reference = from_hf(there, transform=TRANSFORM), from_hf(memory, transform=TRANSFORM)
    bytes_of_it = {} if cache is None else {"cache_bytes": 1 << 24}
    loader = DataLoader(ours, batch_size=7, shuffle=True, cache=cache, **bytes_of_it)
    stock = StockLoader(reference, batch_size=7, shuffle=True)
    torch.manual_seed(3)
    expected = [list(stock) for _ in range(2)]
    torch.manual_seed(3)
    for epoch in expected:
        for mine, theirs in zip(loader, epoch, strict=True):
            assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])
    if cache is not None:
        assert loader.stats()["cache"]["hits"] == COUNT
        assert "all fit" in loader.explain()
        assert "in memory already" in DataLoader(reference, cache=cache, **bytes_of_it).explain()


def test_what_is_sent_to_a_process_holds_no_bytes_of_images(mapped):
    """Nor the data set of ``datasets``, which would be imported there."""
    _, there = mapped
    images = from_hf(there, transform=TRANSFORM)
    payloads = [one.read() for one in sources(images)]
    sent = pickle.dumps(images)
    assert not any(payload[100:200] in sent for payload in payloads) and b"datasets.arrow_dataset" not in sent
    assert [one.read() for one in sources(pickle.loads(sent))] == payloads
    one = images.samples[0][0]
    assert len(pickle.dumps(one)) < 500 < one.length and pickle.loads(pickle.dumps(one)).read() == payloads[0]


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_a_file_that_changes_is_an_error(mapped, sent, cut):
    """Reading one that is cut through its mapping would end the process."""
    _, there = mapped
    images = from_hf(there, transform=TRANSFORM)
    if sent:
        images = pickle.loads(pickle.dumps(images))
    source = images.samples[0][0]
    with open(source.path, "r+b") as file:
        file.seek(source.offset + 40)
        file.write(b"other")
        if cut:
            file.truncate(source.offset + 50)
    os.utime(source.path, ns=(1, 1))
    with pytest.raises(OSError, match="has changed since it was indexed"):
        images[0]
    with pytest.raises(OSError, match="has changed since it was indexed"):
        next(iter(DataLoader(images, batch_size=2)))


def test_a_file_that_is_gone_or_another_is_not_read(mapped, tmp_path):
    """What is mapped stays as it was."""
    memory, there = mapped
    first, second = [one["filename"] for one in there.cache_files]
    expected = [source.read() for source in sources(from_hf(memory))]
    os.unlink(second)
    (tmp_path / "other").write_bytes(random.Random(0).randbytes(os.path.getsize(first)))
    os.replace(tmp_path / "other", first)
    images = from_hf(there)
    assert all(type(one) is Encoded for one in sources(images))
    assert [one.read() for one in sources(images)] == expected


def test_without_the_systems_mappings_it_is_read_from_memory(mapped, monkeypatch):
    memory, there = mapped
    monkeypatch.setattr("fastload.shards.mapped_buffers._MAPPINGS", "/no/such")
    images = from_hf(there)
    assert all(type(one) is Encoded for one in sources(images))
    assert [one.read() for one in sources(images)] == [one.read() for one in sources(from_hf(memory))]
