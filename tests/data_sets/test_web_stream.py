"""WebDataset.stream: tars from beginning to end, each sample once, in an order of its own each epoch, as many for every rank."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
from shlex import quote

import pytest
import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader as StockLoader

from fastload import DataLoader, FastloadWarning, StatefulDataLoader, WebDataset
from fastload.shards import Record, write_tar
from images import jpeg_bytes

TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.ToTensor()])
PER_SHARD = (5, 7, 3, 6)
SAMPLES = sum(PER_SHARD)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Of different lengths; a sample's target is its number in all of them."""
    root, number = tmp_path_factory.mktemp("shards"), 0
    for shard, count in enumerate(PER_SHARD):
        records = [Record(f"{n:03d}.jpg", jpeg_bytes(n, 30, 20), n) for n in range(number, number + count)]
        write_tar(root / f"{shard}.tar", records, None)
        number += count
    return root


def targets(stream, **options):
    return [int(target) for _, batch in DataLoader(stream, batch_size=4, **options) for target in batch]


def test_every_sample_comes_once_with_the_pixels_of_the_index(shards):
    indexed = WebDataset(shards, T.ToTensor())
    stream = WebDataset.stream(shards, T.ToTensor(), shuffle_buffer=6)
    found = {target: image for image, target in stream}
    assert sorted(found) == list(range(SAMPLES))
    assert all(torch.equal(found[target], indexed[target][0]) for target in found)
    assert [target for _, target in WebDataset.stream(shards, T.ToTensor(), shuffle=False)] == list(range(SAMPLES))


def test_each_epoch_has_an_order_of_its_own_and_the_same_again(shards):
    stream = WebDataset.stream(shards, TRANSFORM, shuffle_buffer=6, seed=1)
    orders = []
    for epoch in (0, 1, 0):
        stream.set_epoch(epoch)
        orders.append(targets(stream, num_workers=2))
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(SAMPLES))
    assert orders[0] == orders[2] != orders[1]
    assert targets(WebDataset.stream(shards, TRANSFORM, shuffle_buffer=6, seed=2)) != targets(
        WebDataset.stream(shards, TRANSFORM, shuffle_buffer=6, seed=1)
    )


def test_workers_that_live_on_see_the_epoch(shards):
    stream = WebDataset.stream(shards, TRANSFORM, shuffle_buffer=6)
    loader = StockLoader(stream, batch_size=4, num_workers=2, persistent_workers=True)
    orders = []
    for epoch in (0, 1):
        stream.set_epoch(epoch)
        orders.append([int(target) for _, batch in loader for target in batch])
    assert orders[0] != orders[1]


@pytest.mark.parametrize(("world", "workers"), [(2, 0), (3, 2), (7, 0)])
def test_ranks_have_equal_steps_and_other_samples(shards, world, workers):
    """Also with fewer shards than ranks and workers, which then share out samples."""
    given = []
    for rank in range(world):
        stream = WebDataset.stream(
            shards, TRANSFORM, shuffle_buffer=2, samples_per_epoch=SAMPLES, rank=rank, world_size=world
        )
        batches = list(StockLoader(stream, batch_size=2, num_workers=workers))
        given.append(([len(batch) for _, batch in batches], [int(t) for _, batch in batches for t in batch]))
    assert len({tuple(sizes) for sizes, _ in given}) == 1
    assert all(len(mine) == SAMPLES // world for _, mine in given)
    if max(workers, 1) * world > len(PER_SHARD):
        everything = [target for _, mine in given for target in mine]
        assert len(set(everything)) == len(everything)


def test_shards_are_dealt_anew_each_epoch(shards):
    seen = set()
    for epoch in range(8):
        stream = WebDataset.stream(shards, TRANSFORM, shuffle_buffer=1, samples_per_epoch=SAMPLES, rank=0, world_size=2)
        stream.set_epoch(epoch)
        seen |= {target for _, target in stream}
    assert seen == set(range(SAMPLES))


@pytest.mark.parametrize(("workers", "seen"), [(0, 0), (0, 1), (0, 5), (2, 3)])
def test_an_epoch_is_resumed_at_the_same_sample(shards, workers, seen):
    def loader():
        stream = WebDataset.stream(shards, TRANSFORM, shuffle_buffer=6)
        stream.set_epoch(3)
        return StatefulDataLoader(stream, batch_size=3, num_workers=workers)

    whole = list(loader())
    first = loader()
    iterator = iter(first)
    for _ in range(seen):
        next(iterator)
    state = first.state_dict()
    second = loader()
    second.load_state_dict(state)
    rest = list(second)
    assert len(rest) == len(whole) - seen
    for mine, theirs in zip(rest, whole[seen:], strict=True):
        assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])


def test_compressed_shards_commands_and_standard_input(shards, tmp_path):
    plain = (shards / "1.tar").read_bytes()
    (tmp_path / "1.tar.gz").write_bytes(gzip.compress(plain))
    expected = [5, 6, 7, 8, 9, 10, 11]
    for source in (
        str(tmp_path / "1.tar.gz"),
        f"pipe:cat {quote(str(shards))}/1.tar",
        f"pipe:gzip -dc {quote(str(tmp_path))}/1.tar.gz",
    ):
        assert [target for _, target in WebDataset.stream(source, TRANSFORM)] != []
        assert [target for _, target in WebDataset.stream(source, TRANSFORM, shuffle=False)] == expected
    code = """
from fastload import WebDataset
print([target for _, target in WebDataset.stream("-", shuffle=False)])
"""
    done = subprocess.run([sys.executable, "-c", code], input=plain, stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode() == f"{expected}\n"


def test_several_tars_in_one_file(shards, tmp_path):
    path = tmp_path / "both.tar"
    path.write_bytes(
        (shards / "0.tar").read_bytes() + (shards / "1.tar").read_bytes() + (shards / "1.tar").read_bytes()
    )
    found = [target for _, target in WebDataset.stream(path, TRANSFORM, shuffle=False)]
    assert found == WebDataset(path).targets == [*range(12), *range(5, 12)]
    one = io.BytesIO()
    with tarfile.open(fileobj=one, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("1.jpg"))
    path.write_bytes(one.getvalue() * 2)  # the same key ends one and begins the other
    indexed = WebDataset(path, target=None)
    assert len(indexed) == 2
    with pytest.raises(Exception, match=r"1\.jpg|cannot identify"):
        list(WebDataset.stream(path, TRANSFORM, target=None))


def test_commands_belong_to_streams_alone(shards):
    with pytest.raises(ValueError, match=r"WebDataset\.stream"):
        WebDataset(f"pipe:cat {quote(str(shards))}/1.tar")
    with pytest.raises(OSError, match="failed with status 3"):
        list(WebDataset.stream(f"pipe:cat {quote(str(shards))}/1.tar; exit 3", TRANSFORM))
    with pytest.raises(ValueError, match="can be read once"):
        list(DataLoader(WebDataset.stream("-", TRANSFORM), num_workers=2))


def test_a_damaged_shard_is_an_error_with_its_place(shards, tmp_path):
    whole = (shards / "1.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        third = [member for member in tar if member.name.endswith(".jpg")][2]
    path = tmp_path / "1.tar"
    for data, what in (
        (whole[: third.offset_data + 5], "cut or damaged behind byte|is .* bytes long"),
        (whole[: third.offset + 100], r"no tar header at byte|cut or damaged"),
        (whole[: third.offset] + b"?" * 512 + whole[third.offset_data :], f"no tar header at byte {third.offset}"),
        (gzip.compress(whole)[:-2000], "cut or damaged"),
        (b"no tar" * 1000, "no tar header at byte 0"),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"1\.tar.*({what})"):
            list(WebDataset.stream(path, TRANSFORM))


def test_what_is_left_out_is_told_and_nothing_is_an_error(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, data in (("1.jpg", jpeg_bytes(0)), ("1.cls", b"1"), ("2.jpg", b""), ("3.cls", b"3")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    with pytest.warns(FastloadWarning, match="1 samples have no image .* 1 samples have no target"):
        assert len(list(WebDataset.stream(tmp_path / "a.tar", TRANSFORM))) == 1
    stream = WebDataset.stream(tmp_path / "a.tar", TRANSFORM, image="png", samples_per_epoch=4, rank=0, world_size=1)
    with pytest.raises(ValueError, match="no sample for worker 0 of 1"):
        list(stream)


def test_ranks_need_a_number_of_samples(shards):
    with pytest.raises(ValueError, match="say samples_per_epoch"):
        WebDataset.stream(shards, rank=0, world_size=2)
    with pytest.raises(ValueError, match="some would have none"):
        WebDataset.stream(shards, rank=0, world_size=2, samples_per_epoch=1)
    assert os.listdir(shards).count(".fastload") <= 1
