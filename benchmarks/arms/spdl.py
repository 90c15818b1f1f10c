"""SPDL: its own pipeline, a thread a worker; the pixels by torchvision in these threads, or by its FFmpeg."""

from __future__ import annotations

import random

import torch
from spdl.pipeline import PipelineBuilder
from torchvision.datasets import ImageFolder

from benchmarks.arms import MEAN, RESIZED, SIDE, STD, Options, stock_v2, tensors


class Arm:
    """Its threads over torchvision's decoder and crops, which beat FFmpeg's and do what the others do."""

    CLAIMS_EQUALITY = False

    def __init__(self, options: Options) -> None:
        self.options = options
        self.samples = ImageFolder(options.data).samples
        self.crop = tensors.CROPS[options.workload]

    def epoch(self):
        order = list(self.samples)
        if self.options.workload == "train":
            random.shuffle(order)
        pipeline = (
            PipelineBuilder()
            .add_source(order)
            .pipe(self._load, concurrency=self.options.workers, output_order="input")
            .aggregate(self.options.batch_size)
            .pipe(self._batch)
            .add_sink(3)
            .build(num_threads=self.options.workers)
        )
        with pipeline.auto_stop():
            yield from pipeline

    def _load(self, sample):
        path, target = sample
        return self.crop(stock_v2.load(path)), target

    def _batch(self, samples):
        images, targets = zip(*samples, strict=True)
        return tensors.finish(torch.stack(images)), torch.tensor(targets)


class Ffmpeg(Arm):
    """FFmpeg decodes, scales and crops. It has no random crops: a crop of fixed share, which flatters it if anything.

    ``scale_mode`` is "pad" by default in SPDL 0.8.0: black bars.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        import spdl.io

        self.io = spdl.io
        self.mean = torch.tensor(MEAN).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(STD).view(1, 3, 1, 1) * 255
        self.filter = spdl.io.get_video_filter_desc(
            scale_width=RESIZED,
            scale_height=RESIZED,
            scale_mode="crop",
            scale_algo="bilinear",
            crop_width=SIDE,
            crop_height=SIDE,
            pix_fmt="rgb24",
        )
        self._load(self.samples[0])  # fails here where FFmpeg's libraries are missing

    def _load(self, sample):
        path, target = sample
        return self.io.decode_packets(self.io.demux_image(path), filter_desc=self.filter), target

    def _batch(self, samples):
        frames, targets = zip(*samples, strict=True)
        images = self.io.to_torch(self.io.convert_frames(list(frames))).permute(0, 3, 1, 2).to(torch.float32)
        return images.sub_(self.mean).div_(self.std), torch.tensor(targets)
