"""What an index of ImageNet's size costs: ``python -m benchmarks.datasets.index_memory``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torchvision.transforms as T

import fastload


def resident() -> int:
    """Bytes of memory that this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_280_000)
    count = parser.parse_args().count
    transform = T.Compose([T.RandomResizedCrop(224), T.ToTensor()])
    fastload.DataLoader(fastload.ImageFiles(["a"], [0], transform)).explain()  # what the first loader imports
    names = (f"/data/imagenet/train/n{i % 1000:08d}/n{i % 1000:08d}_{i}.JPEG" for i in range(count))
    before = resident()
    dataset = fastload.ImageFiles(names, (i % 1000 for i in range(count)), transform)
    built = resident()
    fastload.DataLoader(dataset, batch_size=64, num_workers=8).explain()
    print(f"{count} paths: {(built - before) / count:.1f} bytes each; a loader adds {resident() - built} bytes in all")


if __name__ == "__main__":
    main()
