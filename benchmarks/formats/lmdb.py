"""LMDB: ours, our ImageFolder, and a data set as people write it, with PIL: ``python -m benchmarks.formats.lmdb --data DIR``.

Also how fast the database is indexed.
"""

from __future__ import annotations

import io
import shutil
import time

import lmdb
import PIL.Image
import torch
from torch.utils.data import DataLoader, Dataset

import fastload
from benchmarks.formats.in_turn import (
    BATCH,
    STILL,
    TRAIN,
    WORKERS,
    arguments,
    check_equal,
    check_rival,
    in_turn,
    native,
    records_of,
)
from fastload.shards import write_lmdb


class Usual(Dataset):
    """Opened in each worker, as it has to be."""

    def __init__(self, path, targets, transform):
        self.path, self.targets, self.transform, self.env = path, targets, transform, None

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        if self.env is None:
            self.env = lmdb.open(
                str(self.path), subdir=False, readonly=True, lock=False, readahead=False, meminit=False
            )
        with self.env.begin() as transaction:
            data = transaction.get(b"%08d" % i)
        return self.transform(PIL.Image.open(io.BytesIO(data)).convert("RGB")), self.targets[i]


def main() -> None:
    options = arguments(__doc__)
    options.build.mkdir(parents=True, exist_ok=True)
    records, classes = records_of(options.data)
    path = options.build / "images.mdb"
    write_lmdb(path, records, classes)
    size = path.stat().st_size
    print(f"{len(records)} images, {size / 1e9:.2f} GB")
    shutil.rmtree(options.build / ".fastload", ignore_errors=True)
    began = time.perf_counter()
    found = fastload.LMDB(path)
    print(f"index, with the verifier: {size / 1e9 / (time.perf_counter() - began):.2f} GB/s")
    targets = found.targets
    check_equal(fastload.LMDB(path, TRAIN), fastload.ImageFolder(options.data, TRAIN))
    still = Usual(path, targets, STILL)
    check_rival((still[i] for i in range(16)), fastload.ImageFolder(options.data, STILL))
    still.env.close()
    torch.manual_seed(0)
    usual = Usual(path, targets, TRAIN)
    medians = in_turn(
        {
            "fastload.LMDB": native(fastload.LMDB(path, TRAIN)),
            "fastload.ImageFolder": native(fastload.ImageFolder(options.data, TRAIN)),
            "lmdb + PIL": lambda: DataLoader(
                usual, batch_size=BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True
            ),
        },
        len(records),
        options.rounds,
    )
    ours = medians["fastload.LMDB"]
    print(f"{ours / medians['fastload.ImageFolder']:.2f} x ImageFolder, {ours / medians['lmdb + PIL']:.1f} x lmdb")


if __name__ == "__main__":
    main()
