"""fastload's Triton kernels. Importing this module imports Triton; everything else asks for it when there is a GPU to use.

Each has a twin in plain torch that defines it: in bytes_to_values.py and resize_images.py.
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


# Of the window that one program makes, by kernels that take pixels of a row side by side and rows one after the other: with
# two-dimensional tiles Triton laid threads along the columns and exchanged weights through shared memory, six times as slow.
_ROWS = 8
_COLUMNS = 128
_ROUND = tl.constexpr(1 << 21)
_PRECISION_BITS = tl.constexpr(22)
_TAP_GROUP = tl.constexpr(4)


@triton.jit
def _as_byte(value):
    return tl.minimum(tl.maximum(value, 0), 255).to(tl.uint8)


@triton.jit
def _resample(records, taps, numbers: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr):
    record = records + tl.program_id(0) * numbers
    vertical = tl.load(record + 4) != 0
    lines = tl.load(record + 5).to(tl.int32)
    span = tl.load(record + 6).to(tl.int32)
    outputs = tl.load(record + 7).to(tl.int32)
    rows = tl.where(vertical, outputs, lines)
    columns = tl.where(vertical, lines, outputs)
    row = tl.program_id(1) * block_rows
    first = tl.program_id(2) * block_columns
    if (row < rows) & (first < columns):
        source = tl.load(record).to(tl.pointer_type(tl.uint8))
        source_stride = tl.load(record + 1).to(tl.int32)
        target = tl.load(record + 2).to(tl.pointer_type(tl.uint8))
        target_stride = tl.load(record + 3).to(tl.int32)
        count = tl.load(record + 8).to(tl.int32)
        starts = taps + tl.load(record + 9)
        weights = starts + outputs
        mirrored = tl.load(record + 10) != 0
        upside_down = tl.load(record + 11) != 0
        x = first + tl.arange(0, block_columns)
        inside = x < columns
        to_x = tl.where(mirrored, columns - 1 - x, x) * 3
        # Nothing is masked: lanes beyond the end do what the last one does, and taps beyond the span have no weight.
        x = tl.minimum(x, columns - 1)
        step = tl.where(vertical, source_stride, 3)
        last = tl.minimum(row + block_rows, rows)
        while row < last:
            output = tl.where(vertical, row, x)
            line = tl.where(vertical, x * 3, row * source_stride)
            end = (span - 1) * step + line
            at = tl.load(starts + output) * step + line
            weight_at = weights + output * count
            red = tl.full([block_columns], _ROUND, tl.int32)
            green = red
            blue = red
            tap = 0
            while tap < count:  # not a range: Triton's interpreter cannot count one with numpy 2.4
                for _ in tl.static_range(_TAP_GROUP):
                    weight = tl.load(weight_at + tap)
                    pixel = source + tl.minimum(at, end)
                    red += weight * tl.load(pixel).to(tl.int32)
                    green += weight * tl.load(pixel + 1).to(tl.int32)
                    blue += weight * tl.load(pixel + 2).to(tl.int32)
                    at += step
                    tap += 1
            to = target + tl.where(upside_down, rows - 1 - row, row) * target_stride + to_x
            tl.store(to, _as_byte(red >> _PRECISION_BITS), mask=inside)
            tl.store(to + 1, _as_byte(green >> _PRECISION_BITS), mask=inside)
            tl.store(to + 2, _as_byte(blue >> _PRECISION_BITS), mask=inside)
            row += 1


def resample(records: torch.Tensor, taps: torch.Tensor, rows: int, columns: int) -> None:
    """One pass over each of n images: records int64 [n, 12] (``resize_images.records``), of each at most rows x columns made."""
    count, numbers = records.shape
    grid = (count, triton.cdiv(rows, _ROWS), triton.cdiv(columns, _COLUMNS))
    _resample[grid](records, taps, numbers=numbers, block_rows=_ROWS, block_columns=_COLUMNS, num_warps=4)


def prepare(device: torch.device) -> None:
    """Compiles what makes pixels, by running it over nothing. Triton's compiler belongs on the caller's thread: on one of ours it
    would run beside the caller's own."""
    nothing = torch.zeros((1, 12), dtype=torch.int64, device=device)
    resample(nothing, torch.zeros(4, dtype=torch.int32, device=device), 1, 1)
