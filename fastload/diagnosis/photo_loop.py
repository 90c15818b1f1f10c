"""``python -m fastload.diagnosis.photo_loop DIR RECIPE BATCH MOST``: takes batches of the photos in a folder, without end.

The script of ``fastload tune --data``: it copies each batch to the GPU, if there is one, and computes nothing.
"""

from __future__ import annotations

import sys

import torch
from torch.utils.data import DataLoader

from fastload.diagnosis.side_by_side import data_sets


def main(folder: str, recipe: str, batch_size: int, most: int) -> None:
    """For ever."""
    _, images, _ = data_sets(folder, recipe, most)
    loader = DataLoader(images, batch_size, shuffle=True)
    while True:
        for batch in loader:
            for tensor in batch if isinstance(batch, (list, tuple)) else [batch]:
                if torch.cuda.is_available():
                    tensor.to("cuda", non_blocking=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
