"""torchcodec's decoder in torch's own loader: what torchvision's image decoding is moving to. It turns by EXIF, Pillow does not."""

from __future__ import annotations

import torch
from torchcodec.decoders import decode_image

from benchmarks.arms import stock_v2


def load(path: str) -> torch.Tensor:
    return decode_image(path)


class Arm(stock_v2.Arm):
    """As ``stock_v2`` with another decoder."""

    LOAD = staticmethod(load)
