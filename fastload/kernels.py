"""fastload's Triton kernels. Importing this module imports Triton; everything else asks for it when there is a GPU to use.

Each has a twin in plain torch that defines it: ``finish.finish_in_torch`` and ``ragged.pass_in_torch``.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_FINISH_BLOCK = 1024


@triton.jit
def _finish(
    pixels,
    table,
    out,
    take,
    plane,
    channels: tl.constexpr,
    planar: tl.constexpr,
    takes: tl.constexpr,
    block: tl.constexpr,
):
    sample = tl.program_id(0).to(tl.int64)
    slot = tl.load(take + sample).to(tl.int64) if takes else sample
    source = pixels + slot * plane * channels
    target = out + sample * plane * channels
    at = tl.program_id(1) * block + tl.arange(0, block)
    if planar:
        inside = at < plane
        for channel in tl.static_range(channels):
            byte = tl.load(source + at * channels + channel, mask=inside, other=0).to(tl.int32)
            tl.store(target + channel * plane + at, tl.load(table + channel * 256 + byte), mask=inside)
    else:
        inside = at < plane * channels
        byte = tl.load(source + at, mask=inside, other=0).to(tl.int32)
        tl.store(target + at, tl.load(table + at % channels * 256 + byte), mask=inside)


def finish(pixels: torch.Tensor, table: torch.Tensor, out: torch.Tensor, take: torch.Tensor | None) -> None:
    """Fills ``out`` [batch, channels, height, width], contiguous or channels_last; see ``Finish``."""
    count, channels, height, width = out.shape
    planar = out.is_contiguous()
    elements = height * width * (1 if planar else channels)
    grid = (count, triton.cdiv(elements, _FINISH_BLOCK))
    _finish[grid](
        pixels,
        table,
        out,
        pixels if take is None else take,
        height * width,
        channels=channels,
        planar=planar,
        takes=take is not None,
        block=_FINISH_BLOCK,
    )
