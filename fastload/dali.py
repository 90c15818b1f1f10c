"""NVIDIA DALI as a decoder of whole JPEGs, and nothing else: encoded bytes in, decoded images out, a few batches in flight.

The only file that imports DALI, and it does so when a decoder is made. With ``device_id=None`` DALI's CPU backend does the same
work, which is how this is tested without a GPU.

Note [DALI]
Batches are pushed and pulled in order, so there is no source that could raise inside DALI, no epoch that it could end, and no
thread of ours. ``outputs()`` without a stream waits on the host until the images are there: nvJPEG's hardware engine does not
follow streams, so an event would not do. A broken file fails its whole batch, with a message that rarely says which; the next
batches are not touched. What was decoded belongs to DALI's pool, and is held until the kernels that read it are over.

Note [uniform batches]
nvImageCodec (0.9) hands a batch to nvJPEG's hardware engine as one only if all its files have the same chroma sampling; else it
decodes them one by one, from threads that wait for each. On an H200, full decodes with smooth chroma, batches of 256: 17,800
images/s of 4:4:4 alone and 26,700 of 4:2:0 alone, but 10,500 of 78 % and 20 % of them mixed, at three times the CPU time.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

# Files that a pipeline decodes at a time. With 512 an H200 gave 4,300 images/s and not 15,300: nvImageCodec decoded most elsewhere.
MOST_FILES = 256
INSTALL = 'pip install "fastload-torch[dali]"'


def why_missing() -> str:
    """Why DALI cannot be used here; empty if it seems to be installed. Imports nothing."""
    try:
        found = importlib.util.find_spec("nvidia.dali") is not None
    except ModuleNotFoundError:
        found = False
    return "" if found else f"NVIDIA DALI is not installed: {INSTALL}"


class Part:
    """Up to MOST_FILES files of one chroma sampling: uint8 [bytes] each, sizes int32 [n, 2] (width, height).

    ``positions`` are those among all files that were submitted together, int64 [n]. The decoded images live as long as this object.
    """

    def __init__(self, sampling: int, encoded: list[np.ndarray], sizes: np.ndarray, positions: np.ndarray) -> None:
        self.sampling = sampling
        self.encoded = encoded  # DALI reads them
        self.sizes = sizes
        self.positions = positions
        self.images: Any = None
        self.error: str | None = None
        self.culprits: list[tuple[int, str]] | None = None

    @property
    def done(self) -> bool:
        return self.images is not None or self.error is not None

    def addresses(self, which: np.ndarray) -> list[int]:
        """In GPU memory, of some of the images, uint8 [height, width, 3] each."""
        return [self.images[i].data_ptr() for i in which.tolist()]

    def tensors(self, which: np.ndarray) -> list[torch.Tensor]:
        """Copies on the CPU."""
        images = self.images.as_cpu() if hasattr(self.images, "as_cpu") else self.images
        return [torch.from_numpy(np.array(images[i])) for i in which.tolist()]


class Decoder:
    """Decodes batches, the files of each chroma sampling in a pipeline of their own: see Note [uniform batches].

    Args:
        device_id: of the GPU; None: DALI's CPU backend.
        threads: of each pipeline; they parse, and decode what the hardware engine does not take.
        hw_decoder_load: the part of each batch that the hardware engine is given, if it can decode it.
        depth: batches in flight at most.
    """

    def __init__(self, *, device_id: int | None, threads: int, hw_decoder_load: float, depth: int) -> None:
        self._make = lambda: Pipeline(
            device_id=device_id, threads=threads, hw_decoder_load=hw_decoder_load, depth=depth
        )
        self._pipelines: dict[int, Pipeline] = {}

    def submit(self, encoded: Sequence[np.ndarray], sizes: np.ndarray, samplings: np.ndarray) -> list[Part]:
        """Begins to decode some files; ``samplings``: int32 [n], any numbers that tell them apart."""
        parts = []
        for sampling in np.unique(samplings).tolist():
            if sampling not in self._pipelines:
                self._pipelines[sampling] = self._make()
            of_sampling = np.flatnonzero(samplings == sampling)
            for first in range(0, len(of_sampling), MOST_FILES):
                positions = of_sampling[first : first + MOST_FILES]
                part = Part(sampling, [encoded[i] for i in positions], sizes[positions], positions)
                self._pipelines[sampling].submit(part)
                parts.append(part)
        return parts

    def collect(self, parts: Sequence[Part]) -> None:
        """Waits until all of them are decoded or have failed."""
        for part in parts:
            self._pipelines[part.sampling].collect(part)

    def culprits(self, part: Part) -> list[tuple[int, str]]:
        """Which positions of a part that failed DALI cannot decode, and what it says of each; looked for once."""
        if part.culprits is None:
            part.culprits = self._pipelines[part.sampling].culprits(part)
        return part.culprits


class Pipeline:
    """A DALI pipeline that decodes; ``Decoder`` has the arguments."""

    def __init__(self, *, device_id: int | None, threads: int, hw_decoder_load: float, depth: int) -> None:
        self._depth = depth
        self._device_id = device_id
        self._threads = threads
        self._hw_decoder_load = hw_decoder_load
        self._failed_in_a_row = 0
        self._pipeline: Any = None
        self._in_flight: deque[Part] = deque()

    def __del__(self) -> None:
        self._pipeline = None  # before the parts, whose bytes it may be reading

    def submit(self, part: Part) -> None:
        """Begins to decode; see ``Decoder.submit``."""
        if self._failed_in_a_row > 1:  # a new one, in case that it is to blame
            while self._in_flight:
                self._collect_one()
            self._pipeline, self._failed_in_a_row = None, 0
        if self._pipeline is None:
            self._pipeline = self._make()
        while len(self._in_flight) >= self._depth:
            self._collect_one()
        self._pipeline.feed_input("encoded", part.encoded)
        self._pipeline._run_once()  # what DALI's own Proxy calls: schedule_run() would ask for several batches at first
        self._in_flight.append(part)

    def collect(self, part: Part) -> None:
        """Waits until the part is decoded or has failed."""
        while not part.done:
            self._collect_one()

    def culprits(self, part: Part) -> list[tuple[int, str]]:
        """See ``Decoder.culprits``: by halves."""
        found, ranges = [], [range(len(part.encoded))]
        while ranges:
            some = ranges.pop()
            within = slice(some.start, some.stop)
            again = Part(part.sampling, part.encoded[within], part.sizes[within], part.positions[within])
            self.submit(again)
            self.collect(again)
            if again.error is None:
                continue
            if len(some) == 1:
                found.append((int(again.positions[0]), again.error))
            else:
                ranges += [some[len(some) // 2 :], some[: len(some) // 2]]
        return found

    def _collect_one(self) -> None:
        part = self._in_flight.popleft()
        try:
            (part.images,) = self._pipeline.outputs()
            self._failed_in_a_row = 0
            if [tuple(shape[1::-1]) for shape in part.images.shape()] != [tuple(size) for size in part.sizes.tolist()]:
                part.error = "DALI gave images of another size"
        except (RuntimeError, StopIteration) as error:
            part.error = _last_line(error)
            self._failed_in_a_row += 1

    def _make(self) -> Any:
        try:
            from nvidia import dali
            from nvidia.dali import fn, types
        except ImportError as error:
            raise RuntimeError(f"NVIDIA DALI cannot be imported ({error}): {INSTALL}") from error
        options: dict[str, Any] = {"device": "cpu"}
        if self._device_id is not None:
            options = {
                "device": "mixed",
                "hw_decoder_load": self._hw_decoder_load,
                "jpeg_fancy_upsampling": True,  # without it pixels are off by up to 69
            }
        pipeline = dali.Pipeline(
            batch_size=MOST_FILES,
            num_threads=self._threads,
            device_id=self._device_id,
            prefetch_queue_depth=self._depth,
            exec_dynamic=True,
            set_affinity=False,
        )
        with pipeline:
            encoded = fn.external_source(name="encoded", no_copy=True, dtype=types.UINT8, ndim=1, batch=True)
            # adjust_orientation: torchvision's folders do not follow EXIF. affine: another process may have the same cores.
            options |= {"output_type": types.RGB, "adjust_orientation": False, "affine": False}
            images = fn.decoders.image(encoded, **options)
            pipeline.set_outputs(images)
        pipeline.build()
        return pipeline


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Current pipeline object")]
    return lines[-1] if lines else type(error).__name__
