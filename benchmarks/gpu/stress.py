"""Are batches on a GPU safe to keep, to drop and to use elsewhere? ``python -m benchmarks.gpu.stress`` (20,000 batches).

Every image has a checksum, taken on the CPU, and one of the hardware decoder's pixels. The consumer drops batches at once behind
work that takes long, keeps them for a while, uses them on another stream, and fills freed memory with garbage; now and then the
loader's own stream is held up, so that copies lie behind what waits for them. Every checksum, computed on the GPU, must be right.
``--break`` takes one part of the ordering away, and the test must then fail: ``wait`` (the consumer's stream does not wait for the
copy), ``record`` (memory may be used again while the consumer reads it), ``staging`` (the engine may write while a copy reads).
Exit status 1 where a checksum is wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import torchvision.transforms as T

import fastload
from fastload.engine import file_dataset_of
from fastload.entries import make_entries
from fastload.gpu import decode_iterator, device_copy

IMAGES, SIDE, MOST_KEPT = 4096, 96, 24
TRANSFORM = T.Compose([T.Resize((SIDE, SIDE)), T.PILToTensor()])
NORMALISED = T.Compose([T.Resize((SIDE, SIDE)), T.ToTensor(), T.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))])


def make_images(folder: Path) -> list[str]:
    """Small JPEGs, no two alike."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(IMAGES):
        level = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        path = folder / f"{number}.jpg"
        PIL.Image.fromarray(level).resize((112, 112), PIL.Image.Resampling.BICUBIC).save(
            path, quality=92, subsampling=0
        )
        paths.append(str(path))
    return paths


def checksums(images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """int64 [batch], exact: the bits of every element count, each with a weight of its own."""
    bits = images.contiguous().view(torch.int32).long() if images.dtype == torch.float32 else images.long()
    return (bits.flatten(1) * weights).sum(1)


def take_away(part: str) -> None:
    """Breaks one part of the ordering."""
    if part == "wait":

        def hand_over(self: Any, tensor: torch.Tensor, event: Any) -> torch.Tensor:
            tensor.record_stream(torch.cuda.current_stream(self.device))
            return tensor

        device_copy.Destination.hand_over = hand_over  # type: ignore[method-assign]
    elif part == "record":

        def hand_over(self: Any, tensor: torch.Tensor, event: Any) -> torch.Tensor:
            torch.cuda.current_stream(self.device).wait_event(event)
            return tensor

        device_copy.Destination.hand_over = hand_over  # type: ignore[method-assign]
    elif part == "staging":
        device_copy.Staging.give_after = lambda self, block, event: self.native.give(block)  # type: ignore[method-assign]


def of_the_hardware(dataset: Any, weights: torch.Tensor, workers: int) -> torch.Tensor:
    """Checksums of what the hardware decoder gives, of a quiet epoch: its pixels are off by a level here and there."""
    expected = torch.empty(IMAGES, dtype=torch.int64, device="cuda")
    decides = decode_iterator.GpuDecodeIterator._is_for_decoder
    decode_iterator.GpuDecodeIterator._is_for_decoder = lambda self, images: True  # type: ignore[method-assign]
    for images, indices in fastload.DataLoader(dataset, 64, num_workers=workers, device="cuda", decode="dali"):
        torch.cuda.synchronize()
        expected[indices] = checksums(images, weights)
        torch.cuda.synchronize()
    decode_iterator.GpuDecodeIterator._is_for_decoder = decides  # type: ignore[method-assign]
    return expected


def run(
    loader: Any, expected: torch.Tensor, pixels: torch.Tensor, weights: torch.Tensor, batches: int, seed: int
) -> dict[str, Any]:
    """Looks at ``batches`` batches: how many checksums were wrong, and how far their values were off, of ``pixels``, at most."""
    choice = random.Random(seed)
    other = torch.cuda.Stream()
    kept: deque[tuple[torch.Tensor, torch.Tensor]] = deque()
    wrong = torch.zeros((), dtype=torch.int64, device="cuda")
    largest = torch.zeros((), device="cuda")
    ways = {"dropped": 0, "kept": 0, "other stream": 0}
    seen, began = 0, time.perf_counter()

    def differ(images: torch.Tensor, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        indices = indices.clamp(0, IMAGES - 1)  # where the ordering is broken they may be anything
        off = (images.float() - pixels[indices].float()).abs().amax()
        found = checksums(images, weights)
        return ((found != expected[0, indices]) & (found != expected[1, indices])).sum(), off

    def note(differences: tuple[torch.Tensor, torch.Tensor]) -> None:
        wrong.add_(differences[0])
        torch.maximum(largest, differences[1], out=largest)

    while seen < batches:
        for images, indices in loader:
            if choice.random() < 0.2:  # what is copied from here on comes late
                destination, decoding = loader._on_device.destination, loader._on_device.decoding
                further = next(decoding.pipeline._streams) if decoding is not None and choice.random() < 0.5 else None
                with destination.on_stream(further):
                    torch.cuda._sleep(choice.randrange(100_000, 10_000_000))
            way = choice.choice(list(ways))
            ways[way] += 1
            if way == "dropped":
                if choice.random() < 0.3:
                    torch.cuda._sleep(choice.randrange(100_000, 3_000_000))
                note(differ(images, indices))
            elif way == "kept":
                kept.append((images, indices))
                if len(kept) > choice.randrange(MOST_KEPT):
                    note(differ(*kept.popleft()))
            else:
                other.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(other):
                    torch.cuda._sleep(choice.randrange(10_000, 500_000))
                    differences = differ(images, indices)
                images.record_stream(other)
                indices.record_stream(other)
                torch.cuda.current_stream().wait_stream(other)
                note(differences)
            garbage = torch.empty_like(images)
            del images, indices
            garbage.fill_(choice.randrange(200))
            seen += 1
            if seen >= batches:
                break
    while kept:
        note(differ(*kept.popleft()))
    torch.cuda.synchronize()
    figures = {
        "wrong_checksums": int(wrong),
        "largest_difference": float(largest),
        "decoders": loader.stats()["decoders"],
    }
    return {"batches": seen, **figures, "seconds": time.perf_counter() - began, **ways}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--decode", default="cpu", choices=["cpu", "gpu", "hybrid", "dali"])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--normalise", action="store_true", help="float32 instead of uint8")
    parser.add_argument("--break", dest="broken", choices=["wait", "record", "staging"], help="must fail")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = make_images(Path(folder))
        transform = NORMALISED if given.normalise else TRANSFORM
        dataset = fastload.ImageFiles(paths, list(range(IMAGES)), transform)
        weights = torch.randint(1, 1 << 20, (3 * SIDE * SIDE,), generator=torch.Generator().manual_seed(1)).cuda()
        expected = torch.empty((2, IMAGES), dtype=torch.int64, device="cuda")
        pixels = torch.empty(
            (IMAGES, 3, SIDE, SIDE), dtype=torch.float32 if given.normalise else torch.uint8, device="cuda"
        )
        for images, indices in fastload.DataLoader(dataset, 64, num_workers=given.workers):
            expected[:, indices.cuda()] = checksums(images.cuda(), weights)
            pixels[indices.cuda()] = images.cuda()
        if given.decode == "dali":
            expected[1] = of_the_hardware(dataset, weights, given.workers)
        if given.decode in ("gpu", "hybrid"):
            make_entries(file_dataset_of(dataset), 4)
        if given.broken:
            take_away(given.broken)
        loader = fastload.DataLoader(
            dataset, given.batch_size, shuffle=True, num_workers=given.workers, device="cuda", decode=given.decode
        )
        result = run(loader, expected, pixels, weights, given.batches, seed=1)
    print(
        json.dumps({"decode": given.decode, "broken": given.broken, "normalise": given.normalise, **result}), flush=True
    )
    return 1 if result["wrong_checksums"] else 0


if __name__ == "__main__":
    sys.exit(main())
