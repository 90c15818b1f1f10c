"""Photos to run on: found beside the project, or made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import PIL.Image

COUNT = 400
PER_CLASS = 10
# Each photo is listed several times, so that an epoch lasts some seconds.
COPIES = 4
# So many of them are compared with Pillow's pictures.
CHECKED = 32


def find_or_make(build: Path) -> tuple[Path, str]:
    """An ImageFolder tree under ``build`` and where its photos are from.

    Taken from $FASTLOAD_PHOTOS (a flat folder of JPEGs) or a folder ``shared/data/photos`` beside the checkout; made otherwise.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "photos"
    for source in (Path(os.environ.get("FASTLOAD_PHOTOS", "")), beside):
        photos = sorted(path for path in source.glob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        if photos:
            return _link(photos, build / "photos-found"), f"found in {source.name}"
    made = _make(build / "pictures")
    return _link(made, build / "photos-made"), "made: noise and edges, of ImageNet's sizes and forms"


def copy(source: Path, root: Path, copies: int) -> Path:
    """An ImageFolder tree of ``copies`` copies of each JPEG in a flat folder: the page cache is read, and not one hot file."""
    photos = sorted(path for path in source.glob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for number, photo in enumerate(photos):
        for k in range(copies):
            file = root / f"c{number // PER_CLASS:03d}" / f"{k}_{photo.name}"
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                shutil.copyfile(photo, file)
    return root


def choose(data: Path, root: Path) -> Path:
    """``root``: an ImageFolder of photos from all over ``data``, each in a class of its own."""
    photos = sorted(path for path in data.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    shutil.rmtree(root, ignore_errors=True)
    for number, photo in enumerate(photos[:: max(1, len(photos) // CHECKED)][:CHECKED]):
        folder = root / f"{number:03d}"
        folder.mkdir(parents=True)
        shutil.copyfile(photo, folder / photo.name)
    return root


def _link(photos: list[Path], root: Path) -> Path:
    for number, photo in enumerate(photos):
        for copy in range(COPIES):
            link = root / f"c{number // PER_CLASS:03d}" / f"{copy}_{photo.name}"
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(photo.resolve())
    return root


def _make(folder: Path) -> list[Path]:
    done = folder / "done"
    if done.exists():
        return sorted(folder.glob("*.jpg"))
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        # ImageNet's mix: three quarters 4:4:4 at quality 96, the rest 4:2:0.
        fine = number % 4 != 3
        width, height = (500, 375) if number % 3 else (375, 500)
        picture = _picture(rng, width, height)
        picture.save(folder / f"{number:04d}.jpg", quality=96 if fine else 90, subsampling=0 if fine else 2)
    done.touch()
    return sorted(folder.glob("*.jpg"))


def _picture(rng: np.random.Generator, width: int, height: int) -> PIL.Image.Image:
    """Noise of all scales under a few hard edges."""
    layers = np.zeros((height, width, 3), np.float32)
    for side in (4, 16, 64, 200):
        coarse = PIL.Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        layers += np.asarray(coarse.resize((width, height), PIL.Image.Resampling.BICUBIC), np.float32) / side**0.35
    layers *= 128 / layers.mean()
    for _ in range(6):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        layers[y : y + int(rng.integers(20, 150)), x : x + int(rng.integers(20, 150))] *= rng.uniform(0.5, 1.4, 3)
    layers += rng.normal(0, 4, layers.shape)
    return PIL.Image.fromarray(np.clip(layers, 0, 255).astype(np.uint8))
