"""TurboLoader: one tar of the same files, or its own file of pixels that were decoded and squeezed to 256 x 256 once.

Its pixels are those of libjpeg-turbo's fast DCT; its resize is bilinear, without antialias by default. It has no centre crop on its
fast path: evaluation squeezes the whole picture to a square. Its pool has a thread a core, whatever the number of workers.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import torch
import turboloader
from torchvision.datasets import ImageFolder

from benchmarks.arms import RESIZED, SIDE, Options


def _write_tar(file: Path, samples) -> None:
    with tarfile.open(file, "w") as archive:
        for number, (path, _) in enumerate(samples):
            member = tarfile.TarInfo(f"{number:08d}.jpg")
            member.size = Path(path).stat().st_size
            with open(path, "rb") as data:
                archive.addfile(member, data)


class Arm:
    """The tar, as its own quick start has it."""

    CLAIMS_EQUALITY = False
    SQUEEZES = True
    ANTIALIAS = False

    def __init__(self, options: Options) -> None:
        samples = ImageFolder(options.data).samples
        self.targets = np.array([target for _, target in samples], np.int64)
        self.tar = options.converted("turboloader.tar", lambda path: _write_tar(path, samples))
        self.epochs = 0
        self.loader = self._make(options, options.workload == "train")

    def _make(self, options: Options, train: bool):
        return turboloader.DataLoader(
            str(self.tar),
            batch_size=options.batch_size,
            num_workers=options.workers,
            image_size=SIDE,
            output_format="pytorch",
            transform=turboloader.ImageNetNormalize(),
            shuffle=train,
            train_aug=train,
            antialias=self.ANTIALIAS,
        )

    def epoch(self):
        self.loader.set_epoch(self.epochs)
        self.epochs += 1
        for images, meta in self.loader:
            yield torch.from_numpy(images), torch.from_numpy(self.targets[np.asarray(meta["indices"])])


class Antialias(Arm):
    """The tar, with the antialias that torchvision has."""

    ANTIALIAS = True


class Raw256(Arm):
    """Its file of pixels: nothing is decoded, and the photo's own shape is gone."""

    def _make(self, options: Options, train: bool):
        def write(file: Path) -> None:
            turboloader.preprocess_to_tbl(str(self.tar), str(file), RESIZED, num_workers=options.workers)

        return turboloader.TblRawImageLoader(
            str(options.converted("raw256.tbl", write)),
            options.batch_size,
            image_size=SIDE,
            shuffle=train,
            train_aug=train,
            hflip_prob=0.5 if train else 0.0,
        )
