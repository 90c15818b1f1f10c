"""TFRecord: ours, our ImageFolder, and the tfrecord package with PIL: ``python -m benchmarks.formats.tfrecord --data DIR``.

Also how fast the files are indexed.
"""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import PIL.Image
import torch
from tfrecord.torch.dataset import TFRecordDataset
from torch.utils.data import DataLoader

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
from fastload import _core
from fastload.shards import write_tfrecord

FEATURES = {"image/encoded": "byte", "image/class/label": "int"}


def write_tfindex(path: Path) -> Path:
    """The index that the package takes: a line a record."""
    lines, offset, data = [], 0, path.read_bytes()
    while offset < len(data):
        size = 16 + struct.unpack_from("<Q", data, offset)[0]
        lines.append(f"{offset} {size}\n")
        offset += size
    index = path.with_suffix(".tfindex")
    index.write_text("".join(lines))
    return index


class Decoded:
    """What the package's users write."""

    def __init__(self, transform):
        self.transform = transform

    def __call__(self, features):
        image = PIL.Image.open(io.BytesIO(bytes(features["image/encoded"]))).convert("RGB")
        return self.transform(image), int(features["image/class/label"][0])


def main() -> None:
    options = arguments(__doc__)
    options.build.mkdir(parents=True, exist_ok=True)
    records, classes = records_of(options.data)
    path = options.build / "images.tfrecord"
    write_tfrecord(path, records, classes)
    index = write_tfindex(path)
    size = path.stat().st_size
    print(f"{len(records)} images, {size / 1e9:.2f} GB")
    for check in ("never", "first", "always"):
        times = []
        for _ in range(options.rounds):
            began = time.perf_counter()
            found = _core.scan_tfrecord(
                str(path), size, *FEATURES, "image/filename", "image/class/text", check != "never", check == "always"
            )
            times.append(time.perf_counter() - began)
            assert len(found["offset"]) == len(records)
        print(f"index, check={check!r:9} {size / 1e9 / min(times):.2f} GB/s on one thread")

    def rival(transform, shuffled=True):
        queue = 1024 if shuffled else None
        dataset = TFRecordDataset(
            str(path), str(index), FEATURES, shuffle_queue_size=queue, transform=Decoded(transform)
        )
        return DataLoader(
            dataset, batch_size=BATCH, num_workers=WORKERS if shuffled else 0, persistent_workers=shuffled
        )

    check_equal(fastload.TFRecord(path, TRAIN), fastload.ImageFolder(options.data, TRAIN))
    first = next(iter(TFRecordDataset(str(path), None, FEATURES, transform=Decoded(STILL))))
    check_rival([first], fastload.ImageFolder(options.data, STILL))
    torch.manual_seed(0)
    medians = in_turn(
        {
            "fastload.TFRecord": native(fastload.TFRecord(path, TRAIN)),
            'the same, check="always"': native(fastload.TFRecord(path, TRAIN, check="always")),
            "fastload.ImageFolder": native(fastload.ImageFolder(options.data, TRAIN)),
            "tfrecord package + PIL": lambda: rival(TRAIN),
        },
        len(records),
        options.rounds,
    )
    ours = medians["fastload.TFRecord"]
    print(
        f"{ours / medians['fastload.ImageFolder']:.2f} x ImageFolder, {ours / medians['tfrecord package + PIL']:.1f} x tfrecord"
    )


if __name__ == "__main__":
    main()
