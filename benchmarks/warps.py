"""Turns and warps beside torchvision's: ``python -m benchmarks.warps --photos DIR``.

The CPU time of each transform for one photo of 224 x 224 pixels, on one thread, as ``benchmarks.colours`` takes it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import torchvision.transforms as T
import torchvision.transforms.v2 as v2
from rich.console import Console

from benchmarks import colours, command_line

NEAREST, BILINEAR, BICUBIC = T.InterpolationMode.NEAREST, T.InterpolationMode.BILINEAR, T.InterpolationMode.BICUBIC
TRANSFORMS = {
    **{f"RandomRotation(30, {mode.name})": T.RandomRotation(30, mode) for mode in (NEAREST, BILINEAR, BICUBIC)},
    "v2.RandomRotation(30, BILINEAR)": v2.RandomRotation(30, BILINEAR),
    **{
        f"RandomAffine(10, (0.1, 0.1), (0.8, 1.2), 10, {mode.name})": T.RandomAffine(
            10, (0.1, 0.1), (0.8, 1.2), 10, mode
        )
        for mode in (NEAREST, BILINEAR, BICUBIC)
    },
    "RandomAffine(0, (0.3, 0.3))": T.RandomAffine(0, (0.3, 0.3)),
    **{f"RandomPerspective(0.5, 1, {mode.name})": T.RandomPerspective(0.5, 1, mode) for mode in (NEAREST, BILINEAR)},
}


def main() -> None:
    parser = command_line.photos_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="transforms whose name has this in it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    root = command_line.tree_of(options)
    with tempfile.TemporaryDirectory() as folder:
        count = colours.cropped(root, Path(folder))
        Console(width=110).print(colours.alone(Path(folder), count, options.rounds, options.only, TRANSFORMS))


if __name__ == "__main__":
    main()
