"""Decoded images of many sizes -> one uint8 batch: window, Pillow's resize in Pillow's integer arithmetic, flips.

Two passes, one an axis, in the order that the plan says, with a rounding to 8 bits behind each. The weights come from the engine
(csrc/recipe/separable.h), so no floating point happens here and the bytes are the CPU's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fastload.gpu.bytes_to_values import kernels

# Fixed point of the weights: csrc/image/taps.h.
PRECISION_BITS = 22
# Columns of Deferred.samples and Deferred.passes: csrc/bindings_deferred.cpp.
SLOT, WIDTH, HEIGHT, X, Y, FLIP_HORIZONTAL, FLIP_VERTICAL, SAMPLING = range(8)
VERTICAL, LINES, SPAN, OUTPUTS, TAPS, AT = range(6)
# What a kernel's record holds, as int64: where pixels come from and go to, with bytes a row; the pass; the mirroring.
RECORD = ("source", "source_stride", "target", "target_stride", *("vertical", "lines", "span", "outputs", "taps", "at"))
RECORD_NUMBERS = len(RECORD) + 2
_CHANNELS = 3
_ALIGNMENT = 16


@dataclass
class Deferred:
    """What the engine left to another decoder of one batch.

    Attributes:
        samples: int32 [n, 8].
        passes: int32 [n, 2, 6].
        taps: int32, all passes' starts and weights; pinned where a GPU will read them.
        encoded: the bytes of each file.
    """

    samples: np.ndarray
    passes: np.ndarray
    taps: torch.Tensor
    encoded: list[np.ndarray]

    def only(self, positions: np.ndarray) -> Deferred:
        """The samples at these positions, in this order."""
        encoded = [self.encoded[position] for position in positions]
        return Deferred(self.samples[positions], self.passes[positions], self.taps, encoded)


def resize(images: Sequence[torch.Tensor], deferred: Deferred, out: torch.Tensor) -> None:
    """Puts each image, uint8 [height, width, 3], into its slot of ``out``, uint8 [slots, height, width, 3]; in plain torch."""
    for image, sample, passes in zip(images, deferred.samples, deferred.passes, strict=True):
        x, y = int(sample[X]), int(sample[Y])
        lines, span = int(passes[0][LINES]), int(passes[0][SPAN])
        rows, columns = (span, lines) if passes[0][VERTICAL] else (lines, span)
        pixels = image[y : y + rows, x : x + columns]
        for one in passes:
            start, outputs, taps = int(one[AT]), int(one[OUTPUTS]), int(one[TAPS])
            starts = deferred.taps[start : start + outputs]
            weights = deferred.taps[start + outputs : start + outputs + outputs * taps].view(outputs, taps)
            pixels = pass_in_torch(pixels, starts, weights, vertical=bool(one[VERTICAL]))
        flips = [axis for axis, flag in ((1, FLIP_HORIZONTAL), (0, FLIP_VERTICAL)) if sample[flag]]
        out[int(sample[SLOT])] = pixels.flip(flips) if flips else pixels


def pass_in_torch(pixels: torch.Tensor, starts: torch.Tensor, weights: torch.Tensor, *, vertical: bool) -> torch.Tensor:
    """One pass over uint8 [rows, columns, channels]; the definition of the kernel."""
    pixels = pixels if vertical else pixels.transpose(0, 1)
    at = (starts[:, None] + torch.arange(weights.shape[1], dtype=torch.int32, device="cpu")).clamp(
        max=pixels.shape[0] - 1
    )
    picked = pixels[at.long()].int() * weights[:, :, None, None]
    total = picked.sum(1, dtype=torch.int32) + (1 << (PRECISION_BITS - 1))
    result = (total >> PRECISION_BITS).clamp(0, 255).to(torch.uint8)
    return result if vertical else result.transpose(0, 1)


def records(
    deferred: Deferred, addresses: np.ndarray, between: int, out: torch.Tensor
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """int64 [2, n, 12] for the kernel, and the largest (rows, columns) that each of the passes makes.

    ``addresses``: of the images, int64; ``between``: of ``bytes_between()`` bytes for what lies between the passes.
    """
    samples, passes = deferred.samples.astype(np.int64), deferred.passes.astype(np.int64)
    made = np.zeros((2, len(samples), RECORD_NUMBERS), np.int64)
    stride = _CHANNELS * samples[:, WIDTH]
    out_stride = _CHANNELS * out.shape[2]
    rows, columns = _sizes_between(passes)
    made[0, :, 0] = addresses + samples[:, Y] * stride + samples[:, X] * _CHANNELS
    made[0, :, 1] = stride
    made[0, :, 2] = made[1, :, 0] = between + _offsets(rows, columns)[:-1]
    made[0, :, 3] = made[1, :, 1] = _CHANNELS * columns
    made[1, :, 2] = out.data_ptr() + samples[:, SLOT] * (out.shape[1] * out_stride)
    made[1, :, 3] = out_stride
    made[:, :, 4:10] = passes.transpose(1, 0, 2)
    made[1, :, 10] = samples[:, FLIP_HORIZONTAL]
    made[1, :, 11] = samples[:, FLIP_VERTICAL]
    return made, [(int(rows.max()), int(columns.max())), (out.shape[1], out.shape[2])]


def bytes_between(deferred: Deferred) -> int:
    """Memory for what lies between the two passes."""
    return int(_offsets(*_sizes_between(deferred.passes.astype(np.int64)))[-1])


def _sizes_between(passes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = passes[:, 0]
    vertical = first[:, VERTICAL] != 0
    return (
        np.where(vertical, first[:, OUTPUTS], first[:, LINES]),
        np.where(vertical, first[:, LINES], first[:, OUTPUTS]),
    )


def _offsets(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    sizes = -(-rows * columns * _CHANNELS // _ALIGNMENT) * _ALIGNMENT
    return np.concatenate(([0], np.cumsum(sizes)))


def resize_on_gpu(addresses: np.ndarray, deferred: Deferred, out: torch.Tensor) -> bool:
    """As ``resize``, for images in GPU memory, on the current stream; False where Triton is missing.

    The images must stay as they are until the work launched here is over.
    """
    triton = kernels()
    if triton is None:
        return False
    between = torch.empty(bytes_between(deferred), dtype=torch.uint8, device=out.device)
    numbers, largest = records(deferred, addresses, between.data_ptr(), out)
    on_device = copied(numbers, out.device)
    taps = deferred.taps.to(out.device, non_blocking=True)
    for one, (rows, columns) in enumerate(largest):
        triton.resample(on_device[one], taps, rows, columns)
    return True


def copied(numbers: np.ndarray, device: torch.device) -> torch.Tensor:
    """The numbers on the device, once the current stream has come that far."""
    tensor = torch.from_numpy(numbers)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)
