"""Lazy images in data sets that people write: ``python -m benchmarks.images --photos DIR``.

Each workload is one user-written data set in torch's loader with its workers, as it is and under ``fastload.install()``: an epoch
at a time in turn, once all batches of an epoch were found equal. CPU time is that of the workers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.utils.data
import torchvision.transforms as T
import torchvision.transforms.functional as F
from rich.console import Console

import fastload
from benchmarks import report

MOMENTS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
SIDE = 224


class Listed(torch.utils.data.Dataset):
    """Paths, and what is made of each, as in any training script."""

    def __init__(self, paths: list[str], make: Callable[[str], Any]) -> None:
        self.paths = paths
        self.make = make

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self.make(self.paths[index]), index % 10


def rgb(path: str) -> PIL.Image.Image:
    return PIL.Image.open(path).convert("RGB")


def train() -> Callable[[str], Any]:
    transform = T.Compose([T.RandomResizedCrop(SIDE), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(**MOMENTS)])
    return lambda path: transform(rgb(path))


def evaluation() -> Callable[[str], Any]:
    transform = T.Compose([T.Resize(256), T.CenterCrop(SIDE), T.ToTensor(), T.Normalize(**MOMENTS)])
    return lambda path: transform(rgb(path))


def functions() -> Callable[[str], Any]:
    """No transform that is known: torchvision's functions, called by the user's code."""

    def make(path: str) -> Any:
        image = rgb(path)
        box = T.RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3))
        image = F.resized_crop(image, *box, (SIDE, SIDE))
        if torch.rand(1) < 0.5:
            image = F.hflip(image)
        return F.normalize(F.to_tensor(image), **MOMENTS)

    return make


def whole() -> Callable[[str], Any]:
    return lambda path: int(np.asarray(rgb(path))[::16, ::16].sum())


def arrays() -> Callable[[str], Any]:
    """Crop and resize by Pillow, an array as the sample."""
    crop = T.RandomResizedCrop(SIDE)
    return lambda path: np.array(crop(rgb(path)))


def albumentations() -> Callable[[str], Any]:
    import albumentations as A

    transform = A.Compose([A.RandomResizedCrop(size=(SIDE, SIDE)), A.HorizontalFlip(), A.Normalize()], seed=1)
    return lambda path: transform(image=np.asarray(rgb(path)))["image"].transpose(2, 0, 1).copy()


def multi_crop() -> Callable[[str], Any]:
    """Two large and eight small crops, as DINO's without its colours."""
    end = [T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(**MOMENTS)]
    large = T.Compose([T.RandomResizedCrop(SIDE, (0.4, 1.0), interpolation=T.InterpolationMode.BICUBIC), *end])
    small = T.Compose([T.RandomResizedCrop(96, (0.05, 0.4), interpolation=T.InterpolationMode.BICUBIC), *end])

    def make(path: str) -> Any:
        image = rgb(path)
        return [large(image), large(image), *(small(image) for _ in range(8))]

    return make


WORKLOADS = {
    "train": train,
    "evaluation": evaluation,
    "functions": functions,
    "whole": whole,
    "numpy": arrays,
    "albumentations": albumentations,
    "multi-crop": multi_crop,
}


def hugging_face(paths: list[str]) -> Any:
    import datasets

    datasets.disable_progress_bars()
    rows = {"image": [{"bytes": Path(path).read_bytes(), "path": None} for path in paths], "label": [0] * len(paths)}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    transform = T.Compose([T.RandomResizedCrop(SIDE), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(**MOMENTS)])

    def apply(batch: dict[str, Any]) -> dict[str, Any]:
        batch["image"] = [transform(image.convert("RGB")) for image in batch["image"]]
        return batch

    made = datasets.Dataset.from_dict(rows, features=features)
    made.set_transform(apply)
    return made


def tiny(paths: list[str], folder: Path, format: str) -> list[str]:
    """The photos as small as CIFAR's."""
    made = []
    for path in paths:
        name = folder / f"{Path(path).stem}.{format.lower()}"
        with PIL.Image.open(path) as image:
            image.convert("RGB").resize((32, 32)).save(name, format)
        made.append(str(name))
    return made


def dataset_of(workload: str, paths: list[str], folder: Path) -> torch.utils.data.Dataset[Any]:
    if workload == "set_transform":
        return hugging_face(paths)  # type: ignore[no-any-return]
    if workload.startswith("tiny"):
        small = T.Compose([T.RandomCrop(32, padding=4), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(**MOMENTS)])
        return Listed(tiny(paths, folder, workload.split()[1]), lambda path: small(rgb(path)))
    return Listed(paths, WORKLOADS[workload]())


class Arm:
    """One loader with workers that stay, as the script has it or under ``install()``."""

    def __init__(self, dataset: Any, installed: bool, options: argparse.Namespace) -> None:
        (fastload.install if installed else fastload.uninstall)()
        self.loader: Any = torch.utils.data.DataLoader(
            dataset,
            batch_size=options.batch_size,
            num_workers=options.workers,
            persistent_workers=True,
            generator=torch.Generator().manual_seed(3),
        )
        self.digest = self._digest()  # its workers are there from now on
        fastload.uninstall()

    def _digest(self) -> str:
        made = hashlib.sha256()
        for batch in self.loader:
            for tensor in _tensors(batch):
                made.update(tensor.contiguous().numpy().tobytes())
        return made.hexdigest()

    def epoch(self) -> tuple[float, float]:
        """Wall and workers' CPU seconds."""
        before, start = self._cpu_s(), time.perf_counter()
        for _ in self.loader:
            pass
        return time.perf_counter() - start, self._cpu_s() - before

    def _cpu_s(self) -> float:
        iterator = self.loader._iterator
        iterator = getattr(iterator, "_iterator", iterator)
        tasks = [task for worker in iterator._workers for task in Path(f"/proc/{worker.pid}/task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _tensors(batch: Any) -> list[torch.Tensor]:
    if isinstance(batch, torch.Tensor):
        return [batch]
    parts = batch.values() if isinstance(batch, dict) else batch
    return [tensor for part in parts for tensor in _tensors(part)]


def measure(workload: str, paths: list[str], options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        dataset = dataset_of(workload, paths, Path(folder))
        arms = {name: Arm(dataset, name == "install()", options) for name in ("torch", "install()")}
        if arms["torch"].digest != arms["install()"].digest:
            raise SystemExit(f"{workload}: the batches differ: no speed")
        rounds = [{name: arm.epoch() for name, arm in arms.items()} for _ in range(options.runs)]
    count = len(paths)
    row: dict[str, Any] = {"workload": workload}
    for name in arms:
        row[f"{name} images/s"] = statistics.median(count / one[name][0] for one in rounds)
        row[f"{name} cpu ms"] = statistics.median(1000 * one[name][1] / count for one in rounds)
    row["ratio"] = statistics.median(one["torch"][0] / one["install()"][0] for one in rounds)
    row["cpu ratio"] = statistics.median(one["torch"][1] / one["install()"][1] for one in rounds)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a flat folder of JPEGs")
    parser.add_argument("--workloads", nargs="+", default=[*WORKLOADS, "set_transform", "tiny JPEG", "tiny PNG"])
    parser.add_argument("--images", type=int, default=1200, help="of an epoch; the photos come several times")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    photos = sorted(str(path) for path in options.photos.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    paths = (photos * (options.images // len(photos) + 1))[: options.images]
    console = Console()
    for workload in options.workloads:
        row = measure(workload, paths, options)
        console.print(
            " ".join(f"{key} {value:.2f}" if isinstance(value, float) else f"{value}:" for key, value in row.items())
        )
        print(json.dumps({**row, **report.machine()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
