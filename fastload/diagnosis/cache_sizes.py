"""How large a data set would be in memory, as files and as pixels, and how much memory there is for it."""

from __future__ import annotations

import os
import random
import statistics
from typing import Any

from fastload.diagnosis.sample_paths import files_of
from fastload.machine import read_memory_limits

_FILES = 64
_OF_FREE_MEMORY = 0.5  # what a cache takes at most


def cache_sizes(dataset: Any) -> dict[str, float]:
    """``encoded`` and ``decoded``: bytes of all samples, 0 where files are no images. ``room``: for a cache. Empty without files.

    From the sizes of some files and the first bytes of their images.
    """
    paths = files_of(dataset, 1000)
    if not paths:
        return {}
    chosen = random.Random(0).sample(paths, min(len(paths), _FILES))
    pixels = [_pixels(path) for path in chosen]
    count = len(dataset)
    return {
        "encoded": statistics.mean(os.path.getsize(path) for path in chosen) * count,
        "decoded": 3 * statistics.mean(pixels) * count if all(pixels) else 0.0,
        "room": _OF_FREE_MEMORY * min((limit.free for limit in read_memory_limits()), default=0),
    }


def _pixels(path: str) -> int:
    """Of one image; 0 of what is none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return int(image.width * image.height)
    except Exception:  # whatever Pillow has to say of somebody's file
        return 0
