"""Entry points on a GPU: ``python -m benchmarks.gpu.entries --photos DIR``. What they give is checked first, then timed.

For each K the index is made, and every batch of an epoch over all files (20,000) is compared with the CPU's, bit for bit; then
whole loaders are timed from the page cache, in turns: the CPU, the threads' codes ("hybrid" without entry points), and entry
points. With ``--train``, ResNet-18 and -50 on synthetic data and on each. One line of JSON a figure.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import json
import os
import pstats
import resource
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torchvision
import torchvision.transforms as T
from torchvision.datasets import ImageFolder

import fastload
from benchmarks.gpu.__main__ import machine, prepare
from benchmarks.gpu.kernels import made
from fastload import _core
from fastload.engine import file_dataset_of
from fastload.entries import EntryFolder, make_entries, roots_of
from fastload.gpu.window_kernels import WindowKernels
from fastload.transforms.split_transforms import read

MEAN, STD, SIDE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224
CROPS = [T.RandomResizedCrop(SIDE), T.RandomHorizontalFlip()]
TRAIN = T.Compose([*CROPS, T.ToTensor(), T.Normalize(MEAN, STD)])
BYTES = T.Compose([*CROPS, T.PILToTensor()])
WARM_BATCHES = 100


def line(**row: Any) -> None:
    print(json.dumps(row), flush=True)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def named(data: Path, names: int) -> Path:
    """A tree beside it, in which each file has so many names."""
    tree = data.with_name(f"{data.name}-{names}-names")
    for path in () if tree.exists() else sorted(data.rglob("*.jpg")):
        folder = tree / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(names):
            os.link(path, folder / f"{number:03d}_{path.name}")
    return tree


def make_index(data: Path, every: int) -> None:
    """Anew, with that K."""
    files = file_dataset_of(ImageFolder(str(data)))
    (root,) = roots_of([files])
    for path in EntryFolder(root.cache, root.folder).path.glob("*"):
        path.unlink()
    began = time.perf_counter()
    made = make_entries(files, every)
    seconds = time.perf_counter() - began
    size = sum(path.stat().st_size for path in root.cache.glob("*"))
    line(
        kind="index",
        K=every,
        made=made.made,
        seconds=seconds,
        files_a_second=made.made / seconds,
        bytes_a_file=size / made.made,
    )


class Loaders:
    """Loaders of one data set, all alike but for who decodes."""

    def __init__(self, data: Path, batch_size: int, workers: int, ahead: int) -> None:
        self.data, self.batch_size, self.workers, self.ahead = data, batch_size, workers, ahead

    def make(self, way: str, transform: Any = TRAIN, repeats: int = 1, **options: Any) -> Any:
        """``way``: as ``decode=``, or "entries", which is "gpu" by entry points; only that looks for them."""
        folder = ImageFolder(str(self.data), transform)
        dataset = folder if repeats == 1 else torch.utils.data.ConcatDataset([folder] * repeats)
        given = {
            "decode": "gpu" if way == "entries" else way,
            "entries": "auto" if way == "entries" else "off",
            **options,
        }
        return fastload.DataLoader(
            dataset,
            self.batch_size,
            shuffle=True,
            num_workers=self.workers,
            prefetch_factor=self.ahead,
            device="cuda",
            generator=torch.Generator().manual_seed(5),
            **given,
        )


def check(loaders: Loaders) -> bool:
    """Every batch of an epoch."""
    ours, exact = loaders.make("entries", BYTES), loaders.make("cpu", BYTES)
    images = wrong = 0
    for (a, b), (c, d) in zip(ours, exact, strict=True):
        images += len(a)
        wrong += int((a != c).flatten(1).any(1).sum()) + int((b != d).sum())
    decoders = ours.stats()["decoders"]
    line(kind="check", images=images, wrong=wrong, decoders=decoders, entries=ours.stats()["entries"])
    return wrong == 0 and decoders["codes"] > 0.9 * images


def epoch(loader: Any) -> dict[str, float]:
    """One epoch; batches are dropped as they come."""
    cpu, began, images, first = cpu_seconds(), time.perf_counter(), 0, 0.0
    for batch, _ in loader:
        images += len(batch)
        first = first or time.perf_counter() - began
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    return {
        "images/s": images / seconds,
        "after the first batch": (images - loader.batch_size) / (seconds - first),
        "cpu s/1000": 1000 * (cpu_seconds() - cpu) / images,
        "first batch s": first,
    }


def first_epochs(loaders: Loaders) -> None:
    """Of "hybrid" without entry points, and where they are made on the way."""
    for entries in ("off", "auto"):
        loader = loaders.make("hybrid", entries=entries)
        files = file_dataset_of(ImageFolder(str(loaders.data)))
        (root,) = roots_of([files])
        for path in root.cache.glob("*"):
            path.unlink()
        figures = epoch(loader)
        line(
            kind="first epoch",
            entries=entries,
            **figures,
            made=loader.stats()["entries"],
            decoders=loader.stats()["decoders"],
        )


def rates(loaders: Loaders, ways: list[str], turns: int, repeats: int) -> None:
    """In turns; each way's first epoch is not counted, but told."""
    made = {way: loaders.make(way, repeats=repeats) for way in ways}
    for way, loader in made.items():
        line(kind="first", way=way, **epoch(loader))
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(turns):
        for way, loader in made.items():
            found[way].append(epoch(loader))
    for way, some in found.items():
        middle = {name: statistics.median(one[name] for one in some) for name in some[0]}
        spread = [min(one["images/s"] for one in some), max(one["images/s"] for one in some)]
        stages = made[way].stats()["stages"]
        line(kind="loading", way=way, **middle, spread=spread, decoders=made[way].stats()["decoders"], stages=stages)


def profile(loaders: Loaders, repeats: int) -> None:
    """Where the time of Python's threads goes, one after the other, and the GPU's."""
    loader = loaders.make("entries", repeats=repeats)
    epoch(loader)
    pipeline = loader._on_device.decoding.pipeline
    for name, thread in (("consumer", None), ("making", pipeline._making), ("looking", pipeline._looking)):
        one = cProfile.Profile()
        call = (lambda work: work()) if thread is None else (lambda work, on=thread: on.submit(work).result())
        call(one.enable)
        figures = epoch(loader)
        call(one.disable)
        line(kind="profiled", thread=name, **figures)
        pstats.Stats(one).sort_stats("tottime").print_stats(16)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as device:
        seen = epoch(loader)
    busy = {one.key: one.device_time_total / 1e3 for one in device.key_averages() if one.device_time_total > 1000}
    line(kind="kernels, ms an epoch", **seen, **dict(sorted(busy.items(), key=lambda pair: -pair[1])[:14]))


def ceiling(data: Path, batch_size: int, every: int) -> None:
    """The kernels alone: codes in pinned memory -> uint8 images, again and again, on so many streams."""
    paths = [path for path, _ in ImageFolder(str(data)).samples[:: max(1, 20_000 // batch_size)]][:batch_size]
    with tempfile.TemporaryDirectory() as folder:
        store = _core.EntryStore([("", [], _core.RecordLog(folder, "1.log"))], every=every, verifies=False)
        store.make(paths, len(os.sched_getaffinity(0)))
        batch, _, destination = made(_core.Engine(16), paths, read(BYTES), _core.Leave.windows, store)
    windows, kernels = batch.windows(), WindowKernels(destination)
    destination.staging.give_after = lambda block, event: None  # type: ignore[method-assign]
    again: Any = types.SimpleNamespace(windows=lambda: windows)
    for count in (1, 2, 4, 8):
        streams = [torch.cuda.Stream() for _ in range(count)]
        pixels = [torch.empty((batch_size, SIDE, SIDE, 3), dtype=torch.uint8, device="cuda") for _ in streams]

        def run(times: int, streams: list[Any] = streams, pixels: list[torch.Tensor] = pixels) -> None:
            for number in range(times):
                with torch.cuda.stream(streams[number % len(streams)]):
                    kernels.make(again, pixels[number % len(streams)])
            torch.cuda.synchronize()

        run(20)
        began = time.perf_counter()
        run(200)
        rate = 200 * batch_size / (time.perf_counter() - began)
        line(kind="kernels alone, copies included", K=every, streams=count, images_per_second=rate)


def train(loaders: Loaders, ways: list[str], model_name: str, images: int, repeats: int) -> None:
    """Images a second of forward, backward and step: synthetic data, each way, synthetic data again."""
    torch.backends.cudnn.benchmark = True
    model = getattr(torchvision.models, model_name)(num_classes=1000).cuda().to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step(batch: torch.Tensor, targets: torch.Tensor) -> None:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(batch), targets)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def rate(batches: Iterator[Any]) -> float:
        for batch, targets in itertools.islice(batches, WARM_BATCHES):
            step(batch, targets)
        torch.cuda.synchronize()
        began, seen = time.perf_counter(), 0
        for batch, targets in batches:
            step(batch, targets)
            seen += len(batch)
            if seen >= images:
                break
        torch.cuda.synchronize()
        return seen / (time.perf_counter() - began)

    def full(loader: Any) -> Iterator[Any]:
        while True:
            for batch, targets in loader:
                if len(batch) == loaders.batch_size:  # else cudnn would look for algorithms again
                    yield batch, targets

    still = torch.randn(loaders.batch_size, 3, SIDE, SIDE, device="cuda").contiguous(memory_format=torch.channels_last)
    same = itertools.repeat((still, torch.randint(0, 100, (loaders.batch_size,), device="cuda")))
    before, found = rate(same), {}
    for way in ways:
        loader = loaders.make(way, repeats=repeats, memory_format=torch.channels_last)
        found[way] = rate(full(loader))
        if hasattr(loader, "_on_device"):
            loader._on_device.decoding = None
    after = rate(same)
    synthetic = (before + after) / 2
    shares = {f"{way} of synthetic": value / synthetic for way, value in found.items()}
    line(kind="training", model=model_name, synthetic=[before, after], **found, **shares)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of JPEGs, searched through")
    parser.add_argument("--work", type=Path, default=Path("build/gpu"), help="where the copies go")
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--names", type=int, default=1, help="of each file: so many hard links, as of a larger set")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--ahead", type=int, default=4, help="prefetch_factor")
    parser.add_argument("--every", nargs="*", type=int, default=[16, 8], help="K; the last is timed")
    parser.add_argument("--ways", nargs="*", default=["cpu", "hybrid", "entries"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=4, help="of the files in an epoch that is timed")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--ceiling", nargs="*", type=int, default=[], help="K: the kernels alone")
    parser.add_argument("--first", type=int, default=0, help="so many first epochs, with entry points made and without")
    parser.add_argument("--train", nargs="*", default=[], help="models: resnet18 resnet50")
    parser.add_argument("--train-ways", nargs="*", default=["entries"])
    parser.add_argument("--train-images", type=int, default=150_000)
    given = parser.parse_args()
    data = prepare(given.photos, given.work, given.files)
    if given.names > 1:
        data = named(data, given.names)
    line(
        kind="machine",
        files=given.files,
        names=given.files * given.names,
        batch_size=given.batch_size,
        workers=given.workers,
        **machine(),
    )
    loaders = Loaders(data, given.batch_size, given.workers, given.ahead)
    for every in given.every:
        make_index(data, every)
        if not check(loaders):
            return 1
    for _ in range(given.first):
        first_epochs(loaders)
    if given.ways:
        rates(loaders, given.ways, given.turns, given.repeats)
    if given.profile:
        profile(loaders, given.repeats)
    for every in given.ceiling:
        ceiling(data, given.batch_size, every)
    for name in given.train:
        train(loaders, given.train_ways, name, given.train_images, given.repeats)
    return 0


if __name__ == "__main__":
    sys.exit(main())
