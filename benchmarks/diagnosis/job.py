"""A training job with one thing wrong with it: ``python job.py NAME LOADER FOLDER``. An ordinary script that knows no profiler.

LOADER is ``torch`` or ``ours``. Costs are sleeps where that tells the same, so that a busy machine changes little.
JOB_REMEDY in the environment changes one thing, as JSON: ``options`` of the loader, ``free`` for a slow function made
cheap, or ``even`` for a slow sample made as fast as the others. JOB_TIMES names a file for the seconds of all steps but the first.
"""

from __future__ import annotations

import json
import os
import sys
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.datasets import ImageFolder

CORES = len(os.sched_getaffinity(0))
REMEDY = json.loads(os.environ.get("JOB_REMEDY", "{}"))
FREE = bool(REMEDY.get("free"))


def spin(milliseconds: float) -> int:
    """Python code that works for so much CPU time."""
    until, count = time.thread_time() + milliseconds / 1e3, 0
    while time.thread_time() < until:
        count += 1
    return count


class Items(Dataset):
    """Samples that take so long, asleep."""

    def __init__(self, length: int, milliseconds: float = 0.0, size: int = 16) -> None:
        self.length, self.seconds, self.size = length, 0.0 if FREE else milliseconds / 1e3, size

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.seconds:
            time.sleep(self.seconds)
        return torch.zeros(self.size)


class Working(Items):
    def __getitem__(self, index: int) -> torch.Tensor:
        spin(self.seconds * 1e3)
        return torch.zeros(self.size)


class WithThreads(Items):
    """Each sample's matrices are multiplied on as many threads as the machine has, in every worker."""

    def __getitem__(self, index: int) -> torch.Tensor:
        if FREE:
            return torch.zeros(self.size)
        torch.set_num_threads(4 * CORES)
        a = torch.ones(384, 384)
        for _ in range(12):
            a = a @ a.clamp(0, 1e-3)
        return torch.zeros(self.size)


class Pooled(Items):
    def __getitem__(self, index: int) -> torch.Tensor:
        with ThreadPool(4) as pool:
            pool.map(lambda _: time.sleep(self.seconds), range(4))
        return torch.zeros(self.size)


class OneSlow(Items):
    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(0.4 if index % 40 == 13 and not REMEDY.get("even") else self.seconds)
        return torch.zeros(self.size)


class Huge(Items):
    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.sample = torch.zeros(4_000_000)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.sample


class Files(Dataset):
    """Files of bytes, each read once and whole."""

    def __init__(self, folder: str, transform=None) -> None:
        self.paths = sorted(str(path) for path in Path(folder).rglob("*.bin"))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        data = np.frombuffer(Path(self.paths[index]).read_bytes(), np.uint8)
        return torch.from_numpy(data[:64].copy())


class Slow:
    """A transform that waits."""

    def __init__(self, milliseconds: float) -> None:
        self.seconds = 0.0 if FREE else milliseconds / 1e3

    def __call__(self, image):
        time.sleep(self.seconds)
        return image


class Fast(Slow):
    def __call__(self, image):
        return image


class SlowSampler(Sampler):
    def __init__(self, length: int) -> None:
        self.length = length

    def __iter__(self):
        for index in range(self.length):
            time.sleep(0.02)
            yield index

    def __len__(self) -> int:
        return self.length


def slow_collate(items):
    time.sleep(0.0 if FREE else 0.1)
    return torch.stack(items)


def start_slowly(worker: int) -> None:
    time.sleep(1.0)


def photos(folder: str, *more, times: int = 1) -> ImageFolder:
    """Each photo so many times in an epoch: of what is fast, one of them is over too soon to tell anything."""
    found = ImageFolder(folder, T.Compose([T.RandomResizedCrop(64), *more, T.ToTensor()]))
    found.samples = found.imgs = found.samples * times
    return found


# name -> (makes (data set, options of the loader), milliseconds of a training step, epochs)
JOBS = {
    "compute": (lambda f: (Items(480), {"num_workers": 2}), 60, 1),
    "balanced": (lambda f: (Items(320, 20), {"num_workers": 2}), 50, 1),
    "few_workers": (lambda f: (Items(160, 20), {"num_workers": 1}), 60, 1),
    "no_workers": (lambda f: (Items(160, 10), {}), 60, 1),
    "many_workers": (lambda f: (Working(600 * CORES, 12), {"num_workers": 8 * CORES}), 1, 1),
    "many_threads": (lambda f: (WithThreads(800), {"num_workers": 4}), 1, 1),
    "nested_pool": (lambda f: (Pooled(120, 20), {"num_workers": 2}), 5, 1),
    "slow_items": (lambda f: (Items(200, 50), {"num_workers": 2}), 5, 1),
    "slow_collate": (lambda f: (Items(240), {"num_workers": 2, "collate_fn": slow_collate}), 5, 1),
    "slow_start": (lambda f: (Items(32), {"num_workers": 2, "worker_init_fn": start_slowly}), 20, 4),
    "slow_sampler": (lambda f: (Items(200), {"num_workers": 2, "sampler": SlowSampler(200)}), 5, 1),
    "one_slow": (lambda f: (OneSlow(480, 2), {"num_workers": 2}), 10, 1),
    "huge": (lambda f: (Huge(160), {"num_workers": 2}), 5, 1),
    "files": (lambda f: (Files(f), {"num_workers": 2}), 5, 1),
    "files_again": (lambda f: (Files(f), {"num_workers": 2, "persistent_workers": True}), 20, 4),
    "slow_transform": (lambda f: (photos(f, Slow(40), times=2), {"num_workers": 2}), 5, 1),
    "one_slow_transform": (
        lambda f: (photos(f, Fast(0), Fast(0), Slow(40), Fast(0), times=2), {"num_workers": 2}),
        5,
        1,
    ),
    "photos": (lambda f: (photos(f), {"num_workers": 2}), 1, 1),
    "photos_often": (lambda f: (photos(f, times=6), {"num_workers": 2}), 1, 1),
    "photos_computing": (lambda f: (photos(f), {"num_workers": 2}), 300, 1),
    "short": (lambda f: (Items(16), {"num_workers": 1}), 5, 1),
    "slow_rank": (lambda f: (Items(160, 1), {"num_workers": 1}), 10, 1),
}


def run(name: str, loader: str, folder: str, rank: int = 0) -> None:
    torch.manual_seed(1)  # the same order in all runs; a slow sample is neither among the first nor among the last
    make, milliseconds, epochs = JOBS[name]
    dataset, options = make(folder)
    kind = DataLoader
    if loader == "ours":
        from fastload import DataLoader as kind
    if name == "slow_rank":
        dataset = Items(160, 1 if rank == 0 else 25)
    batch = 8 if "photos" in name or "transform" in name else 4
    options = {**options, **REMEDY.get("options", {})}
    batches = kind(dataset, batch_size=batch, shuffle="sampler" not in options, **options)
    began, steps = 0.0, 0
    for _ in range(epochs):
        for _ in batches:
            began = began or time.perf_counter()
            time.sleep(milliseconds / 1e3)
            steps += 1
            if name == "slow_rank":
                torch.distributed.all_reduce(torch.zeros(1))
    if "JOB_TIMES" in os.environ:
        Path(os.environ["JOB_TIMES"]).write_text(f"{(time.perf_counter() - began) / max(1, steps - 1)}")


def one_rank(rank: int, loader: str, folder: str, store: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    run("slow_rank", loader, folder, rank)
    torch.distributed.destroy_process_group()


def main() -> None:
    name, loader, folder = sys.argv[1:4]
    if name == "slow_rank":
        torch.multiprocessing.spawn(one_rank, (loader, folder, str(Path(folder) / "store")), nprocs=2)
    else:
        run(name, loader, folder)


if __name__ == "__main__":
    main()
