"""FFCV: its own file, written once from the same photos: other pixels, of which some are already shrunk, decoded or both.

No wheel: it builds from source against OpenCV and TurboJPEG (``libopencv-dev``, ``libturbojpeg0-dev``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.decoders import CenterCropRGBImageDecoder, IntDecoder, RandomResizedCropRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import NormalizeImage, RandomHorizontalFlip, Squeeze, ToTensor, ToTorchImage
from ffcv.writer import DatasetWriter
from torchvision.datasets import ImageFolder

from benchmarks.arms import MEAN, RESIZED, SIDE, STD, Options

# A photo of 20 megapixels, raw, must fit; where one does not, the writer waits for ever.
PAGE_BYTES = 1 << 26


class Arm:
    """Its ImageNet recipe: half of the images are JPEGs of quality 90, half raw, none longer than 500 pixels.

    Its own windows, an area resize, libjpeg-turbo's fast DCT.
    """

    CLAIMS_EQUALITY = False
    NAME = "recipe"
    FIELD: dict[str, Any] = {
        "write_mode": "proportion",
        "compress_probability": 0.5,
        "max_resolution": 500,
        "jpeg_quality": 90,
    }

    def __init__(self, options: Options) -> None:
        def write(file: Path) -> None:
            fields = {"image": RGBImageField(**self.FIELD), "target": IntField()}
            writer = DatasetWriter(str(file), fields, page_size=PAGE_BYTES, num_workers=options.workers)
            writer.from_indexed_dataset(ImageFolder(options.data))

        train = options.workload == "train"
        crop = (
            RandomResizedCropRGBImageDecoder((SIDE, SIDE))
            if train
            else CenterCropRGBImageDecoder((SIDE, SIDE), SIDE / RESIZED)
        )
        flip = [RandomHorizontalFlip()] if train else []
        normalize = NormalizeImage(np.array(MEAN) * 255, np.array(STD) * 255, np.float32)
        self.loader = Loader(
            str(options.converted(f"{self.NAME}.beton", write)),
            batch_size=options.batch_size,
            num_workers=options.workers,
            order=OrderOption.RANDOM if train else OrderOption.SEQUENTIAL,
            os_cache=True,
            drop_last=False,
            pipelines={
                "image": [crop, *flip, normalize, ToTensor(), ToTorchImage()],
                "target": [IntDecoder(), ToTensor(), Squeeze(1)],
            },
        )

    def epoch(self):
        for images, targets in self.loader:
            yield images, targets.to(torch.int64)


class Q90(Arm):
    """All JPEGs of quality 90, of the photo's own size."""

    NAME = "q90"
    FIELD = {"write_mode": "jpg", "jpeg_quality": 90}


class Raw(Arm):
    """Pixels, of the photo's own size: five times the bytes of the JPEGs."""

    NAME = "raw"
    FIELD = {"write_mode": "raw"}


class Raw256(Arm):
    """Pixels, shrunk to 256 on the longer side: fewer than a crop of the photo has."""

    NAME = "raw256"
    FIELD = {"write_mode": "raw", "max_resolution": 256}
