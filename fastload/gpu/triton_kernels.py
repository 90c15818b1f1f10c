"""fastload's Triton kernels. Importing this module imports Triton; everything else asks for it when there is a GPU to use.

Each has a twin in plain torch that defines it: in bytes_to_values.py, resize_images.py and coefficients_to_rgb.py.
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


_DCT_BLOCKS = 64
_TABLE = tl.constexpr(64)
# By how much each pass of the transform is scaled down, and half of it for rounding.
_FIRST_SHIFT = tl.constexpr(11)
_FIRST_HALF = tl.constexpr(1 << 10)
_SECOND_SHIFT = tl.constexpr(18)
_SECOND_HALF = tl.constexpr(1 << 17)


@triton.jit
def _wrapped(value):
    return (value << 16) >> 16


@triton.jit
def _saturated(value):
    return tl.minimum(tl.maximum(value, -32768), 32767)


@triton.jit
def _dct_pass(in0, in1, in2, in3, in4, in5, in6, in7):
    even0 = _wrapped(in0 + in4) << 13
    even1 = _wrapped(in0 - in4) << 13
    even2 = in2 * 4433 - in6 * 10704
    even3 = in2 * 10703 + in6 * 4433
    sum3 = _wrapped(in7 + in3)
    sum4 = _wrapped(in5 + in1)
    z3 = sum4 * 9633 - sum3 * 6436
    z4 = sum3 * 9633 + sum4 * 6437
    odd0 = z3 - in7 * 4927 - in1 * 7373
    odd1 = z4 - in5 * 4176 - in3 * 20995
    odd2 = z3 - in5 * 20995 + in3 * 4177
    odd3 = z4 - in7 * 7373 + in1 * 4926
    zero = even0 + even3
    one = even1 + even2
    two = even1 - even2
    three = even0 - even3
    return (zero + odd3, one + odd2, two + odd1, three + odd0, three - odd0, two - odd1, one - odd2, zero - odd3)


@triton.jit
def _input_row(source, row: tl.constexpr, block, column, mask):
    """Coefficients [blocks, 8] of one row of each block."""
    at = source + _TABLE + block[:, None] * _TABLE + row * 8 + column[None, :]
    return tl.load(at, mask=mask, other=0).to(tl.int32)


@triton.jit
def _dequantized(source, row: tl.constexpr, coefficients, column):
    return _wrapped(coefficients * tl.load(source + row * 8 + column).to(tl.int32)[None, :])


@triton.jit
def _output_row(total, short_cut, takes_it, blocks: tl.constexpr):
    """Samples [blocks, 8] of one row of each block, from what the first pass gave."""
    work = tl.where(takes_it, short_cut, _saturated((total + _FIRST_HALF) >> _FIRST_SHIFT))
    even, odd = tl.split(tl.reshape(work, [blocks, 4, 2]))
    in04, in26 = tl.split(tl.reshape(even, [blocks, 2, 2]))
    in15, in37 = tl.split(tl.reshape(odd, [blocks, 2, 2]))
    in0, in4 = tl.split(in04)
    in2, in6 = tl.split(in26)
    in1, in5 = tl.split(in15)
    in3, in7 = tl.split(in37)
    out0, out1, out2, out3, out4, out5, out6, out7 = _dct_pass(in0, in1, in2, in3, in4, in5, in6, in7)
    even = tl.reshape(tl.join(tl.join(out0, out4), tl.join(out2, out6)), [blocks, 4])
    odd = tl.reshape(tl.join(tl.join(out1, out5), tl.join(out3, out7)), [blocks, 4])
    sample = (tl.reshape(tl.join(even, odd), [blocks, 8]) + _SECOND_HALF) >> _SECOND_SHIFT
    return (tl.minimum(tl.maximum(sample, -128), 127) + 128).to(tl.uint8)


@triton.jit
def _inverse_dct(records, numbers: tl.constexpr, blocks: tl.constexpr):
    record = records + tl.program_id(0) * numbers
    count = tl.load(record + 3).to(tl.int32)
    first = tl.program_id(1) * blocks
    if first < count:
        source = tl.load(record).to(tl.pointer_type(tl.int16))
        target = tl.load(record + 1).to(tl.pointer_type(tl.uint8))
        columns = tl.load(record + 2).to(tl.int32)
        block = first + tl.arange(0, blocks)
        column = tl.arange(0, 8)
        mask = (block < count)[:, None]
        row0 = _input_row(source, 0, block, column, mask)
        row1 = _input_row(source, 1, block, column, mask)
        row2 = _input_row(source, 2, block, column, mask)
        row3 = _input_row(source, 3, block, column, mask)
        row4 = _input_row(source, 4, block, column, mask)
        row5 = _input_row(source, 5, block, column, mask)
        row6 = _input_row(source, 6, block, column, mask)
        row7 = _input_row(source, 7, block, column, mask)
        some = (row1 | row2 | row3 | row4 | row5 | row6 | row7) != 0
        short = tl.max(some.to(tl.int32), axis=1)[:, None] == 0
        row0 = _dequantized(source, 0, row0, column)
        dc = _wrapped(row0 << 2)
        row1 = _dequantized(source, 1, row1, column)
        row2 = _dequantized(source, 2, row2, column)
        row3 = _dequantized(source, 3, row3, column)
        row4 = _dequantized(source, 4, row4, column)
        row5 = _dequantized(source, 5, row5, column)
        row6 = _dequantized(source, 6, row6, column)
        row7 = _dequantized(source, 7, row7, column)
        row0, row1, row2, row3, row4, row5, row6, row7 = _dct_pass(row0, row1, row2, row3, row4, row5, row6, row7)
        stride = 8 * columns
        at = target + ((block // columns) * 8 * stride + (block % columns) * 8)[:, None] + column[None, :]
        tl.store(at, _output_row(row0, dc, short, blocks), mask=mask)
        tl.store(at + stride, _output_row(row1, dc, short, blocks), mask=mask)
        tl.store(at + 2 * stride, _output_row(row2, dc, short, blocks), mask=mask)
        tl.store(at + 3 * stride, _output_row(row3, dc, short, blocks), mask=mask)
        tl.store(at + 4 * stride, _output_row(row4, dc, short, blocks), mask=mask)
        tl.store(at + 5 * stride, _output_row(row5, dc, short, blocks), mask=mask)
        tl.store(at + 6 * stride, _output_row(row6, dc, short, blocks), mask=mask)
        tl.store(at + 7 * stride, _output_row(row7, dc, short, blocks), mask=mask)


def inverse_dct(records: torch.Tensor, most_blocks: int) -> None:
    """Samples of planes: records int64 [n, 4] (``coefficients_to_rgb.PLANE_RECORD``), of each at most so many blocks."""
    count, numbers = records.shape
    grid = (count, triton.cdiv(most_blocks, _DCT_BLOCKS))
    _inverse_dct[grid](records, numbers=numbers, blocks=_DCT_BLOCKS, num_warps=2)


_HALF = tl.constexpr(1 << 15)


@triton.jit
def _upsampled(plane, near_row, far_row, near_x, far_x, across, down, bias, inside):
    """Chroma between its samples: three parts of the nearer and one of the other, along each axis that is halved; less 128."""
    value = tl.load(plane + near_row + near_x, mask=inside, other=128).to(tl.int32)
    if across == 2:
        far = tl.load(plane + near_row + far_x, mask=inside, other=0).to(tl.int32)
        if down == 2:
            value = 3 * value + tl.load(plane + far_row + near_x, mask=inside, other=0).to(tl.int32)
            far = 3 * far + tl.load(plane + far_row + far_x, mask=inside, other=0).to(tl.int32)
        value = (3 * value + far + bias) >> (2 * down)
    return value - 128


@triton.jit
def _to_rgb(records, numbers: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr):
    record = records + tl.program_id(0) * numbers
    width = tl.load(record + 13).to(tl.int32)
    height = tl.load(record + 14).to(tl.int32)
    row = tl.program_id(1) * block_rows
    first = tl.program_id(2) * block_columns
    if (row < height) & (first < width):
        luminance = tl.load(record).to(tl.pointer_type(tl.uint8))
        blue_plane = tl.load(record + 1).to(tl.pointer_type(tl.uint8))
        red_plane = tl.load(record + 2).to(tl.pointer_type(tl.uint8))
        stride = tl.load(record + 3).to(tl.int32)
        chroma_stride = tl.load(record + 4).to(tl.int32)
        chroma_x = tl.load(record + 5).to(tl.int32)
        chroma_y = tl.load(record + 6).to(tl.int32)
        chroma_width = tl.load(record + 7).to(tl.int32)
        chroma_height = tl.load(record + 8).to(tl.int32)
        across = tl.load(record + 9).to(tl.int32)
        down = tl.load(record + 10).to(tl.int32)
        window_x = tl.load(record + 11).to(tl.int32)
        window_y = tl.load(record + 12).to(tl.int32)
        target = tl.load(record + 15).to(tl.pointer_type(tl.uint8))
        luminance_x = tl.load(record + 16).to(tl.int32)
        luminance_y = tl.load(record + 17).to(tl.int32)
        column = first + tl.arange(0, block_columns)
        inside = column < width
        coloured = inside & (across > 0)
        x = window_x + column
        odd = x & 1
        bias = tl.where(down == 2, 8 - odd, 1 + odd)
        near_x = tl.where(across == 2, x >> 1, x)
        far_x = tl.minimum(tl.maximum(near_x + 2 * odd - 1, 0), chroma_width - 1) - chroma_x
        near_x -= chroma_x
        last = tl.minimum(row + block_rows, height)
        while row < last:
            y = window_y + row
            near_y = tl.where(down == 2, y >> 1, y)
            far_y = tl.minimum(tl.maximum(near_y + 2 * (y & 1) - 1, 0), chroma_height - 1)
            near_row = (near_y - chroma_y) * chroma_stride
            far_row = (far_y - chroma_y) * chroma_stride
            at = (y - luminance_y) * stride + (x - luminance_x)
            light = tl.load(luminance + at, mask=inside, other=0).to(tl.int32)
            blue = _upsampled(blue_plane, near_row, far_row, near_x, far_x, across, down, bias, coloured)
            red = _upsampled(red_plane, near_row, far_row, near_x, far_x, across, down, bias, coloured)
            to = target + (row * width + column) * 3
            tl.store(to, _as_byte(light + ((91881 * red + _HALF) >> 16)), mask=inside)
            tl.store(to + 1, _as_byte(light + ((_HALF - 22554 * blue - 46802 * red) >> 16)), mask=inside)
            tl.store(to + 2, _as_byte(light + ((116130 * blue + _HALF) >> 16)), mask=inside)
            row += 1


def to_rgb(records: torch.Tensor, rows: int, columns: int) -> None:
    """Pixels of windows: records int64 [n, 18] (``coefficients_to_rgb.WINDOW_RECORD``), of each at most rows x columns."""
    count, numbers = records.shape
    grid = (count, triton.cdiv(rows, _ROWS), triton.cdiv(columns, _COLUMNS))
    _to_rgb[grid](records, numbers=numbers, block_rows=_ROWS, block_columns=_COLUMNS, num_warps=4)


def prepare(device: torch.device) -> None:
    """Compiles what makes pixels, by running it over nothing. Triton's compiler belongs on the caller's thread: on one of ours it
    would run beside the caller's own."""
    nothing = torch.zeros((1, 32), dtype=torch.int64, device=device)
    inverse_dct(nothing[:, :4].contiguous(), 1)
    to_rgb(nothing[:, :18].contiguous(), 1, 1)
    resample(nothing[:, :12].contiguous(), torch.zeros(4, dtype=torch.int32, device=device), 1, 1)
