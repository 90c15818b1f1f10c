"""A training on a GPU: ``gpu_job.py NAME FOLDER SECONDS``. An ordinary loop, with torch.profiler and NVML beside it.

JOB_SHARES in the environment names a file for what these two say of it, from asking for the first batch to the end of the last
step, in percent: ``compute`` (kernels), ``copy`` (copies beside no kernel), ``waiting`` (neither, while the loop asked for a batch)
and ``launch`` (neither, else) as torch.profiler has them, ``nvml`` (a kernel ran). The model has been warmed up by then, on a batch
that was there. JOB_OPTIONS changes options of the loader, as JSON; JOB_LOADER=ours: it is fastload's.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torchvision
import torchvision.transforms as T
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder

OPTIONS = json.loads(os.environ.get("JOB_OPTIONS", "{}"))
WARM_STEPS = 20


class Batches(Dataset):
    """Whole batches that cost nothing but a copy."""

    def __init__(self, size: int) -> None:
        self.batch = torch.randn(size, 3, 224, 224), torch.randint(0, 1000, (size,))

    def __len__(self) -> int:
        return 100_000

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        return tuple(part.clone() for part in self.batch)


def photos(folder: str) -> ImageFolder:
    return ImageFolder(folder, T.Compose([T.RandomResizedCrop(224), T.RandomHorizontalFlip(), T.ToTensor()]))


MANY = min(12, max(2, len(os.sched_getaffinity(0)) - 1))
# name -> (model, batch size, workers, whose loader, precision of float32's products)
JOBS = {
    "resnet50": ("resnet50", 128, MANY, "torch", "highest"),
    "resnet50_ours": ("resnet50", 128, MANY, "ours", "highest"),
    "resnet18": ("resnet18", 128, 3, "torch", "high"),
    "resnet18_copies": ("resnet18", 256, 4, "batches", "high"),
}


def loader_of(name: str, folder: str) -> Any:
    _, size, workers, whose, _ = JOBS[name]
    kind: Any = DataLoader
    if whose == "ours" or os.environ.get("JOB_LOADER") == "ours":
        from fastload import DataLoader as kind
    if whose == "batches":
        return kind(Batches(size), **{"batch_size": None, "num_workers": workers, **OPTIONS})
    options: dict[str, Any] = {"batch_size": size, "shuffle": True, "drop_last": True, "num_workers": workers}
    where = {"device": "cuda"} if whose == "ours" else {"pin_memory": True}
    return kind(photos(folder), **{**options, **where, **OPTIONS})


class KernelsByNvml:
    """The share of the time in which a kernel ran, while a ``with`` block runs."""

    def __enter__(self) -> KernelsByNvml:
        self._samples: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties().uuid}")
        while not self._over.wait(0.1):
            self._samples.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def percent(self) -> float | None:
        """None: it does not tell."""
        return sum(self._samples) / len(self._samples) if self._samples else None


def covered(spans: Iterable[tuple[int, int]]) -> int:
    """Nanoseconds that lie in at least one of them."""
    total = end = 0
    for begin, until in sorted(spans):
        total += max(0, until - max(begin, end))
        end = max(end, until)
    return total


def by_profiler(profiler: Any, seconds: float, asking: list[tuple[int, int]]) -> dict[str, float]:
    """Shares of these seconds; ``asking``: spans in nanoseconds of the clock, in which the loop asked for a batch."""
    events = profiler.profiler.kineto_results.events()
    on_device = [each for each in events if each.device_type() == torch.autograd.DeviceType.CUDA]
    on_device = [each for each in on_device if not (each.is_user_annotation() or each.is_hidden_event())]
    spans = [("Memcpy HtoD" in each.name(), each.start_ns(), each.end_ns()) for each in on_device]
    kernels = covered((begin, end) for is_copy, begin, end in spans if not is_copy)
    busy = [(begin, end) for _, begin, end in spans]
    everything, whole = covered(busy), seconds * 1e9
    waiting = covered([*busy, *asking]) - everything  # in which the device did nothing
    parts = {"compute": kernels, "copy": everything - kernels, "waiting": waiting}
    parts["launch"] = whole - everything - waiting
    return {name: 100 * part / whole for name, part in parts.items()}


def main() -> None:
    name, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    torch.backends.cudnn.benchmark = True
    kind, size, _, _, precision = JOBS[name]
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision == "high"
    model = getattr(torchvision.models, kind)().cuda().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    pinned = False

    def step(images: torch.Tensor, targets: torch.Tensor) -> None:
        images = images.to("cuda", non_blocking=pinned).contiguous(memory_format=torch.channels_last)
        targets = targets.to("cuda", non_blocking=pinned)
        loss = torch.nn.functional.cross_entropy(model(images), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    for _ in range(WARM_STEPS):
        step(torch.zeros(size, 3, 224, 224, device="cuda"), torch.zeros(size, dtype=torch.int64, device="cuda"))
    torch.cuda.synchronize()
    loader = loader_of(name, folder)
    pinned = bool(loader.pin_memory)
    torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]).__enter__().__exit__(None, None, None)
    steps, asking = 0, []
    with KernelsByNvml() as nvml, torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        began = time.perf_counter()
        batches = None
        while time.perf_counter() < began + seconds:
            asked = time.time_ns()
            batches = batches or iter(loader)
            given = next(batches, None)
            asking.append((asked, time.time_ns()))
            batch = given  # the one before is gone now: that is no asking
            if batch is None:
                batches = None
                continue
            step(*batch)
            steps += 1
        torch.cuda.synchronize()
        took = time.perf_counter() - began
    del batches
    shares = by_profiler(profiler, took, asking)
    told = {**shares, "nvml": nvml.percent, "seconds": took, "images_per_second": steps * size / took}
    if "JOB_SHARES" in os.environ:
        Path(os.environ["JOB_SHARES"]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
