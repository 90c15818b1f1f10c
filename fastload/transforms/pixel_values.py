"""The conversion from an image to a tensor, as a table of what each byte becomes, filled by the transforms themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms import torch_modes

Transform = Callable[[Any], Any]

_ELEMENTS = {
    torch.uint8: "uint8",
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.float64: "float64",
}
# A tensor in which every byte value occurs once a channel shows what a chain of point-wise transforms does to each.
_PROBE_SIDE = 16


@dataclass(frozen=True)
class Pixelwise:
    """What the conversion from image to tensor does to each byte.

    Attributes:
        table: [channels, 256], the value of each byte in each channel, computed by the transforms themselves.
        kind: the type of a sample: torch.Tensor, torchvision's tv_tensors.Image, or numpy.ndarray.
        interleaved: a sample's memory is height x width x channels, seen through a permuted view.
        values: the transforms that do it, as long as they are what they were.
        mean, std: of the one Normalize among them, in float32, for the arithmetic form; else empty.
        erased: of each RandomErasing the value of each channel, [channels] as in the table; None: noise.
    """

    table: torch.Tensor
    kind: type
    interleaved: bool
    values: tuple[Transform, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    erased: tuple[torch.Tensor | None, ...] = ()

    def target(self, layout: str, dtype: torch.dtype | None = None) -> _core.Target:
        """The engine's form, values cast to ``dtype`` where one is given."""
        table = self.table if dtype is None else self.table.to(dtype)
        if table.dtype not in _ELEMENTS:
            raise ValueError(f"dtype must be one of {sorted(map(str, _ELEMENTS))}, not {table.dtype}")
        bits = table.view(torch.int16) if table.dtype == torch.bfloat16 else table
        return _core.Target(
            bits.contiguous().numpy(),
            element=_ELEMENTS[table.dtype],
            layout=layout,
            mean=list(self.mean),
            std=list(self.std),
            erased=b"".join(self._bytes_erased_with(values, table.dtype) for values in self.erased),
            noise=[_ELEMENTS[self.table.dtype], _ELEMENTS[table.dtype]]
            if any(values is None for values in self.erased)
            else [],
        )

    def strides_of_one_pixel(self) -> tuple[int, ...]:
        """Of a tensor sample of one pixel, where they say nothing, and are compared all the same."""
        sample: Any = PIL.Image.new("RGB" if len(self.table) == 3 else "L", (1, 1))
        for transform in self.values:
            sample = transform(sample)
        strides: tuple[int, ...] = sample.stride()
        return strides

    def _bytes_erased_with(self, values: torch.Tensor | None, dtype: torch.dtype) -> bytes:
        given = self.table[:, 0] if values is None else values  # of noise they are not looked at
        return given.to(dtype).clone(memory_format=torch.contiguous_format).view(torch.uint8).numpy().tobytes()


# An image that stays one: the bytes as they are.
RGB_BYTES = Pixelwise(torch.arange(256, dtype=torch.uint8, device="cpu").repeat(3, 1), PIL.Image.Image, True)
GRAY_BYTES = Pixelwise(torch.arange(256, dtype=torch.uint8, device="cpu").repeat(1, 1), PIL.Image.Image, True)


def table_of(values: Sequence[Transform], *, gray: bool) -> Pixelwise | None:
    """What the point-wise transforms ``values``, one after the other, do to each byte. None: nothing, the image stays one.

    Raises:
        NotNative: no table says it.
    """
    made = _probe(values, gray=gray)
    if made is not None and torch_modes.flushes_subnormals():
        torch.set_flush_denormal(False)
        try:
            unflushed = _probe(values, gray=gray)
        finally:
            torch.set_flush_denormal(True)
        if unflushed is None or not torch.equal(*(m.table.view(torch.uint8) for m in (made, unflushed))):
            raise NotNative("its values depend on torch.set_flush_denormal")
    return made


def _probe(values: Sequence[Transform], *, gray: bool) -> Pixelwise | None:
    """Runs the conversion on an image that holds every byte value. None where the image comes out as it went in."""
    levels = np.arange(256, dtype=np.uint8).reshape(_PROBE_SIDE, _PROBE_SIDE)
    image = PIL.Image.fromarray(levels if gray else np.repeat(levels[:, :, None], 3, axis=2))
    probe: Any = image
    try:
        for transform in values:
            probe = transform(probe)
    except Exception as error:  # the same error will come from the tail, with the sample that it belongs to
        raise NotNative(f"it fails: {error}") from error
    if probe is image:
        return None
    channels, kind = 1 if gray else 3, type(probe)
    if kind is np.ndarray:
        probe = torch.from_numpy(probe)
    if not isinstance(probe, torch.Tensor) or probe.shape != (channels, _PROBE_SIDE, _PROBE_SIDE):
        raise NotNative("it does not give a tensor of the image's shape")
    if probe.device.type != "cpu":
        raise NotNative(f"it gives a tensor on {probe.device}")
    if probe.dtype not in _ELEMENTS:
        raise NotNative(f"it gives {probe.dtype}")
    plain = probe.as_subclass(torch.Tensor)
    normalizes = [t for t in values if isinstance(t, (v1.Normalize, v2.Normalize))]
    moments: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    if len(normalizes) == 1 and not gray:
        mean, std = (
            torch.as_tensor(m, dtype=torch.float32, device="cpu").flatten()
            for m in (normalizes[0].mean, normalizes[0].std)
        )
        moments = tuple(mean.expand(3).tolist()), tuple(std.expand(3).tolist())
    return Pixelwise(
        plain.reshape(channels, 256).contiguous().clone(),
        kind,
        plain.stride() == (1, channels * _PROBE_SIDE, channels),
        tuple(values),
        *moments,
    )
