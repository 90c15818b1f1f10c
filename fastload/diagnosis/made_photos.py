"""Photos to try a loader on where there are none: pictures that cost what photos cost, of their sizes and forms."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageDraw

CLASSES = 8
# Width and height; most of ImageNet's are these two.
_SIZES = ((500, 375), (375, 500), (500, 375), (500, 333), (500, 500), (640, 480), (500, 375), (800, 600))
# Subsampling, as Pillow numbers it (0: 4:4:4, 1: 4:2:2, 2: 4:2:0), and quality. Of ImageNet's three quarters are as the first.
_FORMS = ((0, 96), (0, 96), (0, 96), (2, 90), (0, 96), (0, 96), (0, 96), (1, 90))
_THINGS = 16
_GRAIN = 0.05  # of all light


def make_photos(root: Path, count: int = 96) -> Path:
    """Writes an ImageFolder tree of JPEGs, the same ones every time: ``root``.

    Args:
        root: a folder, which may be there.
        count: of all photos. Every sixteenth is gray, every thirty-second progressive.
    """
    for number in range(count):
        folder = root / f"class{number % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        photo = picture(number, *_SIZES[number // 3 % len(_SIZES)])
        subsampling, quality = _FORMS[number % len(_FORMS)]
        options: dict[str, Any] = {"quality": quality, "progressive": number % 32 == 9}
        if number % 16 == 6:
            photo = photo.convert("L")
        else:
            options["subsampling"] = subsampling
        photo.save(folder / f"{number:04d}.jpg", **options)
    return root


def picture(seed: int, width: int, height: int) -> Image.Image:
    """A scene in RGB: things with edges before a ground of soft colours, all with a surface of many scales, and grain."""
    rng = random.Random(seed)
    scene = _cloud(rng, "RGB", 4, width, height)
    draw = ImageDraw.Draw(scene)
    for _ in range(_THINGS):
        draw.polygon(_outline(rng, width, height), fill=tuple(rng.randrange(20, 236) for _ in range(3)))
    surface = _cloud(rng, "L", 9, width, height)
    for side in (24, 60, 150):
        surface = Image.blend(surface, _cloud(rng, "L", side, width, height), 0.35)
    surface = Image.blend(surface, Image.frombytes("L", (width, height), rng.randbytes(width * height)), _GRAIN)
    light, *colours = scene.convert("YCbCr").split()
    light = ImageChops.add(light, surface, offset=-128)
    return Image.merge("YCbCr", (light, *colours)).convert("RGB")


def _cloud(rng: random.Random, mode: str, side: int, width: int, height: int) -> Image.Image:
    """Soft noise of one scale: ``side`` hills beside each other."""
    small = Image.frombytes(mode, (side, side), rng.randbytes(len(mode) * side * side))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def _outline(rng: random.Random, width: int, height: int) -> list[tuple[float, float]]:
    """Of a thing that is somewhere, round or with corners."""
    corners = rng.choice((3, 4, 5, 40))
    x, y, size, turn = rng.random() * width, rng.random() * height, rng.uniform(0.04, 0.3) * width, rng.random()
    angles = [2 * math.pi * (turn + corner / corners) for corner in range(corners)]
    return [(x + size * math.cos(angle), y + size * math.sin(angle)) for angle in angles]
