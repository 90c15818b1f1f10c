"""Damaged codes and entry points on a GPU: ``python -m benchmarks.gpu.damage PHOTOS``; also under ``compute-sanitizer``.

Batches are left as codes; then bytes of the codes and of the records' entry points are changed in the block that a GPU reads, and
the kernels run. They must find fault with the images that the same source finds fault with on the CPU, and make the same pixels of
all others. Exit status 1 where something differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision.transforms as T

from benchmarks.gpu.kernels import made
from fastload import _core
from fastload.gpu.window_kernels import WindowKernels
from fastload.transforms.split_transforms import read

SIDE = 64
# csrc/device/image_work.h, ImageWork.
WORK_BYTES, WAY, CODES, ROWS, TABLES, SIZE = 520, 0, 264, 272, 288, 356
KINDS = ("codes", "entry points", "both", "other images' codes")


def fields(block: np.ndarray, works: int, count: int) -> list[dict[str, int]]:
    """Where each image's codes and entry points lie."""
    found = []
    for slot in range(count):
        work = block[works + slot * WORK_BYTES :][:WORK_BYTES]
        if int(work[WAY : WAY + 4].view(np.int32)[0]) != 1:
            continue
        place = {name: int(work[at : at + 8].view(np.uint64)[0]) for name, at in (("codes", CODES), ("rows", ROWS))}
        place["end"] = int(work[TABLES : TABLES + 8].view(np.uint64)[0]) - 16
        place["size"] = int(work[SIZE : SIZE + 4].view(np.uint32)[0])
        found.append(place)
    return found


def change(block: np.ndarray, begin: int, size: int, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 4)):
        block[begin + rng.integers(size)] = 255 if rng.random() < 0.3 else rng.integers(256)


def damage(block: np.ndarray, places: list[dict[str, int]], kind: str, rng: np.random.Generator) -> None:
    """Of about half of the images."""
    for number, place in enumerate(places):
        if rng.random() < 0.5:
            continue
        if kind in ("codes", "both"):
            change(block, place["codes"], place["size"], rng)
        if kind in ("entry points", "both"):
            change(block, place["rows"], max(1, place["end"] - place["rows"] - 300), rng)
        if kind == "other images' codes":
            other = places[number - 1]
            size = min(place["size"], other["size"])
            block[place["codes"] : place["codes"] + size] = block[other["codes"] : other["codes"] + size].copy()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=40, help="of each kind")
    parser.add_argument("--batch-size", type=int, default=64)
    given = parser.parse_args()
    files = sorted(path for path in given.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    engine, rng = _core.Engine(8), np.random.default_rng(1)
    reading = read(T.Compose([T.RandomResizedCrop(SIDE), T.RandomHorizontalFlip(), T.ToTensor()]))
    images = faulty = different = 0
    with tempfile.TemporaryDirectory() as folder:
        for every in (4, 8, 16, 0):
            log = _core.RecordLog(folder, f"{every}.log")
            store = _core.EntryStore([("", [], log)], every=every, verifies=False)
            chosen = [str(files[number]) for number in rng.choice(len(files), given.batch_size)]
            store.make(chosen, 8)
            batch, _, destination = made(engine, chosen, reading, _core.Leave.windows, store)
            slabs, works, scratch, most = batch.windows()
            kernels = WindowKernels(destination)
            memory = [destination.staging.memory(one).numpy() for one, _ in slabs]
            assert len(slabs) == 1
            whole = memory[0].copy()
            places = fields(whole, works, len(chosen))
            destination.staging.give_after = lambda block, event: None  # type: ignore[method-assign]
            for number in range(given.rounds * len(KINDS)):
                memory[0][:] = whole
                damage(memory[0], places, KINDS[number % len(KINDS)], rng)
                on_host = np.zeros((len(chosen), SIDE, SIDE, 3), np.uint8)
                faults = _core.make_images(memory[0], works, scratch, on_host)
                pixels = torch.zeros(on_host.shape, dtype=torch.uint8, device="cuda")
                again: Any = _Again((slabs, works, scratch, most))
                found = set(kernels.make(again, pixels).slots())
                same = (pixels.cpu().numpy() == on_host).all(axis=(1, 2, 3))
                expected = set(np.flatnonzero(faults).tolist())
                different += len(found ^ expected) + sum(
                    not same[slot] for slot in range(len(chosen)) if slot not in expected
                )
                images += len(chosen)
                faulty += len(expected)
    print(f"{images} images, {faulty} with faults, {different} otherwise than on the CPU", flush=True)
    return 1 if different or not faulty else 0


class _Again:
    """A batch whose windows are asked for again."""

    def __init__(self, windows: Any) -> None:
        self._windows = windows

    def windows(self) -> Any:
        return self._windows


if __name__ == "__main__":
    sys.exit(main())
