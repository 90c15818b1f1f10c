"""What the engine left of a batch as windows, codes or coefficients -> uint8 pixels, by the kernels of csrc/device.

All that a GPU must know of a batch, the codes too, lies in the engine's blocks and is copied once; then there are five launches,
however many images there are. On the CPU, for tests, the same source runs in loops.
"""

from __future__ import annotations

import ctypes

import numpy as np
import torch

from fastload import _core
from fastload.gpu.device_copy import Destination
from fastload.gpu.kernel_program import Launch, program_on

# csrc/device/kernels.h.
_PREPARE_THREADS, _CODES_THREADS, _TRANSFORM_THREADS, _FIRST_THREADS, _PIXEL_THREADS = 256, 128, 64, 256, 128
_PIXEL_ROWS, _ROW_PIXELS = 8, 8192
# Of a multiprocessor: see Note [few blocks] there.
_CODES_BLOCKS, _FIRST_BLOCKS, _PIXEL_BLOCKS = 2, 4, 8
_SIZES = _core.kernel_sizes()
_CODES_BYTES = _SIZES["codes_shared"] + _CODES_THREADS * _SIZES["codes_room"]
_SLAB_BYTES = _SIZES["slab"]


class Faults:
    """What went wrong with the images of a batch: known once the kernels are over."""

    def __init__(self, numbers: torch.Tensor, event: torch.cuda.Event | None) -> None:
        self._numbers = numbers
        self._event = event

    def slots(self) -> list[int]:
        """Waits for the kernels. Those of images whose pixels are of no use."""
        if self._event is not None:
            self._event.synchronize()
        found: list[int] = self._numbers.numpy().nonzero()[0].tolist()
        return found


class WindowKernels:
    """Of one loader's destination; on a GPU its program is compiled first, which raises KernelError where that cannot be."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._program = None if destination.stream is None else program_on(destination.device)
        if self._program is not None:
            for name in ("prepare", "transform_blocks", "first_pass", "second_pass"):
                self._program.function(name)
            self._program.function("read_codes", _CODES_BYTES)

    def make(self, batch: _core.Batch, pixels: torch.Tensor) -> Faults:
        """Fills the slots of ``pixels``, uint8 [slots, height, width, 3], that were left; on the current stream."""
        slabs, works, scratch_bytes, most = batch.windows()
        staging = self._destination.staging
        copied = None
        try:
            used = (len(slabs) - 1) * _SLAB_BYTES + slabs[-1][1]
            block = torch.empty(used, dtype=torch.uint8, device=pixels.device)
            for number, (one, size) in enumerate(slabs):
                at = number * _SLAB_BYTES
                block[at : at + size].copy_(staging.memory(one)[:size], non_blocking=self._program is not None)
            if self._program is None:
                numbers = _core.make_images(block.numpy(), works, scratch_bytes, pixels.numpy())
                return Faults(torch.from_numpy(numbers), None)
            stream = torch.cuda.current_stream(pixels.device)
            copied = stream.record_event()
            return self._launch(block, works, scratch_bytes, most, pixels, stream)
        finally:  # also where the GPU has no memory left, and somebody may try again with a smaller batch
            for one, _ in slabs:
                staging.give_after(one, copied)

    def _launch(
        self,
        block: torch.Tensor,
        works: int,
        scratch_bytes: int,
        most: tuple[int, ...],
        pixels: torch.Tensor,
        stream: torch.cuda.Stream,
    ) -> Faults:
        program, count = self._program, len(pixels)
        assert program is not None
        intervals, blocks, columns, between_rows = most
        scratch = torch.empty(scratch_bytes, dtype=torch.uint8, device=pixels.device)
        numbers = torch.empty(count + 1, dtype=torch.int32, device=pixels.device)
        height, width = pixels.shape[1:3]
        launch = Launch(
            block.data_ptr(), scratch.data_ptr(), pixels.data_ptr(), numbers.data_ptr(), works, width, height, count
        )
        given = (ctypes.c_void_p * 1)(ctypes.addressof(launch))
        handle = stream.cuda_stream

        def run(name: str, grid: tuple[int, int, int], threads: int, shared: int = 0) -> None:
            program.launch(program.function(name), grid, threads, shared, handle, given)

        def run_parts(name: str, parts: int, blocks: int, threads: int, shared: int = 0) -> None:
            launch.parts = parts
            run(name, (min(count * parts, blocks * program.multiprocessors), 1, 1), threads, shared)

        run("prepare", (count, 3, 1), _PREPARE_THREADS)
        if intervals:
            run_parts("read_codes", -(-intervals // _CODES_THREADS), _CODES_BLOCKS, _CODES_THREADS, _CODES_BYTES)
        if blocks:
            run("transform_blocks", (count, 3, -(-blocks // _TRANSFORM_THREADS)), _TRANSFORM_THREADS)
        rows = min(_PIXEL_ROWS, max(1, _ROW_PIXELS // columns))
        run_parts("first_pass", -(-between_rows // rows), _FIRST_BLOCKS, _FIRST_THREADS)
        places = -(-height // _PIXEL_ROWS) * -(-width // _PIXEL_THREADS)
        run_parts("second_pass", places, _PIXEL_BLOCKS, _PIXEL_THREADS)
        on_host = torch.empty(count, dtype=torch.int32, device="cpu", pin_memory=True)
        on_host.copy_(numbers[:count], non_blocking=True)
        event = torch.cuda.Event(blocking=True)
        event.record(stream)
        return Faults(on_host, event)


def take(pixels: torch.Tensor, others: torch.Tensor, slots: list[int]) -> None:
    """Replaces some slots' pixels by others."""
    index = torch.from_numpy(np.array(slots, np.int64)).to(pixels.device)
    pixels[index] = others[index]
