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


_RESAMPLE_ROWS = 8
_RESAMPLE_BYTES = 128  # of a row
_ROUND = tl.constexpr(1 << 21)
_PRECISION_BITS = tl.constexpr(22)


@triton.jit
def _resample(records, taps, numbers: tl.constexpr, block_rows: tl.constexpr, block_bytes: tl.constexpr):
    record = records + tl.program_id(0) * numbers
    source = tl.load(record).to(tl.pointer_type(tl.uint8))
    source_stride = tl.load(record + 1)
    target = tl.load(record + 2).to(tl.pointer_type(tl.uint8))
    target_stride = tl.load(record + 3)
    vertical = tl.load(record + 4) != 0
    lines = tl.load(record + 5).to(tl.int32)
    span = tl.load(record + 6).to(tl.int32)
    outputs = tl.load(record + 7).to(tl.int32)
    count = tl.load(record + 8).to(tl.int32)
    starts = taps + tl.load(record + 9)
    weights = starts + outputs
    rows = tl.where(vertical, outputs, lines)
    columns = tl.where(vertical, lines, outputs)
    y = tl.program_id(1) * block_rows + tl.arange(0, block_rows)
    at = tl.program_id(2) * block_bytes + tl.arange(0, block_bytes)
    x = at // 3
    channel = at % 3
    inside_y = y < rows
    inside_x = x < columns
    inside = inside_y[:, None] & inside_x[None, :]
    total = tl.full([block_rows, block_bytes], _ROUND, tl.int32)
    tap = 0
    if vertical:
        row = tl.load(starts + y, mask=inside_y, other=0)
        while tap < count:  # not a range: Triton's interpreter cannot count one with numpy 2.4
            of_row = tl.load(weights + y * count + tap, mask=inside_y, other=0)
            bytes_below = source + row.to(tl.int64)[:, None] * source_stride + at[None, :]
            total += tl.load(bytes_below, mask=inside & (row < span)[:, None], other=0).to(tl.int32) * of_row[:, None]
            row += 1
            tap += 1
    else:
        column = tl.load(starts + x, mask=inside_x, other=0)
        while tap < count:
            of_column = tl.load(weights + x * count + tap, mask=inside_x, other=0)
            bytes_beside = source + y.to(tl.int64)[:, None] * source_stride + (column * 3 + channel)[None, :]
            total += (
                tl.load(bytes_beside, mask=inside & (column < span)[None, :], other=0).to(tl.int32) * of_column[None, :]
            )
            column += 1
            tap += 1
    value = tl.minimum(tl.maximum(total >> _PRECISION_BITS, 0), 255).to(tl.uint8)
    to_y = tl.where(tl.load(record + 11) != 0, rows - 1 - y, y)
    to_x = tl.where(tl.load(record + 10) != 0, columns - 1 - x, x)
    tl.store(target + to_y.to(tl.int64)[:, None] * target_stride + (to_x * 3 + channel)[None, :], value, mask=inside)


def resample(records: torch.Tensor, taps: torch.Tensor, rows: int, columns: int) -> None:
    """One pass over each of n images: records int64 [n, 12] (see ``ragged.records``), of each at most rows x columns made."""
    count, numbers = records.shape
    grid = (count, triton.cdiv(rows, _RESAMPLE_ROWS), triton.cdiv(3 * columns, _RESAMPLE_BYTES))
    _resample[grid](records, taps, numbers=numbers, block_rows=_RESAMPLE_ROWS, block_bytes=_RESAMPLE_BYTES)
