"""Decoding alone, in a bare C++ loop with torchvision's windows: what no loader around the same libjpeg can beat."""

from __future__ import annotations

import subprocess
from pathlib import Path

import PIL.Image
import torch
import torchvision.transforms as T
from torchvision.datasets import ImageFolder

from benchmarks.arms import SIDE


class Ceiling:
    """Compiled on the spot; every run reads the files first and times only the decoding."""

    def __init__(self, data: Path, threads: int, build: Path) -> None:
        build.mkdir(parents=True, exist_ok=True)
        self._program = build / "ceiling"
        source = Path(__file__).with_name("ceiling.cpp")
        subprocess.run(
            ["c++", "-std=c++17", "-O3", str(source), "-ljpeg", "-lpthread", "-o", str(self._program)], check=True
        )
        self._threads = threads
        self._windows = _windows(data)

    def images_per_second(self, what: str = "window") -> float:
        """Of one pass over all files; ``what`` is "window" or "full"."""
        command = [str(self._program), str(self._threads), "2", what]
        answer = subprocess.run(command, input=self._windows, capture_output=True, text=True, check=True).stdout
        return float(answer.split()[-1])


def _windows(data: Path) -> str:
    torch.manual_seed(0)
    crop = T.RandomResizedCrop(SIDE)
    lines = []
    for path, _ in ImageFolder(data).samples:
        with PIL.Image.open(path) as image:
            top, left, height, width = crop.get_params(image, crop.scale, crop.ratio)
        lines.append(f"{left} {top} {width} {height} {path}\n")
    return "".join(lines)
