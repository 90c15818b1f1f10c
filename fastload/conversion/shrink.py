"""Larger images become smaller ones, with Pillow's arithmetic, in the format that they have."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import PIL.Image
import PIL.JpegImagePlugin

DEFAULT_QUALITY = 95


@dataclass(frozen=True)
class Shrink:
    """Makes an image's longer side ``max_side`` pixels, where it has more; others stay the bytes that they are.

    The pixels are those of ``image.thumbnail((max_side, max_side), LANCZOS, reducing_gap=None)``: the whole image decoded, then
    interpolated once. Images with a palette become RGB or RGBA before, those of two colours gray. EXIF (with its orientation, which
    is not applied) and colour profile are kept, as are a JPEG's mode and chroma sampling. Animations stay as they are.

    Attributes:
        max_side: in pixels.
        quality: of JPEG and WebP.
    """

    max_side: int
    quality: int = DEFAULT_QUALITY

    def __call__(self, data: Any) -> Any:
        """The bytes of the smaller image, or ``data`` itself. Raises ValueError for what does not decode."""
        try:
            with PIL.Image.open(io.BytesIO(data)) as image:
                if max(image.size) <= self.max_side or getattr(image, "n_frames", 1) > 1:
                    return data
                options = self._options(image)
                buffer = io.BytesIO()
                shrunk(image, self.max_side).save(buffer, image.format, **options)
                return buffer.getvalue()
        except Exception as error:  # Pillow's plugins raise whatever they like
            raise ValueError(f"{type(error).__name__}: {error}") from error

    def _options(self, image: PIL.Image.Image) -> dict[str, Any]:
        """Of the encoder."""
        options = {name: image.info[name] for name in ("icc_profile", "exif") if image.info.get(name)}
        if image.format in ("JPEG", "WEBP"):
            options["quality"] = self.quality
        sampling = PIL.JpegImagePlugin.get_sampling(image) if image.format == "JPEG" else -1
        if sampling >= 0:
            options["subsampling"] = sampling
        return options


def shrunk(image: PIL.Image.Image, max_side: int) -> PIL.Image.Image:
    """The pixels, ``max_side`` at the longer side."""
    if image.mode in ("1", "P", "PA"):  # which Pillow would not interpolate
        has_alpha = image.mode == "PA" or "transparency" in image.info
        smaller = image.convert("RGBA" if has_alpha else "L" if image.mode == "1" else "RGB")
    else:
        smaller = image.copy()
    smaller.thumbnail((max_side, max_side), PIL.Image.Resampling.LANCZOS, reducing_gap=None)
    return smaller
