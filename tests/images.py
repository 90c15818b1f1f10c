"""JPEG folders for tests: made here, with the mix of forms that real photo sets have."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image

# (subsampling as Pillow names it, progressive)
FORMS = [(0, False), (0, False), (2, False), (1, False), (0, True), (2, True)]


def picture(seed: int, width: int, height: int) -> PIL.Image.Image:
    """Smooth colours with edges and a little noise: compresses and resizes like a photo, and no two rows are equal."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = []
    for _ in range(3):
        fx, fy, phase = rng.uniform(0.005, 0.08, 2).tolist() + [rng.uniform(0, 6)]
        plane = 128 + 90 * np.sin(fx * x + phase) * np.cos(fy * y + phase)
        plane += 40 * ((x * rng.uniform(0.2, 1) + y) % 61 < 12)
        planes.append(plane + rng.normal(0, 6, plane.shape))
    return PIL.Image.fromarray(np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8))


def jpeg_bytes(seed: int, width: int = 120, height: int = 90, *, form: int | None = None, **options) -> bytes:
    """One JPEG; forms go round with the seed."""
    subsampling, progressive = FORMS[(seed if form is None else form) % len(FORMS)]
    options = {"quality": 90, "subsampling": subsampling, "progressive": progressive, **options}
    buffer = io.BytesIO()
    picture(seed, width, height).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def write_folder(root: Path, classes: int = 3, images: int = 8, *, largest: int = 200) -> Path:
    """An ImageFolder tree of JPEGs of many sizes, every eighth of them gray."""
    rng = np.random.default_rng(classes * 1000 + images)
    for label in range(classes):
        folder = root / f"class{label}"
        folder.mkdir(parents=True)
        for number in range(images):
            seed = label * images + number
            width, height = (int(side) for side in rng.integers(24, largest, 2))
            image = picture(seed, width, height)
            if seed % 8 == 7:
                image = image.convert("L")
            subsampling, progressive = FORMS[seed % len(FORMS)]
            extra = {} if image.mode == "L" else {"subsampling": subsampling}
            image.save(folder / f"{number:03d}.jpg", quality=90, progressive=progressive, **extra)
    return root


def of_size(data, size):
    """The JPEG, with a comment that makes it so long."""
    rest = size - len(data) - 4
    assert rest >= 0
    return data[:2] + b"\xff\xfe" + (rest + 2).to_bytes(2, "big") + bytes(rest) + data[2:]


if __name__ == "__main__":
    import sys

    write_folder(Path(sys.argv[1]), classes=1, images=12)
