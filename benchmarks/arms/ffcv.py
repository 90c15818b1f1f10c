"""FFCV: its own file, written once from the same photos; JPEG, longest side as it is, quality 96."""

from __future__ import annotations

import numpy as np
import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.decoders import CenterCropRGBImageDecoder, IntDecoder, RandomResizedCropRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import NormalizeImage, RandomHorizontalFlip, Squeeze, ToTensor, ToTorchImage
from ffcv.writer import DatasetWriter
from torchvision.datasets import ImageFolder

from benchmarks.arms import MEAN, RESIZED, SIDE, STD, Options


class Arm:
    """Its own windows, an area resize, and re-encoded files."""

    CLAIMS_EQUALITY = False

    def __init__(self, options: Options) -> None:
        beton = options.data.with_suffix(".beton")
        if not beton.exists():
            fields = {"image": RGBImageField(write_mode="jpg", jpeg_quality=96), "target": IntField()}
            DatasetWriter(str(beton), fields, num_workers=options.workers).from_indexed_dataset(
                ImageFolder(options.data)
            )
        train = options.workload == "train"
        crop = (
            RandomResizedCropRGBImageDecoder((SIDE, SIDE))
            if train
            else CenterCropRGBImageDecoder((SIDE, SIDE), SIDE / RESIZED)
        )
        flip = [RandomHorizontalFlip()] if train else []
        normalize = NormalizeImage(np.array(MEAN) * 255, np.array(STD) * 255, np.float32)
        self.loader = Loader(
            str(beton),
            batch_size=options.batch_size,
            num_workers=options.workers,
            order=OrderOption.RANDOM if train else OrderOption.SEQUENTIAL,
            os_cache=True,
            drop_last=False,
            pipelines={
                "image": [crop, *flip, ToTensor(), ToTorchImage(), normalize],
                "target": [IntDecoder(), ToTensor(), Squeeze()],
            },
        )

    def epoch(self):
        for images, targets in self.loader:
            yield images, targets.to(torch.int64)
