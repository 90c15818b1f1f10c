"""Parquet: ours, our ImageFolder, and ``datasets`` with torchvision v2: ``python -m benchmarks.formats.parquet --data DIR``.

Also how fast files are indexed: images that lie in the file as they are, and compressed ones, which are unpacked.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from pathlib import Path

import datasets
import pyarrow.parquet
import torch
import torchvision.transforms as T

import fastload
from benchmarks.arms import MEAN, RESIZED, SIDE, STD, Options
from benchmarks.arms import parquet as rival
from benchmarks.formats.in_turn import BATCH, TRAIN, WORKERS, arguments, in_turn, native, records_of

EVAL = T.Compose([T.Resize(RESIZED), T.CenterCrop(SIDE), T.ToTensor(), T.Normalize(MEAN, STD)])
# A tensor's antialiasing is not PIL's: so far apart, on the average, may the pictures of the same photo be, of 255.
_NEAR = 2.0


class Epochs:
    """An arm's epochs, one for each ``iter()``."""

    def __init__(self, arm) -> None:
        self._arm = arm

    def __iter__(self):
        return iter(self._arm.epoch())


def first_batches(dataset) -> list:
    """Some, of one seed."""
    torch.manual_seed(0)
    return list(itertools.islice(native(dataset)(), 4))


def check_rival(options: Options) -> None:
    """The same photos and labels, unshuffled."""
    theirs = rival.Arm(Options(options.data, "eval", BATCH, 0, options.build))
    still = fastload.ImageFolder(options.data, EVAL)
    for (mine, labels), (images, others) in zip(
        fastload.DataLoader(still, batch_size=BATCH), theirs.epoch(), strict=True
    ):
        assert torch.equal(labels, torch.as_tensor(others))
        apart = (mine - images).abs().mean().item() * 255 * STD[0]
        assert apart < _NEAR, apart


def index_speed(path: Path, rounds: int) -> float:
    """GB/s of the file's size, the fastest, with no index and nothing unpacked before."""
    times = []
    for _ in range(rounds):
        for left in (path.parent / ".fastload", Path(os.environ["XDG_CACHE_HOME"])):
            shutil.rmtree(left, ignore_errors=True)
        began = time.perf_counter()
        fastload.Parquet(path)
        times.append(time.perf_counter() - began)
    return path.stat().st_size / 1e9 / min(times)


def main() -> None:
    given = arguments(__doc__)
    given.build.mkdir(parents=True, exist_ok=True)
    datasets.disable_progress_bars()
    options = Options(given.data, "train", BATCH, WORKERS, given.build / "rivals")
    records, classes = records_of(given.data)
    plain, snappy = given.build / "images.parquet", given.build / "snappy.parquet"
    fastload.write_parquet(plain, records, classes)
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(plain), snappy, row_group_size=100)
    print(f"{len(records)} images, {plain.stat().st_size / 1e9:.2f} GB")
    del records
    with tempfile.TemporaryDirectory(dir=given.build) as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for name, path in (("as they are", plain), ("snappy, unpacked", snappy)):
            print(f"index, {name:18} {index_speed(path, given.rounds):.2f} GB/s")
        ours, folder = fastload.Parquet(plain, TRAIN), fastload.ImageFolder(given.data, TRAIN)
        held = datasets.load_dataset("parquet", data_files=str(plain), split="train", cache_dir=str(given.build / "hf"))
        unpacked, in_memory = fastload.Parquet(snappy, TRAIN), fastload.from_hf(held, transform=TRAIN)
        expected = first_batches(folder)
        for one in (ours, unpacked, in_memory):
            for mine, theirs in zip(first_batches(one), expected, strict=True):
                assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])
        check_rival(options)
        torch.manual_seed(0)
        medians = in_turn(
            {
                "fastload.Parquet": native(ours),
                "the same, unpacked": native(unpacked),
                "fastload.from_hf": native(in_memory),
                "fastload.ImageFolder": native(folder),
                "datasets, v2 tensors": lambda: Epochs(rival.Arm(options)),
            },
            len(folder),
            given.rounds,
        )
    mine = medians["fastload.Parquet"]
    print(
        f"{mine / medians['fastload.ImageFolder']:.2f} x ImageFolder, {mine / medians['datasets, v2 tensors']:.1f} x datasets"
    )


if __name__ == "__main__":
    main()
