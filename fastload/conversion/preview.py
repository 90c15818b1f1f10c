"""A contact sheet: some images of a data set with their classes, as the loader gives them."""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import torch
import torchvision.transforms as T

from fastload.datasets import sample_name
from fastload.engine import Items, file_dataset_of, load_sample, require_file

_CELL = 224  # pixels, of a cell's sides
_TEXT = 16  # of the line below
_GAP = 4
_PAPER, _INK, _BAD = (255, 255, 255), (0, 0, 0), (170, 0, 0)
_LETTERS = 36  # that a line holds
# As torchvision's reference scripts train and evaluate on ImageNet, up to the tensor.
TRANSFORMS = {
    "none": None,
    "train": lambda: T.Compose([T.RandomResizedCrop(_CELL), T.RandomHorizontalFlip(), T.PILToTensor()]),
    "eval": lambda: T.Compose([T.Resize(256), T.CenterCrop(_CELL), T.PILToTensor()]),
}


def write_preview(
    dataset: Any, out: str | os.PathLike[str], *, images: int = 25, transform: str = "none", seed: int = 0
) -> int:
    """Writes a PNG of images spread evenly over a map-style data set; how many.

    Args:
        dataset: of this package, or a torchvision folder; its own transform takes no part.
        out: the file.
        images: how many at the most.
        transform: "none": whole images, made smaller to fit; "train": RandomResizedCrop(224) and a random flip; "eval":
            Resize(256) and CenterCrop(224), made by the loader's engine.
        seed: of "train".

    Where an image cannot be read its cell says why. Raises ValueError for a data set without samples, and OSError.
    """
    count = min(images, len(dataset.samples))
    if count < 1:
        raise ValueError("there is nothing to show: no samples")
    rows = np.linspace(0, len(dataset.samples) - 1, count).round().astype(int).tolist()
    cells = _cells(dataset, rows, TRANSFORMS[transform], seed)
    across = int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    sheet = PIL.Image.new("RGB", (across * (_CELL + _GAP) + _GAP, down * (_CELL + _TEXT + _GAP) + _GAP), _PAPER)
    draw = PIL.ImageDraw.Draw(sheet)
    for number, (row, cell) in enumerate(zip(rows, cells, strict=True)):
        left, top = _GAP + number % across * (_CELL + _GAP), _GAP + number // across * (_CELL + _TEXT + _GAP)
        if isinstance(cell, str):
            lines = "\n".join(cell[at : at + _LETTERS] for at in range(0, min(len(cell), 10 * _LETTERS), _LETTERS))
            draw.rectangle((left, top, left + _CELL - 1, top + _CELL - 1), outline=_BAD)
            draw.multiline_text((left + 4, top + 4), _drawable(lines), fill=_BAD)
        else:
            sheet.paste(cell, (left + (_CELL - cell.width) // 2, top + (_CELL - cell.height) // 2))
        draw.text((left, top + _CELL + 1), _drawable(_caption(dataset, row)), fill=_INK)
    sheet.save(out, "PNG")
    return count


def _cells(dataset: Any, rows: list[int], transform: Any, seed: int) -> list[PIL.Image.Image | str]:
    """Of each row its image, or why there is none."""
    cells: list[PIL.Image.Image | str] = []
    files = file_dataset_of(dataset)
    made = None if transform is None else _Shown(dataset, transform())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for row in rows:
            try:
                source = files.sample(row)[0]
                require_file(source)
                if made is None:
                    image = load_sample(source)
                    image.thumbnail((_CELL, _CELL))
                else:
                    image = made.image(row)
            except Exception as error:  # whatever opening, decoding or a transform raises
                cells.append(f"{type(error).__name__}: {error}")
            else:
                cells.append(image)
    return cells


class _Shown:
    """A data set with another transform, for its images one by one, as a loader makes them."""

    def __init__(self, dataset: Any, transform: Any) -> None:
        shown = copy.copy(dataset)
        shown.transform, shown.target_transform = transform, None
        self._files = file_dataset_of(shown)
        self._items = Items()

    def image(self, row: int) -> PIL.Image.Image:
        item = self._items.item(self._files, row)
        tensor = item[0] if self._files.has_targets else item
        return PIL.Image.fromarray(tensor.permute(1, 2, 0).numpy())


def _caption(dataset: Any, row: int) -> str:
    target = dataset.samples[row][1] if getattr(dataset, "has_targets", True) else None
    names = getattr(dataset, "classes", [])
    if isinstance(target, int) and 0 <= target < len(names):
        text = names[target]
    else:
        text = sample_name(dataset, row) if target is None else str(target)
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


def _drawable(text: str) -> str:
    """In the letters that Pillow's own font has."""
    return text.replace("…", "...").encode("latin-1", "replace").decode("latin-1")
