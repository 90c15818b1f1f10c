"""The files that scenarios read, written once into a folder."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

_MIB = 2**20
_BUILD = (
    Path(__file__).resolve().parents[2] / "build"
)  # Git ignores it: what a killed run leaves there is not committed


@contextlib.contextmanager
def scenario_files(data: Path | None) -> Iterator[Path]:
    """An absolute path of a folder with the files: ``data``, where they stay; None: one of the checkout's, which goes."""
    with contextlib.ExitStack() as stack:
        if data is None:
            _BUILD.mkdir(exist_ok=True)
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="diagnosis-", dir=_BUILD)))
        root = data.absolute()
        write_files(root)
        yield root


def write_files(root: Path) -> None:
    """photos, more_photos, one_large (a huge photo among them), small, large and many_large, each a folder below ``root``."""
    random = np.random.default_rng(0)
    _photos(root / "photos", random, 208)
    _photos(root / "more_photos", random, 416)
    if not (root / "one_large").exists():
        _photos(root / "one_large", random, 208)
        huge = Image.effect_noise((9000, 7000), 20).convert("RGB")
        huge.save(root / "one_large" / "b" / "huge.jpg", quality=80)
    _bytes(root / "small", random, 200, 16 * 1024)
    _bytes(root / "large", random, 80, _MIB)
    _bytes(root / "many_large", random, 100, 4 * _MIB)


def _photos(folder: Path, random: np.random.Generator, count: int) -> None:
    if folder.exists():
        return
    for name in "ab":
        (folder / name).mkdir(parents=True)
    for index in range(count):
        coarse = random.integers(0, 255, (50, 75, 3), np.uint8)
        photo = Image.fromarray(coarse).resize((1200, 800), Image.Resampling.BICUBIC)
        photo.save(folder / "ab"[index % 2] / f"{index:04}.jpg", quality=92)


def _bytes(folder: Path, random: np.random.Generator, count: int, size: int) -> None:
    if folder.exists():
        return
    folder.mkdir(parents=True)
    for index in range(count):
        (folder / f"{index:04}.bin").write_bytes(random.bytes(size))
