"""Whether the installed build of Pillow rounds its floats as the engine does: a compiler may fuse or reorder such arithmetic."""

from __future__ import annotations

import functools


@functools.cache
def pillow_blurs_as_the_engine() -> bool:
    """Asked once: the widths of its boxes are made of floats."""
    import numpy as np  # whoever looks at the machine alone has no use for these
    import PIL.Image
    from PIL.ImageFilter import GaussianBlur

    from fastload import _core

    pixels = np.random.default_rng(0).integers(0, 256, (19, 23, 3), dtype=np.uint8)
    image = PIL.Image.fromarray(pixels)
    return all(
        np.array_equal(_core.box_blur(pixels, radius, radius), np.asarray(image.filter(GaussianBlur(radius))))
        for radius in (0.1, 0.37, 0.9, 1.3, 1.99, 3.1, 7.7)
    )
