"""What the comparisons of formats share: the records, the transform, and epochs of several loaders in turn."""

from __future__ import annotations

import argparse
import hashlib
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision.transforms as T

import fastload
from fastload.shards import Record

TRAIN = T.Compose(
    [
        T.RandomResizedCrop(224),
        T.RandomHorizontalFlip(),
        T.ToTensor(),
        T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)
STILL = T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor()])
BATCH = 64
WORKERS = 2


def arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="an image folder of class folders")
    parser.add_argument("--build", default=Path("build/formats"), type=Path, help="where the files are written")
    parser.add_argument("--rounds", default=5, type=int)
    return parser.parse_args()


def records_of(root: Path) -> tuple[list[Record], list[str]]:
    """Of a class folder, as ImageFolder lists it."""
    folder = fastload.ImageFolder(root)
    names = [(str(Path(path).relative_to(root)), Path(path).read_bytes(), target) for path, target in folder.samples]
    return [Record(name, data, target, folder.classes[target]) for name, data, target in names], folder.classes


def check_equal(ours: Any, folder: Any) -> None:
    """Whole epochs of our loader, of the same seed."""
    hashes = []
    for dataset in (ours, folder):
        torch.manual_seed(0)
        loader = fastload.DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=WORKERS)
        hashes.append([hashlib.sha256(x.numpy().tobytes() + y.numpy().tobytes()).digest() for x, y in loader])
    assert hashes[0] == hashes[1]


def check_rival(first: Iterable[tuple[torch.Tensor, int]], folder: Any) -> None:
    """The first images, unshuffled, of STILL."""
    for number, (image, target) in zip(range(16), first, strict=False):
        assert torch.equal(image, folder[number][0]) and int(target) == folder[number][1], number


def in_turn(loaders: Mapping[str, Callable[[], Iterable[Any]]], images: int, rounds: int) -> dict[str, float]:
    """Prints and returns the median images a second of each, after an epoch that is not counted."""
    made = {name: make() for name, make in loaders.items()}
    speeds: dict[str, list[float]] = {name: [] for name in made}
    for turn in range(rounds + 1):
        for name, loader in made.items():
            began = time.perf_counter()
            seen = sum(len(batch[1]) for batch in loader)
            assert seen == images, (name, seen)
            if turn:
                speeds[name].append(images / (time.perf_counter() - began))
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    for name, found in speeds.items():
        print(f"{name:24} {medians[name]:8.0f} images/s   {min(found):.0f} to {max(found):.0f}")
    return medians


def native(dataset: Any) -> Callable[[], Any]:
    return lambda: fastload.DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=WORKERS)
