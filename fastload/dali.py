"""NVIDIA DALI as a decoder of whole JPEGs, and nothing else: encoded bytes in, decoded images out, a few batches in flight.

The only file that imports DALI, and it does so when a decoder is made. With ``device_id=None`` DALI's CPU backend does the same
work, which is how this is tested without a GPU.

Note [DALI]
Batches are pushed and pulled in order, so there is no source that could raise inside DALI, no epoch that it could end, and no
thread of ours. ``outputs()`` without a stream waits on the host until the images are there: nvJPEG's hardware engine does not
follow streams, so an event would not do. A broken file fails its whole batch, with a message that rarely says which; the next
batches are not touched. What was decoded belongs to DALI's pool, and is held until the kernels that read it are over.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

INSTALL = 'pip install "fastload-torch[dali]"'


def why_missing() -> str:
    """Why DALI cannot be used here; empty if it seems to be installed. Imports nothing."""
    try:
        found = importlib.util.find_spec("nvidia.dali") is not None
    except ModuleNotFoundError:
        found = False
    return "" if found else f"NVIDIA DALI is not installed: {INSTALL}"


class Images:
    """Decoded images of one batch, uint8 [height, width, 3] each. They live as long as this object."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def __len__(self) -> int:
        return len(self._made)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """[(height, width, 3), …]."""
        return [tuple(shape) for shape in self._made.shape()]

    def addresses(self) -> list[int]:
        """In GPU memory."""
        return [self._made[i].data_ptr() for i in range(len(self._made))]

    def tensors(self) -> list[torch.Tensor]:
        """Copies on the CPU."""
        made = self._made.as_cpu() if hasattr(self._made, "as_cpu") else self._made
        return [torch.from_numpy(np.array(made[i])) for i in range(len(made))]


class Ticket:
    """One batch in flight; holds the bytes that DALI reads."""

    def __init__(self, encoded: Sequence[np.ndarray], regions: np.ndarray) -> None:
        self.encoded = encoded
        self.starts = np.ascontiguousarray(regions[:, 1::-1])  # DALI has height before width
        self.shapes = np.ascontiguousarray(regions[:, :1:-1])
        self.images: Images | None = None
        self.error: str | None = None

    @property
    def done(self) -> bool:
        return self.images is not None or self.error is not None


class Decoder:
    """A DALI pipeline that decodes.

    Args:
        device_id: of the GPU; None: DALI's CPU backend.
        threads: of DALI's own; they parse, and decode what the hardware engine does not take.
        hw_decoder_load: the part of each batch that the hardware engine is given, if it can decode it.
        depth: batches in flight at most.
        windows: decode the region of each image, not all of it.
    """

    def __init__(
        self, *, device_id: int | None, threads: int, hw_decoder_load: float, depth: int, windows: bool = False
    ) -> None:
        self.depth = depth
        self._device_id = device_id
        self._threads = threads
        self._hw_decoder_load = hw_decoder_load
        self._windows = windows
        self._largest = 0
        self._failed_in_a_row = 0
        self._pipeline: Any = None
        self._in_flight: deque[Ticket] = deque()

    def __del__(self) -> None:
        self._pipeline = None  # before the tickets, whose bytes it may be reading

    def submit(self, encoded: Sequence[np.ndarray], regions: np.ndarray, largest: int = 0) -> Ticket:
        """Begins to decode a batch of at least one file: uint8 [bytes] each, regions int32 [n, 4] (x, y, width, height).

        ``largest``: what other batches may have; one that is larger than any before costs a new pipeline.
        """
        largest = max(largest, len(encoded))
        if largest > self._largest or self._failed_in_a_row > 1:
            self._drain()
            self._pipeline, self._largest, self._failed_in_a_row = None, max(largest, self._largest), 0
        if self._pipeline is None:
            self._pipeline = self._make(self._largest)
        while len(self._in_flight) >= self.depth:
            self._collect_one()
        ticket = Ticket(encoded, regions)
        self._pipeline.feed_input("encoded", list(encoded))
        if self._windows:
            self._pipeline.feed_input("start", list(ticket.starts))
            self._pipeline.feed_input("shape", list(ticket.shapes))
        self._pipeline._run_once()  # what DALI's own Proxy calls: schedule_run() would ask for several batches at first
        self._in_flight.append(ticket)
        return ticket

    def collect(self, ticket: Ticket) -> Ticket:
        """Waits until the batch is decoded or has failed."""
        while not ticket.done:
            self._collect_one()
        return ticket

    def culprits(self, encoded: Sequence[np.ndarray], regions: np.ndarray) -> list[tuple[int, str]]:
        """Which of the files DALI cannot decode, and what it says of each: by halves."""
        found = []
        parts = [range(len(encoded))]
        while parts:
            part = parts.pop()
            error = self.collect(self.submit([encoded[i] for i in part], regions[part.start : part.stop])).error
            if error is None:
                continue
            if len(part) == 1:
                found.append((part[0], error))
            else:
                parts += [part[len(part) // 2 :], part[: len(part) // 2]]
        return found

    def _drain(self) -> None:
        while self._in_flight:
            self._collect_one()

    def _collect_one(self) -> None:
        ticket = self._in_flight.popleft()
        try:
            (made,) = self._pipeline.outputs()
            ticket.images = Images(made)
            self._failed_in_a_row = 0
            if [shape[:2] for shape in ticket.images.shapes] != [tuple(shape) for shape in ticket.shapes.tolist()]:
                ticket.error = "DALI gave images of another size"
        except (RuntimeError, StopIteration) as error:
            ticket.error = _last_line(error)
            self._failed_in_a_row += 1

    def _make(self, batch_size: int) -> Any:
        try:
            from nvidia.dali import fn, types
            from nvidia.dali.pipeline import Pipeline
        except ImportError as error:
            raise RuntimeError(f"NVIDIA DALI cannot be imported ({error}): {INSTALL}") from error
        options: dict[str, Any] = {"device": "cpu"}
        if self._device_id is not None:
            options = {
                "device": "mixed",
                "hw_decoder_load": self._hw_decoder_load,
                "jpeg_fancy_upsampling": True,  # without it pixels are off by up to 69
            }
        pipeline = Pipeline(
            batch_size=batch_size,
            num_threads=self._threads,
            device_id=self._device_id,
            prefetch_queue_depth=self.depth,
            exec_dynamic=True,
            set_affinity=False,
        )
        with pipeline:
            encoded = fn.external_source(name="encoded", no_copy=True, dtype=types.UINT8, ndim=1, batch=True)
            # adjust_orientation: torchvision's folders do not follow EXIF. affine: another process may have the same cores.
            options |= {"output_type": types.RGB, "adjust_orientation": False, "affine": False}
            if self._windows:
                start, shape = (
                    fn.external_source(name=name, no_copy=True, dtype=types.INT32, ndim=1, batch=True)
                    for name in ("start", "shape")
                )
                images = fn.decoders.image_slice(encoded, start=start, shape=shape, axis_names="HW", **options)
            else:
                images = fn.decoders.image(encoded, **options)
            pipeline.set_outputs(images)
        pipeline.build()
        return pipeline


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Current pipeline object")]
    return lines[-1] if lines else type(error).__name__
