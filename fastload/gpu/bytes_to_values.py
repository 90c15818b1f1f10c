"""uint8 pixels on a device -> the batch: value of each byte, dtype and memory layout in one pass.

The values are those of a table that was computed on the CPU, so they are the CPU's to the last bit. A Triton kernel where there is
a GPU and Triton, else plain torch; both write the same.
"""

from __future__ import annotations

import functools
from types import ModuleType

import torch

from fastload import _core
from fastload.transforms import Pixelwise


@functools.cache
def kernels() -> ModuleType | None:
    """fastload's Triton kernels; None where Triton is missing. Imported when first used."""
    try:
        from fastload.gpu import triton_kernels as kernels
    except ImportError:
        return None
    return kernels


def bytes_target(channels: int) -> _core.Target:
    """The engine's form of pixels as they are: uint8, height x width x channels."""
    table = torch.arange(256, dtype=torch.uint8, device="cpu").repeat(channels, 1)
    return _core.Target(table.numpy(), element="uint8", layout="hwc")


class Finish:
    """What becomes of the bytes of one loader's batches.

    Args:
        pixelwise: of the transforms.
        dtype: of the batch.
        channels_last: the batch's memory layout.
        device: where the pixels are and the batch will be.
    """

    def __init__(
        self, pixelwise: Pixelwise, dtype: torch.dtype, *, channels_last: bool, device: torch.device | str
    ) -> None:
        self._table = pixelwise.table.to(dtype).contiguous().to(device)
        self._memory_format = torch.channels_last if channels_last else torch.contiguous_format

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self._table.shape[0]

    def __call__(self, pixels: torch.Tensor, take: torch.Tensor | None = None) -> torch.Tensor:
        """[batch, channels, height, width] from uint8 [slots, height, width, channels], contiguous.

        ``take``: int32 [batch], the slot of each sample; None: all slots in order. Runs on the current stream.
        """
        count = pixels.shape[0] if take is None else take.shape[0]
        _, height, width, channels = pixels.shape
        out = torch.empty(
            (count, channels, height, width),
            dtype=self._table.dtype,
            device=pixels.device,
            memory_format=self._memory_format,
        )
        if count == 0:
            return out
        if pixels.is_cuda and (triton := kernels()) is not None:
            triton.finish(pixels, self._table, out, take)
        else:
            finish_in_torch(pixels, self._table, out, take)
        return out


def finish_in_torch(
    pixels: torch.Tensor, table: torch.Tensor, out: torch.Tensor, take: torch.Tensor | None = None
) -> None:
    """The definition of the kernel, on any device."""
    if take is not None:
        pixels = pixels[take.long()]
    for channel in range(table.shape[0]):
        out[:, channel] = table[channel][pixels[..., channel].int()]
