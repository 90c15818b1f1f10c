"""The kernels on a GPU against their definitions, and their speed: ``python -m benchmarks.gpu.kernels PHOTOS``."""

from __future__ import annotations

import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import torchvision.transforms as T

from fastload import _core
from fastload.gpu import resize_images
from fastload.gpu.bytes_to_values import Finish, bytes_target, finish_in_torch
from fastload.gpu.device_copy import Destination
from fastload.gpu.window_kernels import WindowKernels
from fastload.transforms.split_transforms import Reading, read

BATCH, SIDE = 256, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ENDS = {
    "RandomResizedCrop": [T.RandomResizedCrop(SIDE), T.RandomHorizontalFlip()],
    "Resize, CenterCrop": [T.Resize(256), T.CenterCrop(SIDE)],
    "bicubic": [T.RandomResizedCrop(SIDE, interpolation=T.InterpolationMode.BICUBIC), T.RandomVerticalFlip()],
    "Lanczos": [T.Resize((190, 300), interpolation=T.InterpolationMode.LANCZOS)],
}


def milliseconds(launch: Any) -> float:
    """Of one launch, the best of some, by events."""
    times = []
    for _ in range(12):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        launch()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return min(times[2:])


def made(
    engine: _core.Engine, paths: list[str], reading: Reading, leave: _core.Leave, entries: Any = None
) -> tuple[Any, Any, Destination]:
    """A batch that is done, its images as far as the CPU made them, and where its memory is."""
    destination = Destination(torch.device("cuda"))
    height, width = reading.size
    batch = engine.submit(
        paths,
        list(range(len(paths))),
        recipe=reading.recipe,
        target=bytes_target(3),
        size=(height, width),
        out=destination.staging.native,
        order=None,
        seed=1,
        epoch=0,
        stop_at_failure=True,
        max_pixels=0,
        load=None,
        leave=leave,
        entries=entries,
    )
    batch.wait()
    block = batch.take_block()
    shape = (len(paths), height, width, 3)
    images = torch.zeros(shape, dtype=torch.uint8) if block < 0 else destination.staging.memory(block).view(shape)
    return batch, images, destination


def check(name: str, given: int, expected: torch.Tensor, pixels: torch.Tensor, launch: Any) -> int:
    """Prints how many bytes differ, and the time."""
    launch()
    differ = int((pixels.cpu() != expected).sum())
    print(
        f"{name}: {given} images, {differ} bytes differ from the CPU, {milliseconds(launch):.2f} ms with copies",
        flush=True,
    )
    return differ


def kernels_alone(launch: Any) -> str:
    """Milliseconds of each kernel."""
    repeats = 5
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(repeats):
            launch()
        torch.cuda.synchronize()
    times = {one.key: one.device_time_total / 1000 / repeats for one in profile.key_averages()}
    return ", ".join(f"{name} {time:.3f} ms" for name, time in times.items() if time > 0.001)


def check_end(
    engine: _core.Engine, paths: list[str], images: dict[str, torch.Tensor], entries: _core.EntryStore, name: str
) -> int:
    """One kind of transforms, of decoded images, of coefficients and of codes; how many bytes differ."""
    reading = read(T.Compose([*ENDS[name], T.ToTensor(), T.Normalize(MEAN, STD)]))
    _, expected, _ = made(engine, paths, reading, _core.Leave.nothing)

    batch, some, _ = made(engine, paths, reading, _core.Leave.bytes)
    taps = torch.empty(batch.deferred_taps, dtype=torch.int32, pin_memory=True)
    left = resize_images.Deferred(*batch.deferred(taps.numpy())[:2], taps, [])
    addresses = np.array([images[paths[slot]].data_ptr() for slot in left.samples[:, resize_images.SLOT]])
    pixels = some.cuda()

    def resize() -> None:
        resize_images.resize_on_gpu(addresses, left, pixels)

    wrong = check(f"{name}, of images", len(addresses), expected, pixels, resize)
    print(f"  {kernels_alone(resize)}", flush=True)

    for what, records in (("coefficients", None), ("codes", entries)):
        batch, some, destination = made(engine, paths, reading, _core.Leave.windows, records)
        left = batch.left_codes if records is not None else batch.deferred_count
        pixels, windows = some.cuda(), batch.windows()
        kernels = WindowKernels(destination)
        destination.staging.give_after = lambda block, event: None  # they are used again

        again: Any = types.SimpleNamespace(windows=lambda found=windows: found)

        def decode(kernels: WindowKernels = kernels, pixels: torch.Tensor = pixels, again: Any = again) -> None:
            kernels.make(again, pixels)

        wrong += check(f"{name}, of {what}", left, expected, pixels, decode)
        print(f"  of {sum(used for _, used in windows[0]) / 1e6:.0f} MB: {kernels_alone(decode)}", flush=True)

    for dtype in (torch.float32, torch.bfloat16):
        for channels_last in (False, True):
            finish = Finish(reading.pixelwise, dtype, channels_last=channels_last, device="cuda")
            ours = finish(pixels)
            theirs = torch.empty_like(ours)
            finish_in_torch(pixels, finish._table, theirs)
            equal = torch.equal(ours, theirs)
            wrong += not equal
            speed = kernels_alone(lambda finish=finish: finish(pixels))
            print(f"  finish {dtype} channels_last={channels_last}: equal={equal}, {speed}", flush=True)
    return wrong


def main() -> int:
    files = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    paths = [str(files[number % len(files)]) for number in range(BATCH)]
    images = {path: torch.from_numpy(np.array(PIL.Image.open(path).convert("RGB"))).cuda() for path in set(paths)}
    engine = _core.Engine(16)
    with tempfile.TemporaryDirectory() as folder:
        store = _core.EntryStore([("", [], _core.RecordLog(folder, "1.log"))], every=8, verifies=False)
        store.make(paths, 16)
        return 1 if sum(check_end(engine, paths, images, store, name) for name in ENDS) else 0


if __name__ == "__main__":
    sys.exit(main())
