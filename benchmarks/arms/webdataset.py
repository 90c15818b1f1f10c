"""WebDataset: tar shards of the same files, written once; torchvision's decoder and crops, batches made in the workers."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import webdataset
from torchvision.datasets import ImageFolder

from benchmarks.arms import Options, tensors

SHARDS = 16


def _write(folder: Path, data: Path) -> None:
    folder.mkdir()
    samples = ImageFolder(data).samples
    largest = math.ceil(len(samples) / SHARDS)
    with webdataset.ShardWriter(str(folder / "%04d.tar"), maxcount=largest, verbose=0) as writer:
        for number, (path, target) in enumerate(samples):
            writer.write({"__key__": f"{number:08d}", "jpg": Path(path).read_bytes(), "cls": target})


class Arm:
    """Shards in random order, and a buffer of a thousand samples in each worker."""

    CLAIMS_EQUALITY = False

    def __init__(self, options: Options) -> None:
        folder = options.converted("webdataset", lambda path: _write(path, options.data))
        shards = sorted(map(str, folder.glob("*.tar")))
        train = options.workload == "train"
        crop = tensors.CROPS[options.workload]
        data = webdataset.WebDataset(shards, shardshuffle=len(shards) if train else False, empty_check=False)
        if train:
            data = data.shuffle(1000)
        data = data.to_tuple("jpg", "cls").map_tuple(lambda encoded: crop(tensors.decode(encoded)), int)
        data = data.batched(options.batch_size, collation_fn=torch.utils.data.default_collate)
        self.loader = webdataset.WebLoader(data, batch_size=None, num_workers=min(options.workers, len(shards)))

    def epoch(self):
        for images, targets in self.loader:
            yield tensors.finish(images), targets
