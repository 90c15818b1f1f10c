"""The kernels on a GPU against their definitions, and their speed: ``python -m benchmarks.gpu_kernels PHOTOS``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import PIL.Image
import torch
import torchvision.transforms as T

from fastload import _core, ragged
from fastload.finish import Finish, bytes_target, finish_in_torch
from fastload.transforms import read

BATCH, SIDE = 256, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ENDS = {
    "RandomResizedCrop": [T.RandomResizedCrop(SIDE), T.RandomHorizontalFlip()],
    "Resize, CenterCrop": [T.Resize(256), T.CenterCrop(SIDE)],
    "bicubic": [T.RandomResizedCrop(SIDE, interpolation=T.InterpolationMode.BICUBIC), T.RandomVerticalFlip()],
    "Lanczos": [T.Resize((190, 300), interpolation=T.InterpolationMode.LANCZOS)],
}


def milliseconds(launch) -> float:
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


def main() -> int:
    files = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    paths = [str(files[number % len(files)]) for number in range(BATCH)]
    images = {path: torch.from_numpy(np.array(PIL.Image.open(path).convert("RGB"))).cuda() for path in set(paths)}
    engine, wrong = _core.Engine(16), 0
    for name, transforms in ENDS.items():
        reading = read(T.Compose([*transforms, T.ToTensor(), T.Normalize(MEAN, STD)]))
        height, width = reading.size
        made = []
        for leave in (_core.Leave.nothing, _core.Leave.all):
            out = torch.zeros((BATCH, height, width, 3), dtype=torch.uint8)
            batch = engine.submit(
                paths,
                list(range(BATCH)),
                recipe=reading.recipe,
                target=bytes_target(3),
                size=(height, width),
                out=out.numpy(),
                order=None,
                seed=1,
                epoch=0,
                stop_at_failure=True,
                max_pixels=0,
                load=None,
                leave=leave,
            )
            batch.wait()
            made.append(out)
        taps = torch.empty(batch.deferred_taps, dtype=torch.int32, pin_memory=True)
        samples, passes, encoded = batch.deferred(taps.numpy())
        left = ragged.Deferred(samples, passes, taps, encoded)
        addresses = [images[paths[slot]].data_ptr() for slot in samples[:, ragged.SLOT]]
        pixels = made[1].cuda()
        assert ragged.resize_on_gpu(addresses, left, pixels)
        differ = int((pixels.cpu() != made[0]).sum())
        wrong += differ
        speed = milliseconds(lambda: ragged.resize_on_gpu(addresses, left, pixels))  # noqa: B023
        print(
            f"{name}: {len(samples)} images, {differ} bytes differ from the CPU, {speed:.2f} ms with its copies",
            flush=True,
        )
        for dtype in (torch.float32, torch.bfloat16):
            for channels_last in (False, True):
                finish = Finish(reading.pixelwise, dtype, channels_last=channels_last, device="cuda")
                images_out = finish(pixels)
                expected = torch.empty_like(images_out)
                finish_in_torch(pixels, finish._table, expected)
                equal = torch.equal(images_out, expected)
                wrong += not equal
                speed = milliseconds(lambda: finish(pixels))  # noqa: B023
                print(f"  finish {dtype} channels_last={channels_last}: equal={equal}, {speed:.3f} ms", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
