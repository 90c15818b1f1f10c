"""Tars: ours, our ImageFolder, and webdataset with transforms v2: ``python -m benchmarks.formats.webdataset --data DIR``.

Also how fast they are indexed, and an index of ImageNet's size is opened.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset

import fastload
from benchmarks.arms import tensors
from benchmarks.datasets.index_memory import resident
from benchmarks.formats.in_turn import BATCH, TRAIN, WORKERS, arguments, in_turn, native, records_of
from fastload.shards import Record, SampleColumns, SampleIndex, Shard, TarFields, write_tar
from fastload.shards.index_file import text_column
from fastload.shards.tar_index import scan_tar

SHARDS = 16
IMAGENET = 1_281_167


def write_shards(root: Path, records: list[Record], classes: list[str]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(np.array_split(np.arange(len(records)), SHARDS)):
        write_tar(root / f"{number:06d}.tar", (records[int(row)] for row in rows), classes)
    return root


def indexing(root: Path, rounds: int) -> float:
    """The best of some, in GB/s, of all shards one after the other from the page cache."""
    shards = [Shard.of_file(path) for path in sorted(root.glob("*.tar"))]
    fields, best = TarFields.of("jpg", "cls"), float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        for shard in shards:
            scan_tar(shard, fields)
        best = min(best, time.perf_counter() - begun)
    return sum(shard.size for shard in shards) / best / 1e9


def index_of_imagenets_size() -> tuple[float, float, float]:
    """Seconds to open it, MB of memory that this takes, MB of its file."""
    with tempfile.TemporaryDirectory() as root:
        shard = Path(root, "0.tar")
        with open(shard, "wb") as file:
            file.truncate(IMAGENET * 110_000)
        names = text_column([f"n{i % 1000:08d}/n{i % 1000:08d}_{i}.JPEG" for i in range(IMAGENET)])
        columns = SampleColumns(
            np.zeros(IMAGENET, np.uint32),
            np.arange(IMAGENET, dtype=np.int64) * 110_000,
            np.full(IMAGENET, 109_000, np.int64),
            *names,
            np.arange(IMAGENET, dtype=np.int64) % 1000,
        )
        SampleIndex("tar", [Shard.of_file(shard)], columns).write(Path(root, "x.index"))
        del names, columns
        before, begun = resident(), time.perf_counter()
        index = SampleIndex.read(Path(root, "x.index"))
        seconds = time.perf_counter() - begun
        assert len(index) == IMAGENET
        return seconds, (resident() - before) / 1e6, os.path.getsize(Path(root, "x.index")) / 1e6


class Rival:
    """webdataset's loader, an epoch for each ``iter()``."""

    def __init__(self, root: Path) -> None:
        crop = tensors.CROPS["train"]
        data = webdataset.WebDataset(sorted(map(str, root.glob("*.tar"))), shardshuffle=SHARDS, empty_check=False)
        data = data.shuffle(1000).to_tuple("jpg", "cls")
        data = data.map_tuple(lambda encoded: crop(tensors.decode(encoded)), int)
        data = data.batched(BATCH, collation_fn=torch.utils.data.default_collate)
        self.loader = webdataset.WebLoader(data, batch_size=None, num_workers=WORKERS)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return ((tensors.finish(images), targets) for images, targets in self.loader)


def batches(dataset: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Some, of one seed."""
    torch.manual_seed(0)
    return list(itertools.islice(native(dataset)(), 4))


def main() -> None:
    given = arguments(__doc__ or "")
    records, classes = records_of(given.data)
    root = write_shards(given.build / "tars", records, classes)
    del records
    print(f"indexing {indexing(root, given.rounds):.1f} GB/s on one thread")
    seconds, memory, size = index_of_imagenets_size()
    print(f"{IMAGENET:,} samples open in {seconds:.2f} s and {memory:.0f} MB; the file has {size:.0f} MB")
    tars, files = fastload.WebDataset(root, TRAIN), fastload.ImageFolder(given.data, TRAIN)
    stream = fastload.WebDataset.stream(root, TRAIN)
    for mine, theirs in zip(batches(tars), batches(files), strict=True):
        assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])
    medians = in_turn(
        {
            "fastload.WebDataset": native(tars),
            "fastload.ImageFolder": native(files),
            "WebDataset.stream": lambda: torch.utils.data.DataLoader(stream, batch_size=BATCH, num_workers=WORKERS),
            "webdataset, v2 tensors": lambda: Rival(root),
        },
        len(files),
        given.rounds,
    )
    mine = medians["fastload.WebDataset"]
    others = medians["fastload.ImageFolder"], medians["webdataset, v2 tensors"]
    print(f"{mine / others[0]:.2f} x ImageFolder, {mine / others[1]:.1f} x webdataset")


if __name__ == "__main__":
    main()
