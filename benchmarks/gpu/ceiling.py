"""What the hardware decoder alone can give: ``python -m benchmarks.gpu.ceiling PHOTOS``.

DALI decodes whole files out of memory, with smooth chroma, each pipeline driven by a thread of its own; nothing is done with the
images. One line a setting: files of one chroma sampling or all of both, pipelines of each, files at a time, batches that DALI
has at once, DALI's threads.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import threading
import time
from pathlib import Path

import numpy as np
import PIL.Image

SECONDS, WARM_SECONDS = 1.5, 0.7
SAMPLINGS = {"4:4:4": (1, 1), "4:2:0": (2, 2)}
# (samplings, pipelines of each, files, depth, threads)
SETTINGS = [
    *((("4:4:4",), *one) for one in ((1, 256, 2, 4), (1, 256, 3, 4), (1, 128, 3, 4), (2, 128, 2, 4), (2, 256, 2, 4))),
    *((("4:2:0",), *one) for one in ((1, 256, 2, 4), (2, 128, 2, 4))),
    *((("4:4:4", "4:2:0"), *one) for one in ((1, 256, 2, 4), (1, 256, 3, 4), (2, 128, 2, 4))),
]


def read(photos: Path) -> dict[str, list[np.ndarray]]:
    """The files' bytes by chroma sampling; baseline YCbCr alone."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in SAMPLINGS}
    for path in sorted(photos.rglob("*")):
        if path.suffix.lower() not in (".jpg", ".jpeg"):
            continue
        with PIL.Image.open(path) as image:
            if image.mode != "RGB" or image.info.get("progressive"):
                continue
            first = image.layer[0][1:3]
        for name, factors in SAMPLINGS.items():
            if first == factors:
                found[name].append(np.frombuffer(path.read_bytes(), np.uint8))
    return found


class Driver:
    """One pipeline and its thread."""

    def __init__(self, files: list[np.ndarray], at_once: int, depth: int, threads: int) -> None:
        from nvidia import dali
        from nvidia.dali import fn, types

        self.batches = itertools.cycle(
            [[files[(first + i) % len(files)] for i in range(at_once)] for first in range(0, 8 * at_once, at_once)]
        )
        self.depth, self.decoded, self.stop = depth, 0, False
        self.pipeline = dali.Pipeline(
            at_once, threads, 0, prefetch_queue_depth=depth + 1, exec_dynamic=True, set_affinity=False
        )
        with self.pipeline:
            encoded = fn.external_source(name="encoded", no_copy=True, dtype=types.UINT8, ndim=1, batch=True)
            images = fn.decoders.image(
                encoded,
                device="mixed",
                hw_decoder_load=1.0,
                jpeg_fancy_upsampling=True,
                output_type=types.RGB,
                adjust_orientation=False,
                affine=False,
            )
            self.pipeline.set_outputs(images)
        self.pipeline.build()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        """Keeps ``depth`` batches under way."""
        under_way = 0
        while not self.stop or under_way:
            if not self.stop and under_way < self.depth:
                self.pipeline.feed_input("encoded", next(self.batches))
                self.pipeline._run_once()
                under_way += 1
            else:
                (images,) = self.pipeline.outputs()
                self.decoded += len(images)
                under_way -= 1


def rate(files: dict[str, list[np.ndarray]], samplings: tuple[str, ...], pipelines: int, *given: int) -> list[float]:
    """Images a second of each sampling."""
    drivers = {name: [Driver(files[name], *given) for _ in range(pipelines)] for name in samplings}
    time.sleep(WARM_SECONDS)

    def decoded() -> list[int]:
        return [sum(driver.decoded for driver in drivers[name]) for name in samplings]

    before, began = decoded(), time.perf_counter()
    time.sleep(SECONDS)
    after, seconds = decoded(), time.perf_counter() - began
    for driver in itertools.chain(*drivers.values()):
        driver.stop = True
    for driver in itertools.chain(*drivers.values()):
        driver.thread.join()
    return [(b - a) / seconds for a, b in zip(before, after, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--torchvision", action="store_true", help="import it first: then its nvJPEG is the one used")
    given = parser.parse_args()
    if given.torchvision:
        import torchvision  # noqa: F401
    files = read(given.photos)
    kinds = {name: (len(some), int(np.mean([len(one) for one in some]))) for name, some in files.items()}
    print(f"files and their mean bytes: {kinds}", flush=True)
    for setting in SETTINGS:
        samplings, pipelines, at_once, depth, threads = setting
        rates = rate(files, *setting)
        each = ", ".join(f"{name} {one:,.0f}" for name, one in zip(samplings, rates, strict=True))
        print(
            f"{pipelines} pipelines each, {at_once} files, {depth} batches, {threads} threads: {each} images/s; "
            f"{sum(rates):,.0f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
