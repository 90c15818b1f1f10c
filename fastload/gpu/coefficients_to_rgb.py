"""DCT coefficients of JPEG windows -> RGB pixels, in libjpeg-turbo's integer arithmetic: not one bit differs from Pillow's.

The engine reads the codes (csrc/jpeg/coefficients.h); here the coefficients are dequantized, transformed (the accurate integer
inverse DCT, ISLOW), chroma is upsampled smoothly and everything turned into RGB. On a GPU kernels do it; plain torch defines them.

Note [16 bits]
libjpeg-turbo's SIMD code (x86) keeps what goes into a pass of the transform in 16 bits: products with the quantizers and sums of
two inputs wrap, what a pass gives saturates, and a block without AC rows takes a short cut in its first pass. Only damaged files
get there, but they have those pixels in Pillow, so they have them here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fastload.gpu import resize_images
from fastload.gpu.bytes_to_values import kernels

# Columns of Coded.planes: csrc/bindings_deferred.cpp.
SLAB, OFFSET, X, Y, COLUMNS, ROWS, WIDTH, HEIGHT = range(8)
SIDE, BLOCK = 8, 64
_BYTES = 2  # of a coefficient
_ALIGNMENT = 16
# The inverse DCT's constants in 13 bits' fixed point, and by how much each of its passes is scaled down.
_BITS = 13
FIRST_SHIFT, SECOND_SHIFT = 11, 18


@dataclass
class Coded:
    """What the engine left of one batch.

    Attributes:
        deferred: as of whole images, but of the windows: where they lie in their images no longer matters.
        windows: int64 [n, 2], x and y of each window in its image.
        planes: int64 [n, 3, 8]; zeros where there is no such plane.
    """

    deferred: resize_images.Deferred
    windows: np.ndarray
    planes: np.ndarray

    @classmethod
    def of(cls, samples: np.ndarray, passes: np.ndarray, taps: torch.Tensor, planes: np.ndarray) -> Coded:
        """From what the engine says: ``Batch.coefficients``."""
        windows = samples[:, [resize_images.X, resize_images.Y]].astype(np.int64)
        samples = samples.copy()
        lines, span, vertical = (
            passes[:, 0, column] for column in (resize_images.LINES, resize_images.SPAN, resize_images.VERTICAL)
        )
        samples[:, resize_images.WIDTH] = np.where(vertical, lines, span)
        samples[:, resize_images.HEIGHT] = np.where(vertical, span, lines)
        samples[:, [resize_images.X, resize_images.Y]] = 0
        return cls(resize_images.Deferred(samples, passes, taps, []), windows, planes)


def windows_in_torch(coded: Coded, slabs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """RGB of each window, uint8 [height, width, 3]; ``slabs``: uint8, flat."""
    made = []
    for sample, (x, y), planes in zip(coded.deferred.samples, coded.windows, coded.planes, strict=True):
        width, height = int(sample[resize_images.WIDTH]), int(sample[resize_images.HEIGHT])
        present = planes[planes[:, COLUMNS] > 0]
        numbers = [slabs[int(plane[SLAB])][int(plane[OFFSET]) :].view(torch.int16) for plane in present]
        samples = [plane_in_torch(one, int(p[ROWS]), int(p[COLUMNS])) for one, p in zip(numbers, present, strict=True)]
        components = []
        for number, (pixels, plane) in enumerate(zip(samples, present, strict=True)):
            across, down = divmod(int(sample[resize_images.SAMPLING]), 10) if number > 0 else (1, 1)
            columns = torch.arange(x, x + width, device="cpu"), across, int(plane[X]), int(plane[WIDTH])
            rows = torch.arange(y, y + height, device="cpu"), down, int(plane[Y]), int(plane[HEIGHT])
            components.append(_upsample(pixels, rows, columns))
        made.append(_to_rgb(components))
    return made


def plane_in_torch(numbers: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Samples, uint8 [8 rows, 8 columns], of int16 numbers: the quantizers, then rows x columns blocks."""
    table, blocks = numbers[:BLOCK], numbers[BLOCK : BLOCK * (1 + rows * columns)].view(-1, BLOCK)
    return (
        inverse_dct(blocks, table).view(rows, columns, SIDE, SIDE).transpose(1, 2).reshape(SIDE * rows, SIDE * columns)
    )


def inverse_dct(blocks: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Samples, uint8 [n, 8, 8], of int16 [n, 64] coefficients and their quantizers, int16 [64]: libjpeg-turbo's jidctint."""
    values = _wrap(blocks.int() * table.int()).view(-1, SIDE, SIDE)
    work = torch.stack([_scale(total, FIRST_SHIFT) for total in _pass(values.unbind(1))], 1)
    no_rows = ~blocks.view(-1, SIDE, SIDE)[:, 1:].flatten(1).any(1)  # see Note [16 bits]
    work[no_rows] = _wrap(values[no_rows, :1] << 2)
    totals = torch.stack(_pass(work.unbind(2)), 2)
    return (_scale(totals, SECOND_SHIFT).clamp(-128, 127) + 128).to(torch.uint8)


def _wrap(values: torch.Tensor) -> torch.Tensor:
    """int32, but as 16 bits hold it."""
    return (values << 16) >> 16


def _scale(total: torch.Tensor, shift: int) -> torch.Tensor:
    return ((total + (1 << (shift - 1))) >> shift).clamp(-(1 << 15), (1 << 15) - 1)


def _pass(values: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The transform along one axis, int32, before it is scaled down (Loeffler, Ligtenberg and Moschytz, 1989)."""
    in0, in1, in2, in3, in4, in5, in6, in7 = values
    even0, even1 = _wrap(in0 + in4) << _BITS, _wrap(in0 - in4) << _BITS
    even2, even3 = in2 * 4433 + in6 * -10704, in2 * 10703 + in6 * 4433
    z3, z4 = _wrap(in7 + in3), _wrap(in5 + in1)
    z3, z4 = z3 * -6436 + z4 * 9633, z3 * 9633 + z4 * 6437
    odd0 = in7 * -4927 + in1 * -7373 + z3
    odd1 = in5 * -4176 + in3 * -20995 + z4
    odd2 = in5 * -20995 + in3 * 4177 + z3
    odd3 = in7 * -7373 + in1 * 4926 + z4
    pairs = ((even0 + even3, odd3), (even1 + even2, odd2), (even1 - even2, odd1), (even0 - even3, odd0))
    return [even + odd for even, odd in pairs] + [even - odd for even, odd in reversed(pairs)]


_Axis = tuple[
    torch.Tensor, int, int, int
]  # places in the image, how many there are for a sample, the first sample, samples


def _upsample(plane: torch.Tensor, rows: _Axis, columns: _Axis) -> torch.Tensor:
    """int32 samples at these places of the image; between samples three parts of the nearer and one of the other."""
    (near_y, far_y), (near_x, far_x) = _neighbours(*rows), _neighbours(*columns)
    plane, across, down = plane.int(), columns[1], rows[1]
    if across == 1 and down == 1:
        return plane[near_y][:, near_x]
    odd = (columns[0] % 2).int()
    if down == 1:
        return (3 * plane[near_y][:, near_x] + plane[near_y][:, far_x] + 1 + odd) >> 2
    sums = 3 * plane[near_y] + plane[far_y]
    return (3 * sums[:, near_x] + sums[:, far_x] + 8 - odd) >> 4


def _neighbours(places: torch.Tensor, ratio: int, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    near = places // ratio
    far = (near + 2 * (places % 2) - 1).clamp(0, count - 1) if ratio > 1 else near
    return near - first, far - first


def _to_rgb(components: list[torch.Tensor]) -> torch.Tensor:
    if len(components) == 1:
        return components[0][:, :, None].expand(-1, -1, 3).to(torch.uint8)
    y, cb, cr = components[0], components[1] - 128, components[2] - 128
    half = 1 << 15
    red = y + ((91881 * cr + half) >> 16)
    green = y + ((-22554 * cb - 46802 * cr + half) >> 16)
    blue = y + ((116130 * cb + half) >> 16)
    return torch.stack([red, green, blue], 2).clamp(0, 255).to(torch.uint8)


# What the kernels' records hold, int64. Of a plane: its numbers, its samples, columns and number of blocks.
PLANE_RECORD = ("numbers", "samples", "columns", "blocks")
# Of a window: the planes' samples from their first one on, bytes a row of each kind, what the window and the planes are.
WINDOW_RECORD = (
    *("luminance", "blue", "red", "luminance_stride", "chroma_stride", "chroma_x", "chroma_y", "chroma_width"),
    *("chroma_height", "across", "down", "x", "y", "width", "height", "target", "luminance_x", "luminance_y"),
)


def records(coded: Coded, slabs: np.ndarray, samples: int, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """int64 [planes, 4] and [n, 18] for the kernels. ``slabs``: addresses of each; ``samples``, ``windows``: of memory for both."""
    planes = coded.planes.reshape(-1, 8)
    at = samples + _offsets(_samples(planes))[:-1]
    present = planes[:, COLUMNS] > 0
    numbers = slabs[planes[:, SLAB]] + planes[:, OFFSET]
    of_planes = np.stack([numbers, at, planes[:, COLUMNS], planes[:, COLUMNS] * planes[:, ROWS]], 1)[present]
    at = at.reshape(-1, 3)
    luminance, chroma = coded.planes[:, 0], coded.planes[:, 1]
    across, down = np.divmod(coded.deferred.samples[:, resize_images.SAMPLING].astype(np.int64), 10)  # zeros: gray
    sizes = coded.deferred.samples[:, [resize_images.WIDTH, resize_images.HEIGHT]].astype(np.int64)
    columns = [
        *(at[:, 0], at[:, 1], at[:, 2], SIDE * luminance[:, COLUMNS], SIDE * chroma[:, COLUMNS]),
        *(chroma[:, X], chroma[:, Y], chroma[:, WIDTH], chroma[:, HEIGHT]),
        *(across, down, *coded.windows.T, *sizes.T),
        *(windows + window_offsets(coded)[:-1], luminance[:, X], luminance[:, Y]),
    ]
    return of_planes, np.stack(columns, 1)


def bytes_of_samples(coded: Coded) -> int:
    """Memory for all planes' samples."""
    return int(_offsets(_samples(coded.planes.reshape(-1, 8)))[-1])


def window_offsets(coded: Coded) -> np.ndarray:
    """Where each window's pixels begin, and the end of all."""
    return _offsets(3 * coded.deferred.samples[:, [resize_images.WIDTH, resize_images.HEIGHT]].astype(np.int64).prod(1))


def _samples(planes: np.ndarray) -> np.ndarray:
    samples: np.ndarray = BLOCK * planes[:, COLUMNS] * planes[:, ROWS]
    return samples


def _offsets(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(-(-sizes // _ALIGNMENT) * _ALIGNMENT)))


def windows_on_gpu(coded: Coded, slabs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, np.ndarray]:
    """As ``windows_in_torch``, of slabs in a GPU's memory, on the current stream: all pixels, and the address of each window's."""
    device = slabs[0].device
    samples = torch.empty(bytes_of_samples(coded), dtype=torch.uint8, device=device)
    offsets = window_offsets(coded)
    windows = torch.empty(int(offsets[-1]), dtype=torch.uint8, device=device)
    addresses = np.array([slab.data_ptr() for slab in slabs], np.int64)
    planes, of_windows = records(coded, addresses, samples.data_ptr(), windows.data_ptr())
    triton = kernels()
    assert triton is not None
    triton.inverse_dct(resize_images.copied(planes, device), int(planes[:, 3].max()))
    height, width = coded.deferred.samples[:, [resize_images.HEIGHT, resize_images.WIDTH]].max(0).tolist()
    triton.to_rgb(resize_images.copied(of_windows, device), height, width)
    return windows, windows.data_ptr() + offsets[:-1]
