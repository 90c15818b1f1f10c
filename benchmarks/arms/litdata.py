"""LitData: its own chunks of the same encoded files, written once, or the folder as it is; torchvision's decoder and crops."""

from __future__ import annotations

import shutil
from pathlib import Path

from litdata import StreamingDataLoader, StreamingDataset, StreamingRawDataset, optimize
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from benchmarks.arms import Options, tensors


def _sample(sample):
    path, target = sample
    return {"image": Path(path).read_bytes(), "target": target}


class _Chunks(StreamingDataset):
    crop = None

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return self.crop(tensors.decode(sample["image"])), sample["target"]


class Arm:
    """``optimize`` and ``StreamingDataset``."""

    CLAIMS_EQUALITY = False

    def __init__(self, options: Options) -> None:
        def write(folder: Path) -> None:
            samples = ImageFolder(options.data).samples
            # Left to itself it makes "spawn" the way of the whole process, whose workers import torch anew in each epoch.
            optimize(
                _sample,
                samples,
                str(folder),
                chunk_bytes="64MB",
                num_workers=options.workers,
                start_method="fork",
                verbose=False,
            )

        folder = options.converted("litdata", write)
        data = _Chunks(str(folder), shuffle=options.workload == "train", drop_last=False)
        data.crop = tensors.CROPS[options.workload]
        self.loader = StreamingDataLoader(data, batch_size=options.batch_size, num_workers=options.workers)

    def epoch(self):
        for images, targets in self.loader:
            yield tensors.finish(images), targets


class _Files(StreamingRawDataset):
    crop = None

    def setup(self, files):
        files = sorted((file for file in files if not file.path.endswith(".zstd")), key=lambda file: file.path)
        classes = sorted({Path(file.path).parent.name for file in files})
        self.targets = [classes.index(Path(file.path).parent.name) for file in files]
        return files

    def __getitems__(self, indices):
        encoded = super().__getitems__(indices)
        return [(self.crop(tensors.decode(data)), self.targets[i]) for data, i in zip(encoded, indices, strict=True)]


class Raw:
    """``StreamingRawDataset`` over the folder, in torch's loader as its guide has it."""

    CLAIMS_EQUALITY = False

    def __init__(self, options: Options) -> None:
        # A copy: it writes its index beside the classes.
        folder = options.converted("litdata-raw", lambda path: shutil.copytree(options.data, path))
        data = _Files(str(folder.resolve()), cache_dir=f"{folder}-index")
        data.crop = tensors.CROPS[options.workload]
        self.loader = DataLoader(
            data, options.batch_size, shuffle=options.workload == "train", num_workers=options.workers
        )

    def epoch(self):
        for images, targets in self.loader:
            yield tensors.finish(images), targets
