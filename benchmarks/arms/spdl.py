"""SPDL: its own pipeline, decoding through FFmpeg, a thread a worker."""

from __future__ import annotations

import random

import spdl.io
import torch
from spdl.pipeline import PipelineBuilder
from torchvision.datasets import ImageFolder

from benchmarks.arms import MEAN, RESIZED, SIDE, STD, Options


class Arm:
    """It has no random crops: this is a crop of fixed share, resized by FFmpeg, which flatters it if anything."""

    CLAIMS_EQUALITY = False

    def __init__(self, options: Options) -> None:
        self.options = options
        self.samples = ImageFolder(options.data).samples
        self.mean = torch.tensor(MEAN).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(STD).view(1, 3, 1, 1) * 255
        self.filters = [
            spdl.io.get_video_filter_desc(
                scale_width=RESIZED, scale_height=RESIZED, crop_width=SIDE, crop_height=SIDE, pix_fmt="rgb24"
            )
        ]
        self._decode(self.samples[0])  # fails here where FFmpeg's libraries are missing

    def epoch(self):
        order = list(self.samples)
        if self.options.workload == "train":
            random.shuffle(order)
        pipeline = (
            PipelineBuilder()
            .add_source(order)
            .pipe(self._decode, concurrency=self.options.workers, output_order="input")
            .aggregate(self.options.batch_size)
            .pipe(self._batch)
            .add_sink(3)
            .build(num_threads=self.options.workers)
        )
        with pipeline.auto_stop():
            yield from pipeline

    def _decode(self, sample):
        path, target = sample
        return spdl.io.decode_packets(spdl.io.demux_image(path), filter_desc=self.filters[0]), target

    def _batch(self, samples):
        frames, targets = zip(*samples, strict=True)
        images = spdl.io.to_torch(spdl.io.convert_frames(list(frames))).permute(0, 3, 1, 2).to(torch.float32)
        return images.sub_(self.mean).div_(self.std), torch.tensor(targets)
