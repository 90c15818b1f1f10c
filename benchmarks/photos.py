"""Photos to run on: found beside the project, or made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fastload.diagnosis import make_photos

COUNT = 400
PER_CLASS = 10
# Each photo is listed several times, so that an epoch lasts some seconds.
COPIES = 4
# So many of them are compared with Pillow's pictures.
CHECKED = 32


def find_or_make(build: Path, given: Path | None = None) -> tuple[Path, str]:
    """An ImageFolder tree under ``build`` and where its photos are from.

    Taken from ``given`` or $FASTLOAD_PHOTOS (a flat folder of JPEGs), or a folder ``shared/data/photos`` beside the checkout;
    made otherwise.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "photos"
    for source in (given or Path(os.environ.get("FASTLOAD_PHOTOS", "")), beside):
        photos = sorted(path for path in source.glob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        if photos:
            return _link(photos, build / "photos-found"), f"found in {source.name}"
    made = make_photos(build / "pictures", COUNT)
    return _link(sorted(made.glob("*/*.jpg")), build / "photos-made"), "made"


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
    links = {
        root / f"c{number // PER_CLASS:03d}" / f"{copy}_{photo.name}": photo.resolve()
        for number, photo in enumerate(photos)
        for copy in range(COPIES)
    }
    if {
        link: link.resolve() for link in root.glob("*/*") if link.is_symlink()
    } != links:  # of other photos, or cut short
        shutil.rmtree(root, ignore_errors=True)
        for link, photo in links.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(photo)
    return root
